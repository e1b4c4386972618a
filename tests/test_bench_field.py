import json

import pytest
import torch

from avatar3d import bench_field, bench_field_head
from avatar3d.cli import main
from avatar3d.core import AvatarError
from avatar3d.ops import field


@pytest.fixture
def small(monkeypatch):
    """The benchmark with a small picture in place of its large ones, and steps that are longer."""
    monkeypatch.setattr(bench_field, "STEP", 0.01)
    real = bench_field.head_rays
    monkeypatch.setattr(bench_field, "head_rays", lambda count, size=0: real(count, min(size, 12)))


def test_rows_hold_what_the_command_promises(small):
    before = torch.get_num_threads()
    rows = bench_field.field_speed(repeat=1, rays=50)
    assert torch.get_num_threads() == before
    assert [(row["backend"].split()[0], row["threads"]) for row in rows] == [
        ("native", 1),
        ("native", 2),
        ("PyTorch", 2),
    ]
    for row in rows:
        assert row["rays"] == 50 and row["step_ms"] > 0 and row["step_cpu_ms"] > 0
        assert row["frames_per_second_128"] > 0
        assert row["stages"].keys() >= {"march", "encode_backward", "mlp_backward", "composite"}
    with pytest.raises(AvatarError, match="repeat 0"):
        bench_field.field_speed(repeat=0)


def test_the_command_prints_rows(small, capsys, monkeypatch):
    monkeypatch.setattr(bench_field, "RAYS", 20)
    real = bench_field_head.head_camera
    monkeypatch.setattr(bench_field_head, "head_camera", lambda size: real(min(size, 24)))
    assert main(["bench", "field", "--repeat", "1", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]
    assert [row["body"] for row in rows] == ["shell"] * 3 + ["head"] * 3
    own, _, plain = rows[3:]
    assert own["stages"].keys() == {"pose", "tree", "closest", "warp"} and own["frame_cpu_ms_128"] > 0
    assert plain["backend"] == "PyTorch" and plain["step_ms"] > plain["stages"]["closest"] > 0


def test_rays_hit_the_head_and_rounds_show_what_one_march_shows():
    scene, rays = bench_field.head_field(), bench_field.head_rays(200)
    rgb, alpha = bench_field.picture(scene, rays)
    samples = field.march(rays, scene.occupancy, bench_field.STEP)
    light = scene.samples_to_light(rays.points(samples), samples, "auto")
    assert (samples.offsets.diff() > 5).all() and 20 < len(samples) / 200 < 60
    assert alpha.mean() > 0.8
    torch.testing.assert_close(rgb, light.rgb, atol=2e-3, rtol=0)  # what is behind 999 parts in 1000


def test_empty_space_changes_nothing():
    """The picture with the occupancy grid equals the one that looks everywhere, where the field is empty outside."""
    scene, rays = bench_field.head_field(), bench_field.head_rays(0, 16)
    everywhere = field.Occupancy(scene.occupancy.cells | True, scene.occupancy.box)
    samples = field.march(rays, everywhere, bench_field.STEP)
    points = rays.points(samples)
    x = field.mlp(field.encode(points / 0.32 + 0.5, scene.table, bench_field.GRID), scene.weights, scene.biases)
    cell = ((points + 0.16) / 0.32 * 64).floor().long().clamp(0, 63)
    inside = scene.occupancy.cells[cell[:, 2], cell[:, 1], cell[:, 0]]
    light = field.composite(x[:, 0].exp() * inside, x[:, 1:].sigmoid(), samples)
    rgb, _ = bench_field.picture(scene, rays)
    assert (rgb - light.rgb).abs().max() < 2e-3 and rgb.max() > 0.3


def test_the_plain_step_is_the_same_step(monkeypatch):
    """Kernels and PyTorch's own operations give the same gradients for the head."""
    body = bench_field_head.head_body()
    camera, pixels = bench_field_head.head_pixels(body, 12)
    learnt, inputs = bench_field_head.learning(body)

    def gradients():
        posed, rays = learnt.posed(), bench_field_head.picture.camera_rays(camera, pixels)
        shown = bench_field_head.picture.seen(posed, rays, field.march(rays, posed.cells, 0.003))
        return shown.rgb, torch.autograd.grad((shown.rgb - 0.5).square().mean(), inputs[:3])

    rgb, own = gradients()
    monkeypatch.setenv("AVATAR3D_BACKEND", "march=reference,encode=reference,mlp=reference,volume=reference")
    plain_rgb, plain = gradients()
    torch.testing.assert_close(rgb, plain_rgb, atol=1e-3, rtol=0)
    for a, b in zip(own, plain, strict=True):
        assert float(b.abs().max()) > 0
        torch.testing.assert_close(a, b, atol=0.02 * float(b.abs().max()), rtol=0.02)
