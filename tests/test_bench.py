import torch

from avatar3d import bench
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
