import copy
import functools
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from splats import off_the_cliffs, random_splats

from avatar3d.core import AvatarError, Camera, Gaussians
from avatar3d.geometry import look_at, orbit, pinhole
from avatar3d.ops import native, reference, splat
from avatar3d.ops.splat import gather_colour, rasterize

NAMES = ("means", "quats", "log_scales", "logits", "sh")


def camera_at(eye=(0.1, 0.05, 0.6), width: int = 70, height: int = 50) -> Camera:
    """A camera with two focal lengths and its principal point off the centre."""
    K = pinhole(width, height, 80.0)
    K[1, 1], K[0, 2], K[1, 2] = 95.0, width / 2 + 3.3, height / 2 - 2.7
    return Camera(look_at(torch.tensor(eye), torch.zeros(3)), K, width, height)


def with_gradients(gaussians: Gaussians, camera: Camera, backend: str, dtype: torch.dtype, background: torch.Tensor):
    """Returns the render and the gradients of every input for random cotangents of rgb, alpha and depth."""
    g, c = (x.to(dtype).map(lambda t: t.clone().requires_grad_()) for x in (gaussians, camera))
    b = background.to(dtype).clone().requires_grad_()
    render = rasterize(g, c, b, backend=backend)
    random = torch.Generator().manual_seed(5)
    outputs = (render.rgb, render.alpha, render.depth)
    loss = sum((x * torch.randn(x.shape, generator=random).to(dtype)).sum() for x in outputs)
    inputs = {name: getattr(g, name) for name in NAMES} | {"w2c": c.w2c, "K": c.K, "background": b}
    return render, dict(zip(inputs, torch.autograd.grad(loss, list(inputs.values())), strict=True))


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a.double() - b.double()).norm() / b.double().norm())


BACKGROUND = torch.tensor([0.2, 0.5, 0.7])


@functools.cache
def scene_and_twin(bases: int):
    camera = camera_at(width=53, height=44)
    gaussians = off_the_cliffs(random_splats(300, bases, seed=bases), camera)
    return gaussians, camera, *with_gradients(gaussians, camera, "reference", torch.float64, BACKGROUND)


@pytest.mark.parametrize("isa", native.ISA_LEVELS)
@pytest.mark.parametrize("bases", splat.SH_BASES)
def test_equals_the_twin(isa, bases):
    """Tolerances: float32 against float64; positions of 70 px carry 4e-6, alphas of steep splats multiply it."""
    if isa not in native.isas():
        pytest.skip(f"this CPU has no {isa}")
    gaussians, camera, slow, slow_grads = scene_and_twin(bases)
    assert len(gaussians) > 250
    with native.using_isa(isa):
        fast, fast_grads = with_gradients(gaussians, camera, "auto", torch.float32, BACKGROUND)
    assert slow.alpha.max() > 1 - 2e-4 and slow.alpha.min() < 0.05  # closed and open pixels both occur
    for name in ("rgb", "alpha", "depth"):
        torch.testing.assert_close(getattr(fast, name).double(), getattr(slow, name), atol=1e-5, rtol=0)
    for name, grad in slow_grads.items():
        assert relative(fast_grads[name], grad) < 1e-4, name


@pytest.mark.parametrize("output", ["rgb", "alpha", "depth"])
def test_gradients_of_one_output_alone(output):
    """Each cotangent may be absent, which takes another path in the native code."""
    camera = camera_at(width=33, height=21)
    gaussians = off_the_cliffs(random_splats(60, seed=3), camera)
    grads = []
    for backend, dtype in (("cpu", torch.float32), ("reference", torch.float64)):
        g = gaussians.to(dtype).map(lambda t: t.clone().requires_grad_())
        image = getattr(rasterize(g, camera.to(dtype), backend=backend), output)
        weights = torch.linspace(-1, 1, image.numel(), dtype=dtype).view_as(image)
        grads.append(torch.autograd.grad((image * weights).sum(), [g.means, g.quats, g.log_scales, g.logits]))
    for fast, slow in zip(*grads, strict=True):
        assert relative(fast, slow) < 1e-4


@pytest.mark.parametrize("bases", [1, 16])
def test_twin_passes_gradcheck(bases):
    K = torch.tensor([[8.0, 0.0, 2.3], [0.0, 9.0, 1.4], [0.0, 0.0, 1.0]])
    camera = Camera(camera_at().w2c, K, 4, 3).to(torch.float64)
    # Inside the field of view: beyond it the bounds of the Jacobian follow K, on purpose without a gradient.
    gaussians = off_the_cliffs(random_splats(5, bases, seed=2, spread=0.05, size=-3.0), camera).to(torch.float64)
    assert len(gaussians) == 5

    def render(*inputs):
        g, c = Gaussians(*inputs[:5]), Camera(inputs[5], inputs[6], camera.width, camera.height)
        image = reference.rasterize(g, c, inputs[7])
        return image.rgb, image.alpha, image.depth

    inputs = [*(getattr(gaussians, n) for n in NAMES), camera.w2c, camera.K, BACKGROUND.double()]
    # The fast mode (random projections of the Jacobian) where there are many coefficients.
    assert torch.autograd.gradcheck(
        render, [x.clone().requires_grad_() for x in inputs], atol=1e-7, fast_mode=bases > 1
    )


@pytest.mark.parametrize("case", ["cameras", "poses", "both"])
def test_batch_equals_loop(case):
    cameras = orbit(torch.tensor([-0.6, 0.1, 0.9]), size=(40, 35))
    poses = [random_splats(150, 4, seed=s, spread=0.05) for s in range(3)]
    batch = Gaussians(*(torch.stack([getattr(p, n) for p in poses]) for n in NAMES))
    one = Camera(cameras.w2c[1], cameras.K[1], 40, 35)
    backgrounds = torch.rand(3, 3, generator=torch.Generator().manual_seed(0))
    gaussians = poses[0] if case == "cameras" else batch
    camera = one if case == "poses" else cameras
    together, grads = with_gradients(gaussians, camera, "auto", torch.float32, backgrounds)
    random = torch.Generator().manual_seed(5)
    cotangents = [torch.randn(x.shape, generator=random) for x in (together.rgb, together.alpha, together.depth)]
    totals: dict[str, list[torch.Tensor]] = {}
    for i in range(3):
        g = (poses[0] if case == "cameras" else poses[i]).map(lambda t: t.clone().requires_grad_())
        c = Camera(cameras.w2c[i], cameras.K[i], 40, 35) if case != "poses" else one
        c = c.map(lambda t: t.clone().requires_grad_())
        b = backgrounds[i].clone().requires_grad_()
        alone = rasterize(g, c, b)
        for a, t in zip(
            (alone.rgb, alone.alpha, alone.depth), (together.rgb, together.alpha, together.depth), strict=True
        ):
            assert torch.equal(a, t[i])
        loss = sum((x * y[i]).sum() for x, y in zip((alone.rgb, alone.alpha, alone.depth), cotangents, strict=True))
        inputs = {n: getattr(g, n) for n in NAMES} | {"w2c": c.w2c, "K": c.K, "background": b}
        for name, grad in zip(inputs, torch.autograd.grad(loss, list(inputs.values())), strict=True):
            totals.setdefault(name, []).append(grad)
    for name, grad in grads.items():
        expected = torch.stack(totals[name])
        if grad.ndim < expected.ndim:
            expected = expected.sum(0)
        torch.testing.assert_close(grad, expected, atol=1e-4, rtol=1e-4)


def test_same_bits_for_any_number_of_threads():
    cameras = orbit(torch.tensor([0.2, 1.5]), size=(130, 95))
    results = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            for views in (cameras, Camera(cameras.w2c[0], cameras.K[0], 130, 95)):
                gaussians = random_splats(5000, 4, spread=0.06, size=-5.0)
                render, grads = with_gradients(gaussians, views, "auto", torch.float32, BACKGROUND)
                results.append((views.w2c.ndim, [render.rgb, render.alpha, render.depth, *grads.values()]))
    finally:
        torch.set_num_threads(before)
    for dimensions, tensors in results[2:]:
        first = next(t for d, t in results if d == dimensions)
        assert all(torch.equal(a, b) for a, b in zip(tensors, first, strict=True))


def test_order_of_splats_does_not_matter():
    gaussians, camera = random_splats(400, 4, seed=9), camera_at()
    order = torch.randperm(400, generator=torch.Generator().manual_seed(1))
    render, grads = with_gradients(gaussians, camera, "auto", torch.float32, BACKGROUND)
    shuffled, shuffled_grads = with_gradients(gaussians.gather(order), camera, "auto", torch.float32, BACKGROUND)
    assert torch.equal(render.rgb, shuffled.rgb) and torch.equal(render.depth, shuffled.depth)
    for name in NAMES:
        assert torch.equal(grads[name][order], shuffled_grads[name])


def test_many_splats_are_drawn_near_to_far_and_ties_by_index():
    # Enough for many groups of depths, cut unevenly: a third has one and the same depth, a few are far away.
    n = 16_000
    cloud = random_splats(n, size=-5.5)
    cloud.means[::3, 2], cloud.means[7::500, 2] = 0.01, -40.0
    cloud.logits.copy_(torch.rand(n, generator=torch.Generator().manual_seed(3)) * 2 - 4)
    w2c = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    w2c[2, 3] = 0.5  # axes of the world: equal depths stay equal
    camera = Camera(w2c, pinhole(20, 20, 60.0), 20, 20)
    want = rasterize(cloud, camera, backend="reference").rgb
    difference = (rasterize(cloud, camera).rgb - want).abs()
    assert difference.mean() < 2e-5 and difference.max() < 5e-3  # one at a threshold may count in one and not the other
    # It does depend on the order, of ties too.
    turned = cloud.gather(torch.arange(n).flip(0))
    assert (rasterize(turned, camera).rgb - want).abs().mean() > 1e-3


def test_splats_that_cannot_be_drawn_are_left_out():
    camera = camera_at(eye=(0.0, 0.0, 0.6))
    good = random_splats(50, 4, seed=4)
    bad = random_splats(8, 4, seed=5)
    forward = torch.tensor([0.0, 0.0, -1.0])
    eye = torch.tensor([0.0, 0.0, 0.6])
    bad.means[0] = eye - 0.3 * forward  # behind
    bad.means[1] = eye + 0.009 * forward  # before the near plane
    bad.means[2] = math.nan
    bad.means[3, 0] = math.inf
    bad.log_scales[4] = 90.0  # overflows
    bad.quats[5] = 0.0
    bad.logits[6] = -9.0  # fainter than 1/255
    bad.sh[7, 0, 1] = math.nan
    both = Gaussians(*(torch.cat([getattr(bad, n), getattr(good, n)]) for n in NAMES))
    for backend in ("cpu", "reference"):
        wanted, wanted_grads = with_gradients(good, camera, backend, torch.float32, BACKGROUND)
        render, grads = with_gradients(both, camera, backend, torch.float32, BACKGROUND)
        torch.testing.assert_close(render.rgb, wanted.rgb, atol=1e-6, rtol=0)
        for name in NAMES:
            assert torch.all(grads[name][:8] == 0), (backend, name)
            torch.testing.assert_close(grads[name][8:], wanted_grads[name], atol=2e-4, rtol=1e-4)
        torch.testing.assert_close(grads["w2c"], wanted_grads["w2c"], atol=1e-2, rtol=1e-3)


@pytest.mark.parametrize("backend", splat.BACKENDS)
def test_nothing_to_draw(backend):
    camera = camera_at()
    for gaussians in (random_splats(0), random_splats(5, spread=0.0).map(lambda x: x + 0.0)):
        if len(gaussians):
            gaussians.means[:, 2] = 5.0  # all behind
        render, grads = with_gradients(gaussians, camera, backend, torch.float32, BACKGROUND)
        assert torch.equal(render.rgb, BACKGROUND.expand(50, 70, 3))
        assert not render.alpha.any() and not render.depth.any()
        assert not any(grads[name].any() for name in NAMES)


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (17, 5), (3, 40)])
def test_any_image_size(size):
    camera = camera_at(width=size[0], height=size[1])
    gaussians = off_the_cliffs(random_splats(80, seed=6, size=-3.5), camera)
    fast = rasterize(gaussians, camera, BACKGROUND)
    slow = rasterize(gaussians.to(torch.float64), camera.to(torch.float64), BACKGROUND.double(), backend="reference")
    torch.testing.assert_close(fast.rgb.double(), slow.rgb, atol=1e-5, rtol=0)


def test_room_for_pairs_grows_and_memory_is_reused():
    camera = camera_at(width=200, height=200)
    gaussians = random_splats(300, seed=8, size=-2.0)  # covers every tile many times
    splat._room.clear()
    first, first_grads = with_gradients(gaussians, camera, "auto", torch.float32, BACKGROUND)
    again, again_grads = with_gradients(gaussians, camera, "auto", torch.float32, BACKGROUND)
    assert torch.equal(first.rgb, again.rgb)
    assert all(torch.equal(first_grads[n], again_grads[n]) for n in first_grads)


def test_a_graph_can_be_walked_twice_beside_another():
    gaussians, camera = random_splats(100, seed=1), camera_at()
    means = gaussians.means.clone().requires_grad_()
    loss = rasterize(replace(gaussians, means=means), camera).rgb.square().sum()
    (first,) = torch.autograd.grad(loss, means, retain_graph=True)
    rasterize(random_splats(100, seed=2), camera)  # must not reuse the memory of a graph that is still alive
    (second,) = torch.autograd.grad(loss, means)
    assert torch.equal(first, second)


def test_contribution_and_gathered_colour():
    camera = camera_at()
    gaussians = off_the_cliffs(random_splats(200, 4, seed=7), camera)
    render = rasterize(gaussians, camera, contribution=True)
    weight = render.aux["contribution"]
    assert torch.isclose(weight.sum(), render.alpha.sum(), rtol=1e-4)
    slow = rasterize(gaussians.to(torch.float64), camera.to(torch.float64), backend="reference", contribution=True)
    torch.testing.assert_close(weight.double(), slow.aux["contribution"], atol=1e-3, rtol=1e-4)
    plain = torch.tensor([0.3, 0.6, 0.9]).expand(50, 70, 3)
    gathered, colour = gather_colour(gaussians, camera, plain)
    assert torch.equal(gathered, weight)
    seen = weight > 0.01
    assert seen.sum() > 50
    torch.testing.assert_close(colour[seen], plain[0, 0].expand(int(seen.sum()), 3), atol=1e-4, rtol=0)


def unchecked(value, **changes):
    """Returns a changed copy past the shape checks that run in tests only."""
    value = copy.copy(value)
    for name, change in changes.items():
        object.__setattr__(value, name, change)
    return value


def test_wrong_inputs_are_named():
    gaussians, camera = random_splats(5, 4), camera_at()
    wrong = {
        "quats has shape": (unchecked(gaussians, quats=torch.zeros(4, 4)), camera),
        "sh has shape": (unchecked(gaussians, sh=torch.zeros(5, 5, 3)), camera),
        "means is torch.float64": (gaussians.to(torch.float64), camera.to(torch.float64)),
        "K is torch.float64": (gaussians, replace(camera, K=camera.K.double())),
        "image size 0 x 50": (gaussians, replace(camera, width=0)),
        "NaN or an infinity": (gaussians, replace(camera, w2c=camera.w2c * math.nan)),
        "do not fit splats of batch": (
            gaussians.map(lambda x: x.expand(2, *x.shape)),
            camera.map(lambda x: x.expand(3, *x.shape)),
        ),
        "on meta": (gaussians.to("meta"), camera.to("meta")),
    }
    for message, (splats, view) in wrong.items():
        with pytest.raises(AvatarError, match=message):
            rasterize(splats, view)
    with pytest.raises(AvatarError, match="background has shape"):
        rasterize(gaussians, camera, torch.zeros(2, 3))
    with pytest.raises(AvatarError, match="unknown backend 'gpu'"):
        rasterize(gaussians, camera, backend="gpu")


def test_works_in_a_forked_process():
    """Data loaders fork; a thread pool that does not notice hangs there, as torch's own does."""
    code = (
        "import os, signal, torch; from avatar3d import bench; from avatar3d.ops.splat import rasterize\n"
        "torch.set_num_threads(2); scene, camera = bench.head_scene(2000), bench.head_camera(64)\n"
        "first = rasterize(scene, camera).rgb; child = os.fork(); signal.alarm(60)\n"
        "if child == 0: os._exit(0 if torch.equal(rasterize(scene, camera).rgb, first) else 1)\n"
        "raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2]).returncode == 0
