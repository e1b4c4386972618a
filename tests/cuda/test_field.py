"""The kernels of radiance fields, run by the emulator, against the float64 twins and the CPU library."""

import dataclasses
from itertools import pairwise

import pytest
import torch

from avatar3d.core import AvatarError
from avatar3d.ops import field, gpu
from avatar3d.ops.field import Grid, Occupancy, Rays, Samples
from avatar3d.ops.gpu import Host

BACKENDS = ("cpu", "reference")


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def wide(x):
    """The same in float64, integers as they are."""
    return x.double() if x.is_floating_point() else x


def gradients(function, inputs, seed=5):
    """Outputs of a function and the gradients of its inputs for random cotangents."""
    leaves = [x.clone().requires_grad_() for x in inputs]
    out = function(*leaves)
    out = out if isinstance(out, tuple) else (out,)
    total = sum((x * noise(*x.shape, seed=seed + i).to(x.dtype)).sum() for i, x in enumerate(out))
    return [*(x.detach() for x in out), *torch.autograd.grad(total, leaves)]


def assert_same(function, inputs, tolerance=1e-4):
    """`function(backend)` gives the op of a backend: the emulated one equals the others, gradients too."""
    got = gradients(function("emulated"), inputs)
    for backend in BACKENDS:
        given = inputs if backend == "cpu" else [x.double() for x in inputs]
        for a, b in zip(got, gradients(function(backend), given), strict=True):
            scale = float(b.abs().max())
            assert scale > 1e-3
            torch.testing.assert_close(a.double(), b.double(), atol=tolerance * scale, rtol=tolerance)


def off_the_walls(points, grid):
    scaled = points.double()[..., None] * grid.scales.double() + 0.5
    return points[~((scaled - scaled.round()).abs() < 1e-3).flatten(1).any(1)]


@pytest.mark.parametrize("features", [1, 2, 4, 8])
def test_encoding(emulated, features):
    grid = Grid(levels=4, features=features, log2_rows=8, base=3, growth=1.6)  # dense and hashed levels
    points = off_the_walls(torch.rand(320, 3, generator=torch.Generator().manual_seed(3)), grid)
    points[:3] += torch.tensor([1.5, 0, 0])
    assert_same(lambda b: lambda p, t: field.encode(p, t, grid, backend=b), (points, noise(grid.rows, features)))


@pytest.mark.parametrize("m, widths", [(200, (32, 64, 64, 4)), (70, (3, 5)), (1, (17, 20, 33, 30, 1))])
def test_network(emulated, m, widths):
    """More than one tile of 64 samples, odd widths, one layer and four."""
    weights = [noise(o, i, seed=i) / i**0.5 for i, o in pairwise(widths)]
    biases = [0.3 * noise(o, seed=o) for o in widths[1:]]
    n = len(weights)
    assert_same(
        lambda backend: lambda x, *p: field.mlp(x, p[:n], p[n:], backend=backend),
        (noise(m, widths[0], seed=9), *weights, *biases),
    )


def test_network_without_gradient_of_its_input(library):
    x, weights = noise(100, 8), [noise(16, 8, seed=1).requires_grad_(), noise(2, 16, seed=2).requires_grad_()]
    got, want = (
        torch.autograd.grad(field.mlp(x, weights, backend=backend).square().sum(), weights)
        for backend in ("emulated", "cpu")
    )
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-3)


@pytest.mark.cuda_full
def test_network_of_more_tiles_than_blocks(library):
    """A block that adds the gradients of two tiles."""
    assert_same(
        lambda backend: lambda x, w: field.mlp(x, [w], backend=backend), (noise(256 * 64 + 30, 2), noise(3, 2)), 1e-3
    )


def packed(r=30):
    """Samples of rays of 0 to 90 of them, up to three turns of a warp; some rays end early."""
    random = torch.Generator().manual_seed(0)
    counts = torch.randint(0, 90, (r,), generator=random)
    counts[3] = 0
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])
    m = int(offsets[-1])
    dt = 0.01 + 0.01 * torch.rand(m, generator=random)
    t = torch.cat([dt[a:b].cumsum(0) + 0.3 for a, b in pairwise(offsets)])
    ray = torch.repeat_interleave(torch.arange(r, dtype=torch.int32), counts)
    density = 25 * torch.rand(m, generator=random) * (torch.arange(m) % 3 > 0)
    return density, torch.rand(m, 3, generator=random), Samples(t, dt, ray, offsets, torch.zeros(r).int())


def test_compositing(emulated):
    density, colour, samples = packed()

    def light(backend):
        given = samples.map(wide) if backend == "reference" else samples

        def run(d, c):
            seen = field.composite(d, c, given, backend=backend)
            return seen.rgb, seen.alpha, seen.depth, seen.weights

        return run

    assert_same(light, (density, colour))
    alpha = field.composite(density, colour, samples, backend="emulated").alpha
    assert 2 < int((alpha > 1 - 1.1e-4).sum()) < 25 and alpha[3] == 0


def scene(r=150):
    origins = torch.nn.functional.normalize(noise(r, 3, seed=1), dim=-1) * 0.7
    directions = 0.15 * noise(r, 3, seed=2) - origins
    directions[:4] = torch.tensor([[0, 0, -1.0], [0, 0, 1.0], [1.0, 0, 0], [0, 2.0, 0]])
    origins[:4] = torch.tensor([[0.05, 0.02, 0.6], [0.05, 0.02, 0.6], [-0.6, 0.03, 0.01], [0.9, -0.6, 0.01]])
    cells = torch.rand(7, 9, 8, generator=torch.Generator().manual_seed(1)) < 0.33
    near = 0.1 + 0.05 * torch.rand(r, generator=torch.Generator().manual_seed(1))
    box = torch.tensor([[-0.2, -0.25, -0.3], [0.25, 0.2, 0.3]])
    return Rays(origins, directions, near, torch.full((r,), 1.6)), Occupancy(cells, box)


@pytest.mark.parametrize("limit", [None, 5])
def test_marching(emulated, limit):
    """Jumps over empty cells lose no sample: all are looked up by the other backends."""
    rays, occupancy = scene()
    jitter = torch.rand(150, generator=torch.Generator().manual_seed(4))
    got = field.march(rays, occupancy, 0.011, jitter, limit, backend="emulated")
    for backend in BACKENDS:
        given = [rays, occupancy, jitter] if backend == "cpu" else [rays.map(wide), occupancy.map(wide), wide(jitter)]
        want = field.march(given[0], given[1], 0.011, given[2], limit, backend=backend)
        places = [((s.t - rays.near[s.ray]) / 0.011 - jitter[s.ray]).round().int().tolist() for s in (got, want)]
        keys = [set(zip(s.ray.tolist(), k, strict=True)) for s, k in zip((got, want), places, strict=True)]
        assert len(got) > (500 if limit else 2000)
        assert len(keys[0] ^ keys[1]) <= 4  # a sample on the wall of a cell may fall either way
        assert ((got.next - want.next).abs() <= 1).float().mean() > 0.98
    later = field.march(rays, occupancy, 0.011, jitter, limit, first=got.next, backend="emulated")
    assert limit or len(later) == 0


def test_same_bits_in_every_order_of_threads(library):
    grid = Grid(levels=4, features=2, log2_rows=8, base=3, growth=1.6)
    density, colour, samples = packed()
    points = torch.rand(100, 3, generator=torch.Generator().manual_seed(0))
    results = []
    try:
        for order in ("forward", "reverse", "random"):
            library.order(order)
            rays, occupancy = scene()
            marched = field.march(rays, occupancy, 0.02, backend="emulated")
            *exact, of_table = gradients(
                lambda p, t: field.encode(p, t, grid, backend="emulated"), (points, noise(grid.rows, 2))
            )
            exact += gradients(lambda x, w: field.mlp(x, [w], backend="emulated"), (noise(100, 3), noise(5, 3)))
            exact += gradients(lambda d, c: field.composite(d, c, samples, backend="emulated").rgb, (density, colour))
            results.append(([*exact, marched.t, marched.offsets], of_table))
    finally:
        library.order("forward")
    for exact, of_table in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(exact, results[0][0], strict=True))
        torch.testing.assert_close(of_table, results[0][1], rtol=1e-5, atol=1e-5)  # by atomics


def test_nothing_in_gives_nothing_out(library):
    rays, occupancy = scene()
    empty = field.march(rays, dataclasses.replace(occupancy, cells=occupancy.cells & False), 0.01, backend="emulated")
    assert len(empty) == 0
    light = field.composite(empty.t, torch.zeros(0, 3), empty, backend="emulated")
    assert light.rgb.shape == (150, 3) and not light.rgb.any()
    assert field.mlp(torch.zeros(0, 8), [noise(3, 8)], backend="emulated").shape == (0, 3)


def test_unsound_arguments_are_refused(library):
    def call(name, *arguments):
        gpu.library("emulated").call(name, *arguments)

    nothing, grid = torch.zeros(1), Grid(levels=2, features=2, log2_rows=8, base=3)
    sizes = (Host(grid.scales), Host(grid.shapes))
    with pytest.raises(AvatarError, match="3 features"):
        call("a3d_gpu_grid_encode", nothing, nothing, *sizes, 0, 2, 3, grid.rows, nothing)
    with pytest.raises(AvatarError, match="level 1 of the grid is not sound"):
        call("a3d_gpu_grid_encode", nothing, nothing, *sizes, 0, 2, 2, grid.rows - 1, nothing)
    with pytest.raises(AvatarError, match="width of 65"):
        call("a3d_gpu_mlp_forward", nothing, nothing, Host(torch.tensor([65, 3])), 0, 1, nothing)
    with pytest.raises(AvatarError, match="9 layers"):
        call("a3d_gpu_mlp_forward", nothing, nothing, Host(torch.ones(10, dtype=torch.int64)), 0, 9, nothing)
    rays, occupancy = scene()
    with pytest.raises(AvatarError, match="a box from"):
        field.march(rays, dataclasses.replace(occupancy, box=occupancy.box.flip(0)), 0.1, backend="emulated")
