"""The whole benchmark on a tiny clip: figures, pages, what is kept, and what fails alone."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import avatar3d.capture
import avatar3d.fit
import avatar3d.track
from avatar3d.bench_fit import BenchOptions, bench_fit, models, page
from avatar3d.cli.show import source_camera
from avatar3d.core import AvatarError, Camera, Clip, Track
from avatar3d.fit import FollowOptions, follow
from avatar3d.render import frames
from avatar3d.score import fit as fit_score

OPTIONS = BenchOptions(hold_out=0.34, share=0.003, seconds=0.2)
PRESETS = ("rgb-avatar", "fast")


@pytest.fixture
def verbs(doll, tmp_path, monkeypatch: pytest.MonkeyPatch) -> dict:
    """A clip of the doll, whose capture and track are known; counts how often they are asked for."""
    images = np.stack(list(frames(doll, doll.motion.pose, source_camera(doll))))
    mattes = (np.abs(images.astype(int) - 255).max(-1) > 3).astype(np.uint8) * 255
    angle = np.linspace(0, 2 * np.pi, 30, endpoint=False)
    points = np.stack([128 + 30 * np.cos(angle), 140 + 40 * np.sin(angle), 0 * angle], axis=-1)
    clip = Clip(Path("doll.mp4"), 256, 256, 25.0, images, mattes, np.tile(points[None], (6, 1, 1)))
    seen = {"capture": 0, "track": [], "source": tmp_path / "doll.mp4"}
    seen["source"].write_bytes(b"a video")

    def capture(source, progress=None) -> Clip:
        seen["capture"] += 1
        return replace(clip, source=source)

    def track(given: Clip, identity=None, focal=None, progress=None) -> Track:
        seen["track"].append((len(given), None if focal is None else round(focal)))
        motion = replace(doll.motion, pose=doll.motion.pose[slice(0, len(given))])
        return Track("anny", doll.identity, motion, source_camera(doll), torch.ones(len(given)))

    def no_lpips(a, b):
        raise AvatarError("no weights")

    monkeypatch.setattr(avatar3d.capture, "capture", capture)
    monkeypatch.setattr(avatar3d.track, "track", track)
    monkeypatch.setattr(fit_score, "lpips", no_lpips)
    few = FollowOptions(steps=2)
    monkeypatch.setattr(avatar3d.fit, "follow", lambda *args, progress: follow(*args, options=few, progress=progress))
    return seen


def test_two_presets_from_clip_to_page_and_again(verbs, tmp_path, monkeypatch):
    out = tmp_path / "out"
    asked: list[tuple[str, int]] = []
    fitted = models.fitted

    def watched(name, clip, *rest):
        asked.append((name, len(clip)))
        return fitted(name, clip, *rest)

    monkeypatch.setattr(models, "fitted", watched)
    result = bench_fit([verbs["source"]], PRESETS, out, OPTIONS)
    # Our own presets come first; neither they nor the tracks see the held-out frames, and the second track keeps what
    # the first found.
    assert asked == [("fast", 4), ("rgb-avatar", 4)]
    assert verbs["capture"] == 1 and verbs["track"] == [(4, None), (6, 700)]
    rows = result["clips"]["doll"]
    for name in PRESETS:
        row = rows[name]
        assert row["frames"] == 2 and 8 < row["psnr"] < 60 and 0 < row["ms_ssim"] <= 1 and row["lpips"] is None
        assert row["splats"] > 1000 and row["fps"] > 0 and row["megabytes"] > 0.1 and row["steps"] >= 1
        assert row["landmarks"]["psnr"] > 8 and row["face"]["psnr"] > 8
        assert (out / "doll" / name / "00004.png").is_file()
    assert rows["rgb-avatar"]["seconds"] >= 0.2
    assert json.loads((out / "results.json").read_text())["clips"]["doll"]["fast"]["psnr"] == rows["fast"]["psnr"]
    table = (out / "table.md").read_text()
    assert f"| rgb-avatar | {rows['rgb-avatar']['psnr']:.2f} |" in table
    text = (out / "index.html").read_text()
    assert text.count("data:image/webp") == 3 * 2 + 2 * 5 and 'src="http' not in text and 'href="' not in text

    # Called again it does nothing; asked for another preset it does that one.
    mine = tmp_path / "mine.toml"
    mine.write_text("steps = 400\nsplats = 3000\n")
    again = bench_fit([verbs["source"]], (*PRESETS, "gaussian-avatars", str(mine)), out, OPTIONS)
    assert [name for name, _ in asked[2:]] == [str(mine), "gaussian-avatars"]
    assert again["clips"]["doll"]["mine.toml"]["steps"] == 1
    assert verbs["capture"] == 1 and len(verbs["track"]) == 2
    assert again["clips"]["doll"]["fast"] == rows["fast"] and "psnr" in again["clips"]["doll"]["gaussian-avatars"]


def test_one_failure_leaves_the_others_and_is_tried_again(verbs, tmp_path, monkeypatch):
    fitted, broken = models.fitted, [True]

    def fails(name, *rest):
        if name == "rgb-avatar" and broken[0]:
            raise ZeroDivisionError("a bug")
        return fitted(name, *rest)

    monkeypatch.setattr(models, "fitted", fails)
    presets = ("rgb-avatar", "gaussian-avatars")
    rows = bench_fit([verbs["source"]], presets, tmp_path / "out", OPTIONS)["clips"]["doll"]
    assert rows["rgb-avatar"] == {"error": "ZeroDivisionError: a bug"} and "psnr" in rows["gaussian-avatars"]
    assert "ZeroDivisionError" in (tmp_path / "out" / "index.html").read_text()
    broken[0] = False
    rows = bench_fit([verbs["source"]], presets, tmp_path / "out", OPTIONS)["clips"]["doll"]
    assert "psnr" in rows["rgb-avatar"]


def test_another_clip_under_the_same_name_is_captured_anew(verbs, tmp_path):
    from avatar3d.bench_fit.kept import kept_clip
    from avatar3d.pipeline import quiet

    first = kept_clip(verbs["source"], tmp_path / "kept", quiet)
    kept = kept_clip(verbs["source"], tmp_path / "kept", quiet)
    assert verbs["capture"] == 1 and np.array_equal(first.frames[3], kept.frames[3])
    assert np.array_equal(first.landmarks, kept.landmarks) and kept.blendshapes is None
    verbs["source"].write_bytes(b"another video")
    kept_clip(verbs["source"], tmp_path / "kept", quiet)
    assert verbs["capture"] == 2


def test_mistakes_are_said_before_the_work(verbs, tmp_path):
    source, out = verbs["source"], tmp_path / "out"
    for presets, options, says in (
        (("fasst",), OPTIONS, r"unknown preset 'fasst'.*rgb-avatar"),
        ((), OPTIONS, "no presets"),
        (("fast",), BenchOptions(hold_out=0.0), "held-out"),
        (("fast",), BenchOptions(share=0.0), "--share"),
    ):
        with pytest.raises(AvatarError, match=says):
            bench_fit([source], presets, out, options)
    with pytest.raises(AvatarError, match="no such file"):
        bench_fit([tmp_path / "none.mp4"], ("fast",), out, OPTIONS)
    assert verbs["capture"] == 0 and not out.exists()


def test_means_leave_out_what_failed_somewhere():
    good, better = {"psnr": 30.0, "lpips": None}, {"psnr": 32.0, "lpips": 0.1}
    means = page.means({"a": {"x": good, "y": good}, "b": {"x": better, "y": {"error": "no"}}})
    assert list(means) == ["x"] and means["x"]["psnr"] == 31.0 and means["x"]["lpips"] is None


def test_views_set_aside_are_scored_in_the_poses_of_the_others(doll, verbs, tmp_path, monkeypatch):
    """Three moments, two cameras each, the second one set aside: nothing is left to follow."""
    one = source_camera(doll)
    times, moved = np.arange(6) // 2, []

    def cameras(count: int) -> Camera:
        return Camera(one.w2c.expand(count, 4, 4), one.K.expand(count, 3, 3), 256, 256)

    taken = avatar3d.capture.capture(verbs["source"])
    views = replace(taken, times=times, held=np.arange(6) % 2 == 1, camera=cameras(6))
    pose = doll.motion.pose[torch.arange(0, 6, 2)]

    def track(given: Clip, identity=None, world=None, progress=None) -> Track:
        moved.append((len(given), world is not None))
        motion = replace(doll.motion, pose=pose)
        return Track("anny", doll.identity, motion, cameras(len(given)), torch.ones(3), torch.eye(4))

    def never(*args, **kwargs):
        raise AssertionError("poses are known")

    monkeypatch.setattr(avatar3d.capture, "capture", lambda source, progress=None: views)
    monkeypatch.setattr(avatar3d.track, "track", track)
    monkeypatch.setattr(avatar3d.fit, "follow", never)
    row = bench_fit([verbs["source"]], ("rgb-avatar",), tmp_path / "out", OPTIONS)["clips"]["doll"]["rgb-avatar"]
    assert moved == [(3, False), (6, True)] and row["asked"]["held"] == [1, 3, 5]
    assert row["frames"] == 3 and row["psnr"] > 8
