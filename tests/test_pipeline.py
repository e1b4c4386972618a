"""The verbs joined, with stand-ins for the slow ones: what is held out stays unseen."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import avatar3d.capture
import avatar3d.fit
import avatar3d.track
from avatar3d import pipeline
from avatar3d.cli.show import source_camera
from avatar3d.core import AvatarError, Clip, Track
from avatar3d.render import frames
from avatar3d.score import fit as fit_score


@pytest.fixture
def clip(doll) -> Clip:
    """Six pictures of the doll on white, as its own clip (the white belongs to it), with landmarks on its face."""
    images = list(frames(doll, doll.motion.pose, source_camera(doll)))
    mattes = [np.full((256, 256), 255, np.uint8)] * 6
    angle = np.linspace(0, 2 * np.pi, 30, endpoint=False)
    points = np.stack([128 + 30 * np.cos(angle), 140 + 40 * np.sin(angle), 0 * angle], axis=-1)
    return Clip(Path("doll.mp4"), 256, 256, 25.0, images, mattes, np.tile(points[None], (6, 1, 1)))


@pytest.fixture
def verbs(doll, clip, monkeypatch: pytest.MonkeyPatch) -> dict:
    """Replaces the verbs by ones that know the answer, and records what they were given."""
    seen: dict = {}

    def track(given: Clip, identity=None, focal=None, progress=None) -> Track:
        seen["track"] = (len(given), identity, focal)
        pose = seen.get("source", doll.motion.pose)[slice(0, len(given))]
        camera = source_camera(doll)
        return Track("anny", doll.identity, replace(doll.motion, pose=pose), camera, torch.ones(len(given)))

    def fit(given: Clip, solved: Track, options, checkpoint=None, progress=None):
        seen["fit"] = (len(given), options.hold_out)
        return replace(doll, about={"steps": 3}, motion=solved.motion)

    def no_lpips(a, b):
        raise AvatarError("no weights")

    monkeypatch.setattr(avatar3d.capture, "capture", lambda source, progress=None: clip)
    monkeypatch.setattr(avatar3d.track, "track", track)
    monkeypatch.setattr(avatar3d.fit, "fit", fit)
    monkeypatch.setattr(fit_score, "lpips", no_lpips)
    return seen


def test_held_out_frames_are_seen_by_neither_track_nor_fit(verbs: dict) -> None:
    made = pipeline.make("doll.mp4", hold_out=0.34, about={"consent": "yes"})
    assert verbs["track"] == (4, None, None) and verbs["fit"] == (4, 0.0)
    about = made.avatar.about
    assert (about["hold_out"], about["frames"], about["consent"], about["steps"]) == (0.34, 6, "yes", 3)
    assert set(about["seconds"]) == {"capture", "track", "fit"} and about["camera"]["width"] == 256
    assert len(made.clip) == 6 and len(made.track.motion) == 4
    assert made.avatar.motion is not None and len(made.avatar.motion) == 4


def test_a_photo_is_never_held_out(verbs: dict, clip: Clip, monkeypatch) -> None:
    photo = avatar3d.capture.select(clip, [0])
    monkeypatch.setattr(avatar3d.capture, "capture", lambda source, progress=None: photo)
    pipeline.make("doll.png", hold_out=0.5)
    assert verbs["fit"] == (1, 0.0)


def test_the_true_avatar_scores_nearly_full_marks(doll, verbs: dict, clip: Clip) -> None:
    score = pipeline.score_fit(doll, "doll.mp4", follow=False)
    assert score.frames == 3  # hold_out 0.5 of six
    identity, focal = verbs["track"][1:]
    assert identity is doll.identity and focal == 700
    assert score.psnr > 60 and score.ssim > 0.9999 and (score.face["psnr"] or 0) > 60
    assert score.seconds == {"fit": 1.0}


def test_the_wrong_frames_score_worse(doll, verbs: dict, clip: Clip, monkeypatch) -> None:
    """The poses of the held-out frames are used, not those of the first ones."""
    turned = replace(clip, frames=list(clip.frames)[::-1])
    monkeypatch.setattr(avatar3d.capture, "capture", lambda source, progress=None: turned)
    assert pipeline.score_fit(doll, "doll.mp4", follow=False).psnr < 50


def test_following_moves_held_out_poses_only(doll, verbs: dict, clip: Clip) -> None:
    """With poses that are a little off, the picture brings them closer; earlier frames are left alone."""
    shifted = doll.motion.pose.root.clone()
    shifted[:, 0, 3] += 0.004
    off = replace(doll, motion=replace(doll.motion, pose=replace(doll.motion.pose, root=shifted)))
    verbs["source"] = off.motion.pose
    solved = pipeline.retrack(doll, clip, 3)
    assert torch.equal(solved.motion.pose.root[:3], shifted[:3])
    truth = doll.motion.pose.root[3:, 0, 3]
    assert float((solved.motion.pose.root[3:, 0, 3] - truth).abs().max()) < 0.003


def test_wrong_input_is_said_before_the_work(doll, verbs: dict, clip: Clip) -> None:
    with pytest.raises(AvatarError, match="--hold-out"):
        pipeline.make("doll.mp4", hold_out=0.95)
    with pytest.raises(AvatarError, match="unknown preset"):
        pipeline.make("doll.mp4", preset="fastest")
    with pytest.raises(AvatarError, match="no held-out frames"):
        pipeline.score_fit(replace(doll, about={**doll.about, "hold_out": 0.0}), "doll.mp4")
    small = {**doll.about["camera"], "width": 128}
    with pytest.raises(AvatarError, match="fitted to a clip of 128x256"):
        pipeline.score_fit(replace(doll, about={**doll.about, "camera": small}), "doll.mp4")
    assert "fit" not in verbs
