"""The fit of a field on a rendered head with known poses, colours and matte."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from avatar3d import render, store
from avatar3d.core import AvatarError, Camera, Clip, Motion, Pose, Track
from avatar3d.distil import DistilOptions, distil
from avatar3d.fields import FieldSettings
from avatar3d.fit import FieldOptions, field_preset, field_steps, fit_field, follow
from avatar3d.fit.follow import FollowOptions
from avatar3d.geometry import pinhole, rigid
from avatar3d.render.shade import shade

SIZE = 48
SETTINGS = FieldSettings(levels=5, features=2, log2_rows=13, base=8, growth=1.6, width=32, step=0.008)
OPTIONS = FieldOptions(steps=250, rays=256, scaffold=0, refine_pose=False, checkpoint_every=20, settings=SETTINGS)


def performance(ball, t: int, hairy: float = 0.0) -> tuple[Clip, Track]:
    """Renders the head, turning, its lower part moving; `hairy` lifts the scalp in the pictures only."""
    phase = torch.linspace(0, 6, t)
    turn = torch.stack([torch.zeros(t), 0.4 * phase.sin(), torch.zeros(t)], -1)
    expression = torch.stack([(1 + (2 * phase).cos()) / 2, torch.zeros(t)], -1)
    root = rigid(torch.eye(3).expand(t, 3, 3), torch.tensor([0.0, 0.0, -0.6]).expand(t, 3))
    pose = Pose(expression, torch.stack([0 * turn, turn], 1), root)
    camera = Camera(torch.diag(torch.tensor([1.0, -1, -1, 1])), pinhole(SIZE, SIZE, 100.0), SIZE, SIZE)
    grown = dataclasses.replace(ball, rest=ball.rest * (1 + hairy * ball.regions["scalp"][:, None]))
    vertices = grown.vertices(torch.zeros(t, 1), pose)
    seen = shade(vertices, ball.faces, camera, ball.colours.expand(t, -1, -1))
    frames = ((seen.rgb + 0.3 * (1 - seen.alpha)) * 255 + 0.5).clamp(0, 255).byte().numpy()
    masks = (seen.alpha[..., 0] * 255 + 0.5).byte().numpy()
    clip = Clip(Path("ball.mp4"), SIZE, SIZE, 25.0, frames, masks)
    return clip, Track("ball", torch.zeros(1), Motion(pose, 25.0, ball.expressions), camera, torch.ones(t))


@pytest.fixture(autouse=True)
def ball_is_a_head(ball, monkeypatch):
    monkeypatch.setattr("avatar3d.heads.load", lambda name: ball)
    monkeypatch.setattr("avatar3d.heads.of", lambda avatar: ball)


def psnr_on_white(avatar, clip, track, row: int) -> float:
    seen = render.render(avatar, track.motion.pose[row], track.camera, torch.ones(3)).rgb.numpy()
    alpha = clip.masks[row][..., None] / 255
    truth = clip.frames[row] / 255 * alpha + 1 - alpha
    return float(-10 * np.log10(((seen - truth) ** 2).mean()))


@pytest.fixture(scope="module")
def fitted(ball):
    """A clip, its track, and a field fitted to all but its last frames."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("avatar3d.heads.load", lambda name: ball)
        clip, track = performance(ball, 24)
        return clip, track, fit_field(clip, track, dataclasses.replace(OPTIONS, hold_out=0.25))


def test_held_out_frames_look_like_the_clip(fitted, tmp_path):
    clip, track, avatar = fitted
    assert avatar.about["body"] == "field" and avatar.about["fitted"] == 18
    seen, held = (np.mean([psnr_on_white(avatar, clip, track, row) for row in rows]) for rows in ((2, 14), (21, 23)))
    assert seen > 22 and held > 17, "few pictures, wide turns"
    store.save(avatar, tmp_path / "field.a3d")
    again = store.load(tmp_path / "field.a3d")
    assert psnr_on_white(again, clip, track, 10) == pytest.approx(psnr_on_white(avatar, clip, track, 10), abs=1e-4)


def test_a_hybrid_has_splats_and_hair_of_a_field(ball):
    clip, track = performance(ball, 6, hairy=0.1)
    settings = dataclasses.replace(SETTINGS, covers="hair")
    options = dataclasses.replace(OPTIONS, steps=150, scaffold=40, splats=1500, settings=settings)
    avatar = fit_field(clip, track, options)
    assert avatar.about["body"] == "hybrid" and len(avatar.gaussians) > 200
    assert avatar.field is not None and avatar.field.occupied.any()
    bare = dataclasses.replace(avatar, field=None)
    whole, without = (np.mean([psnr_on_white(a, clip, track, row) for row in (1, 4)]) for a in (avatar, bare))
    assert whole > without + 1, "the hair is seen"


def test_a_resumed_fit_has_the_same_bits(ball, tmp_path):
    clip, track = performance(ball, 4)
    options = dataclasses.replace(OPTIONS, steps=44, scaffold=10, splats=800, refine_pose=True)
    whole = fit_field(clip, track, options)
    path = tmp_path / "resume.safetensors"
    for step in field_steps(clip, track, options, checkpoint=path):
        if step.index == 10 + 25:
            break
    resumed = fit_field(clip, track, options, checkpoint=path)
    assert not list(tmp_path.iterdir()), "the checkpoint is gone"
    for name, x in store._avatar_parts(whole)[0].items():
        assert torch.equal(x, store._avatar_parts(resumed)[0][name]), name


def test_the_same_bits_for_any_number_of_threads(ball):
    clip, track = performance(ball, 3)
    before, made = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            made.append(store._avatar_parts(fit_field(clip, track, dataclasses.replace(OPTIONS, steps=24)))[0])
    finally:
        torch.set_num_threads(before)
    for name, x in made[0].items():
        assert torch.equal(x, made[1][name]), name


def test_poses_follow_the_picture_of_a_field(fitted):
    clip, track, avatar = fitted
    off = track.motion.pose.root.clone()
    off[:, 0, 3] += 0.004
    pose = dataclasses.replace(track.motion.pose, root=off)
    wrong = dataclasses.replace(track, motion=dataclasses.replace(track.motion, pose=pose))
    found = follow(avatar, clip, wrong, 22, FollowOptions(steps=20, batch=1))
    assert torch.equal(found.motion.pose.root[:22], off[:22])
    left = (found.motion.pose.root - track.motion.pose.root)[22:, 0, 3].abs()
    assert left.mean() < 0.003


def test_distilled_splats_look_like_their_field(fitted):
    clip, track, avatar = fitted
    told = []
    made = distil(avatar, DistilOptions(pictures=12, steps=120, splats=2000), lambda *done: told.append(done))
    assert made.field is None and len(made.gaussians) > 500 and made.about["distilled"]["pictures"] == 12
    assert ("look", 12, 12) in told and ("fit", 120, 120) in told
    splats, field = (np.mean([psnr_on_white(a, clip, track, row) for row in (3, 14)]) for a in (made, avatar))
    assert splats > field - 3  # 48 pixels and 12 pictures are little for splats: docs/fields.md has a person's figure
    with pytest.raises(AvatarError, match="has no field"):
        distil(made)


def test_a_field_listens_to_the_sound_of_its_clip(ball):
    clip, track = performance(ball, 4)
    options = dataclasses.replace(field_preset("fast", "field", "audio"), steps=2, rays=64, scaffold=0)
    with pytest.raises(AvatarError, match="no sound"):
        fit_field(clip, track, options)
    tone = np.sin(np.arange(4 * 640) * 0.3, dtype=np.float32)[None]
    avatar = fit_field(dataclasses.replace(clip, audio=tone, rate=16000), track, options)
    assert avatar.motion is not None and avatar.motion.pose.heard is not None
    assert avatar.motion.pose.heard.shape == (4, options.settings.heard)


def test_options_out_of_range_are_named():
    for change, what in (({"rays": 0}, "rays"), ({"hold_out": 2.0}, "hold_out"), ({"scaffold": -1}, "scaffold")):
        with pytest.raises(AvatarError, match=what):
            dataclasses.replace(FieldOptions(), **change).check()
    with pytest.raises(AvatarError, match="hybrid needs its splats"):
        FieldOptions(scaffold=0, settings=FieldSettings(covers="hair")).check()
    with pytest.raises(AvatarError, match="nearest"):
        field_preset("slow", "field")
    with pytest.raises(AvatarError, match="splats, which follow expressions"):
        field_preset("fast", "hybrid", "audio")
