"""The splat kernels, run by the emulator, against the float64 twin and the CPU library."""

import functools
import math

import pytest
import torch
from emulated import EmulatorError
from splats import (
    NAMES,
    backward,
    camera_at,
    cotangents,
    expected,
    forward,
    off_the_cliffs,
    random_splats,
    relative,
)

from avatar3d.core import Camera, Gaussians
from avatar3d.geometry import look_at, orbit, pinhole

BACKGROUND = torch.tensor([0.2, 0.5, 0.7])
IMAGES = ("rgb", "alpha", "depth")


@functools.cache
def scene(bases: int, backend: str):
    """Splats (of degree 1: several batches in a tile), a camera, cotangents, and what is expected."""
    camera = camera_at()
    n, size = (2600, -4.9) if bases == 4 else (400, -4.2)
    gaussians = off_the_cliffs(random_splats(n, bases, seed=bases, size=size), camera)
    grads = cotangents(1, camera)
    return gaussians, camera, grads, *expected(gaussians, camera, BACKGROUND, grads, backend)


def run(library, gaussians, camera, grads, background=BACKGROUND):
    drawn = forward(library, gaussians, camera, background)
    return drawn, backward(library, drawn, grads)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("bases", [1, 4, 9, 16])
def test_equals_the_twin_and_the_cpu_library(emulated, bases, backend):
    """Tolerances as for the CPU library: float32 against float64, positions of tens of pixels."""
    gaussians, camera, grads, want, want_grads = scene(bases, backend)
    drawn, got = run(emulated, gaussians, camera, grads)
    for name in IMAGES:
        torch.testing.assert_close(getattr(drawn, name)[0].double(), getattr(want, name).double(), atol=1e-5, rtol=0)
    for name, grad in want_grads.items():
        assert relative(got[name].view_as(grad), grad) < 1e-4, name


def test_the_scene_exercises_the_kernels(library):
    """Closed and open pixels, more than two batches in a tile, forward (256) and backward (64)."""
    gaussians, camera, grads, want, _ = scene(4, "reference")
    assert want.alpha.max() > 1 - 2e-4 and want.alpha.min() < 0.05
    library.reset()
    drawn, _ = run(library, gaussians, camera, grads)
    tiles = 6
    blend, back = library.counters("a3d_splat_blend"), library.counters("a3d_splat_blend_backward_depth")
    assert drawn.counts[0] > 2 * 256 * tiles
    assert blend.barriers > 4 * tiles and back.barriers > 9 * tiles
    # Warps skip most of what a tile lists, and a splat that is walked counts at some pixel.
    assert blend.warp[0] < 8 * int(drawn.counts[0]) / 2
    assert 0.1 < blend.lane[1] / blend.lane[0] < 1


def test_same_bits_in_every_order_of_threads(library):
    gaussians, camera, grads, *_ = scene(4, "reference")
    results = []
    try:
        for order, seed in ((0, 0), (1, 0), (2, 1), (2, 2)):
            library.call("a3d_emulator_order", order, seed)
            results.append(run(library, gaussians, camera, grads))
    finally:
        library.order("forward")
    first, first_grads = results[0]
    for drawn, got in results[1:]:
        assert all(torch.equal(getattr(drawn, name), getattr(first, name)) for name in IMAGES)
        assert all(torch.equal(got[name], first_grads[name]) for name in got)


@pytest.mark.parametrize("alone", IMAGES)
def test_gradients_of_one_output_alone(library, alone):
    camera = camera_at(width=33, height=21)
    gaussians = off_the_cliffs(random_splats(90, seed=3), camera)
    grads = tuple(g if name == alone else None for name, g in zip(IMAGES, cotangents(1, camera), strict=True))
    _, want = expected(gaussians, camera, BACKGROUND, grads)
    drawn = forward(library, gaussians, camera, BACKGROUND)
    got = backward(library, drawn, grads)
    for name, grad in want.items():
        if grad.any():
            assert relative(got[name].view_as(grad), grad) < 1e-4, name
        else:
            assert not got[name].any(), name
    only = backward(library, drawn, grads, want=("logits",))
    assert list(only) == ["logits"] and torch.equal(only["logits"], got["logits"])


@pytest.mark.parametrize("case", ["cameras", "poses", "both"])
def test_views_of_one_launch_equal_launches_of_their_own(emulated, case):
    cameras = orbit(torch.tensor([-0.6, 0.1, 0.9]), size=(35, 30))
    sets = [random_splats(60, 4, seed=s) for s in (1, 2, 3)]
    poses = Gaussians(*(torch.stack([getattr(g, n) for g in sets]) for n in NAMES)) if case != "cameras" else sets[0]
    camera = cameras if case != "poses" else cameras.map(lambda x: x[0] if x.ndim > 2 else x)
    backgrounds, grads = torch.rand(3, 3), cotangents(3, camera)
    together, all_grads = run(emulated, poses, camera, grads, backgrounds)
    sums = dict.fromkeys(all_grads, 0)
    for i in range(3):
        one = camera if case == "poses" else cameras.map(lambda x, i=i: x[i] if x.ndim > 2 else x)
        its = tuple(g[i : i + 1] for g in grads)
        alone, its_grads = run(emulated, sets[i if case != "cameras" else 0], one, its, backgrounds[i : i + 1])
        assert all(torch.equal(getattr(together, n)[i], getattr(alone, n)[0]) for n in IMAGES)
        assert torch.equal(all_grads["cameras"][i], its_grads["cameras"][0])
        for name in NAMES:
            if case == "cameras":
                sums[name] = sums[name] + its_grads[name]
            else:
                assert torch.equal(all_grads[name][i], its_grads[name])
    if case == "cameras":
        for name in NAMES:
            torch.testing.assert_close(all_grads[name], sums[name], atol=1e-3, rtol=1e-5)


def test_splats_that_cannot_be_drawn_are_left_out(emulated):
    camera = camera_at(eye=(0.0, 0.0, 0.6))
    good, bad = random_splats(50, 4, seed=4), random_splats(8, 4, seed=5)
    forward_axis, eye = torch.tensor([0.0, 0.0, -1.0]), torch.tensor([0.0, 0.0, 0.6])
    bad.means[0] = eye - 0.3 * forward_axis  # behind
    bad.means[1] = eye + 0.009 * forward_axis  # before the near plane
    bad.means[2], bad.means[3, 0] = math.nan, math.inf
    bad.log_scales[4] = 90.0  # overflows
    bad.quats[5] = 0.0
    bad.logits[6] = -9.0  # fainter than 1/255
    bad.sh[7, 0, 1] = math.nan
    both = Gaussians(*(torch.cat([getattr(bad, n), getattr(good, n)]) for n in NAMES))
    grads = cotangents(1, camera)
    want, want_grads = run(emulated, good, camera, grads)
    drawn, got = run(emulated, both, camera, grads)
    assert all(torch.equal(getattr(drawn, n), getattr(want, n)) for n in IMAGES)
    for name in NAMES:
        assert torch.all(got[name][:8] == 0), name
        assert torch.equal(got[name][8:], want_grads[name]), name
    torch.testing.assert_close(got["cameras"], want_grads["cameras"], atol=1e-3, rtol=1e-5)


def test_nothing_to_draw(emulated):
    camera = camera_at()
    for gaussians in (random_splats(0), random_splats(5)):
        gaussians.means[:, 2] = 5.0  # all behind
        drawn, got = run(emulated, gaussians, camera, cotangents(1, camera))
        assert torch.equal(drawn.rgb, BACKGROUND.expand_as(drawn.rgb))
        assert not drawn.alpha.any() and not drawn.depth.any() and not drawn.counts.any()
        assert not any(grad.any() for grad in got.values())


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (17, 5), (3, 40)])
def test_any_image_size(library, size):
    camera = camera_at(width=size[0], height=size[1])
    gaussians = off_the_cliffs(random_splats(80, seed=6, size=-3.5), camera)
    want, _ = expected(gaussians, camera, BACKGROUND, cotangents(1, camera))
    drawn = forward(library, gaussians, camera, BACKGROUND)
    torch.testing.assert_close(drawn.rgb[0].double(), want.rgb, atol=1e-5, rtol=0)


def test_large_splats_are_listed_by_their_whole_warp(emulated):
    """Beside small ones in the same warp; a tile that is not reached is not listed."""
    camera = camera_at(width=150, height=140)
    gaussians = random_splats(120, seed=8, size=-4.5)
    gaussians.log_scales[::7] += torch.tensor([3.0, 0.0, 0.0])  # thin and long
    gaussians.log_scales[3::40] += 2.8  # their slots are added up by the warp, too
    gaussians = off_the_cliffs(gaussians, camera)
    grads = cotangents(1, camera)
    want, want_grads = expected(gaussians, camera, BACKGROUND, grads, "cpu")
    emulated.reset()
    drawn, got = run(emulated, gaussians, camera, grads)
    bin_, sums = emulated.counters("a3d_splat_reach"), emulated.counters("a3d_splat_sums")
    assert bin_.warp_operations > 6 * bin_.threads and sums.warp_operations > sums.threads  # more than without any
    torch.testing.assert_close(drawn.rgb[0], want.rgb, atol=1e-5, rtol=0)
    for name, grad in want_grads.items():
        assert relative(got[name].view_as(grad), grad) < 1e-4, name


def test_too_little_room_is_told_and_harmless(emulated):
    gaussians, camera = random_splats(200, seed=8, size=-3.0), camera_at()
    wanted = forward(emulated, gaussians, camera, BACKGROUND)
    needed = int(wanted.counts[0])
    small = forward(emulated, gaussians, camera, BACKGROUND, pairs=needed - 1)
    assert small.counts.tolist() == [needed, needed]
    assert torch.equal(small.rgb, BACKGROUND.expand_as(small.rgb))
    exact = forward(emulated, gaussians, camera, BACKGROUND, pairs=needed)
    assert torch.equal(exact.rgb, wanted.rgb)


def test_near_to_far_and_ties_by_index(library):
    n = 6000
    cloud = random_splats(n, size=-5.5)
    cloud.means[::3, 2], cloud.means[7::500, 2] = 0.01, -40.0
    cloud.logits.copy_(torch.rand(n, generator=torch.Generator().manual_seed(3)) * 2 - 4)
    w2c = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    w2c[2, 3] = 0.5  # axes of the world: equal depths stay equal
    camera = Camera(w2c, pinhole(20, 20, 60.0), 20, 20)
    want, _ = expected(cloud, camera, BACKGROUND, cotangents(1, camera), "cpu")
    difference = (forward(library, cloud, camera, BACKGROUND).rgb[0] - want.rgb).abs()
    assert difference.mean() < 2e-5 and difference.max() < 5e-3  # one at a threshold may count in one and not the other
    turned = cloud.gather(torch.arange(n).flip(0))
    assert (forward(library, turned, camera, BACKGROUND).rgb[0] - want.rgb).abs().mean() > 1e-3


def test_approximate_functions_of_a_device_do_little(library):
    """ex2.approx is within 2 units in the last place: the picture moves by less than 1e-4, gradients by 1e-4."""
    gaussians, camera, grads, *_ = scene(4, "reference")
    exact, exact_grads = run(library, gaussians, camera, grads)
    try:
        library.call("a3d_emulator_error", 2.4e-7)
        rough, rough_grads = run(library, gaussians, camera, grads)
    finally:
        library.call("a3d_emulator_error", 0.0)
    assert not torch.equal(rough.rgb, exact.rgb)
    assert (rough.rgb - exact.rgb).abs().max() < 1e-4
    for name, grad in exact_grads.items():
        assert relative(rough_grads[name], grad) < 1e-4, name


def test_wrong_sizes_are_refused(library):
    camera = camera_at()
    gaussians = random_splats(5)
    drawn = forward(library, gaussians, camera, BACKGROUND)
    for at, wrong, message in ((2, 5, "sh has 5 bases"), (3, 0, "image size 0 x 29"), (1, 70000, "70000 views")):
        scene_ = list(drawn.scene)
        scene_[at] = wrong
        images = (drawn.rgb, drawn.alpha, drawn.depth)
        with pytest.raises(EmulatorError, match=message):
            library.call("a3d_gpu_splat_forward", *scene_, drawn.workspace, drawn.room, *images, drawn.counts, None)


def test_cameras_look_the_other_way(library):
    """A view that sees nothing beside one that does: its tiles stay empty."""
    gaussians = random_splats(40)
    eye = torch.tensor([0.0, 0.0, 0.6])
    w2c = torch.stack([look_at(eye, torch.tensor([0.0, 0.0, z])) for z in (0.0, 2.0)])
    camera = Camera(w2c, pinhole(20, 20, 60.0).expand(2, 3, 3), 20, 20)
    drawn = forward(library, gaussians, camera, BACKGROUND)
    assert drawn.alpha[0].any() and not drawn.alpha[1].any()
