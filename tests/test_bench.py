import dataclasses
import json

import pytest
import torch

from avatar3d import bench, bench_render, store
from avatar3d.cli import main
from avatar3d.core import AvatarError
from avatar3d.ops import native


def test_rows_hold_what_the_command_promises(monkeypatch):
    monkeypatch.setattr(
        bench, "_peer", lambda splats, size: bench._absent("mitsuba ellipsoids", splats, size, "not here")
    )
    before = torch.get_num_threads()
    rows = bench.raster(repeat=1, sizes=((300, 32),))
    assert torch.get_num_threads() == before
    assert [(r["backend"], r["threads"]) for r in rows] == [
        (f"native {native.isa()}", 1),
        (f"native {native.isa()}", 2),
        ("twin", 2),
        ("mitsuba ellipsoids", 2),
    ]
    for row in rows:
        assert row["splats"] == 300 and row["size"] == 32
        assert ("note" in row and row["both_ms"] is None) or row["both_ms"] > 0


def test_scene_is_a_head():
    scene = bench.head_scene(5000)
    on_surface = (scene.means / torch.tensor(bench.HEAD_RADII)).norm(dim=-1)
    torch.testing.assert_close(on_surface, torch.ones(5000))
    # Even density: the half of the ellipsoid's area that lies above |y| = b / 2 (for a sphere: one half).
    assert 0.4 < (scene.means[:, 1].abs() > 0.06).float().mean() < 0.6
    assert torch.equal(scene.means, bench.head_scene(5000).means)


@pytest.mark.parametrize("motion", [True, False])
def test_an_avatar_is_timed_from_pose_to_bytes(doll, motion, monkeypatch):
    shown = []
    draw = bench_render.frames
    monkeypatch.setattr(bench_render, "frames", lambda *given: (shown.append(x) or x for x in draw(*given)))
    avatar = doll if motion else dataclasses.replace(doll, motion=None)
    result = bench_render.render_speed(avatar, size=64, count=7, repeat=1)
    assert len(shown) == 14 and all((x < 128).any() for x in shown)  # once to warm up; the head is in view
    assert result["splats"] == len(doll.gaussians) and result["frames"] == 7 and result["size"] == 64
    assert result["frames_per_second"] == pytest.approx(1e3 / result["frame_ms"], rel=0.01)
    assert result["stages"].keys() == {"mesh", "splats", "rasterize", "bytes"}
    with pytest.raises(AvatarError, match="size 5"):
        bench_render.render_speed(avatar, size=5)


def test_the_command_prints_frames_per_second(doll, tmp_path, capsys):
    store.save(doll, tmp_path / "doll.a3d")
    asked = ["bench", "render", str(tmp_path / "doll.a3d"), "--size", "32", "--frames", "4", "--repeat", "1", "--json"]
    assert main(asked) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["frames_per_second"] > 0
