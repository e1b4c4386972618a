import dataclasses
from itertools import pairwise

import pytest
import torch

from avatar3d.core import AvatarError
from avatar3d.ops import field, native, reference_field
from avatar3d.ops.field import Grid, Occupancy, Rays, Samples

ISAS = native.isas() if native.available() else ()
GRIDS = {
    "dense": Grid(levels=2, features=2, log2_rows=12, base=4, growth=1.7),
    "hashed": Grid(levels=5, features=4, log2_rows=8, base=3, growth=1.6),
    "one": Grid(levels=3, features=1, log2_rows=9, base=5, growth=1.5),
    "eight": Grid(levels=3, features=8, log2_rows=9, base=5, growth=1.5),
}


def noise(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def off_the_walls(points: torch.Tensor, grid: Grid) -> torch.Tensor:
    """Points so far from the walls of cells that float32 finds the same cell."""
    scaled = points.double()[..., None] * grid.scales.double() + 0.5
    near = ((scaled - scaled.round()).abs() < 1e-3).flatten(1).any(1)
    return points[~near]


def points_of(grid: Grid, m: int = 400) -> torch.Tensor:
    inside = off_the_walls(torch.rand(m, 3, generator=torch.Generator().manual_seed(3)), grid)
    return torch.cat([inside, inside[:5] + torch.tensor([1.5, 0, 0]), inside[:3] - torch.tensor([0, 2.0, 0])])


def scene(r: int = 150, seed: int = 1) -> tuple[Rays, Occupancy]:
    """Rays from all around at a box that is two thirds empty, some of them along an axis or beside it."""
    origins = torch.nn.functional.normalize(noise(r, 3, seed=seed), dim=-1) * 0.7
    directions = 0.15 * noise(r, 3, seed=seed + 1) - origins
    directions[:4] = torch.tensor([[0, 0, -1.0], [0, 0, 1.0], [1.0, 0, 0], [0, 2.0, 0]])
    origins[:4] = torch.tensor([[0.05, 0.02, 0.6], [0.05, 0.02, 0.6], [-0.6, 0.03, 0.01], [0.9, -0.6, 0.01]])
    cells = torch.rand(7, 9, 8, generator=torch.Generator().manual_seed(seed)) < 0.33
    box = torch.tensor([[-0.2, -0.25, -0.3], [0.25, 0.2, 0.3]])
    near = 0.1 + 0.05 * torch.rand(r, generator=torch.Generator().manual_seed(seed))
    return Rays(origins, directions, near, torch.full((r,), 1.6)), Occupancy(cells, box)


def packed(r: int = 40, seed: int = 0, dtype=torch.float32):
    """Samples of rays of 0 to 50 of them, dense enough that some rays end early, none near the threshold."""
    random = torch.Generator().manual_seed(seed)
    counts = torch.randint(0, 50, (r,), generator=random)
    counts[3] = 0
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])
    m = int(offsets[-1])
    dt = 0.01 + 0.01 * torch.rand(m, generator=random, dtype=torch.float64)
    t = torch.cat([dt[a:b].cumsum(0) + 0.3 for a, b in pairwise(offsets)])
    ray = torch.repeat_interleave(torch.arange(r, dtype=torch.int32), counts)
    density = 40 * torch.rand(m, generator=random, dtype=torch.float64) * (torch.arange(m) % 3 > 0)
    samples = Samples(t.to(dtype), dt.to(dtype), ray, offsets, torch.zeros(r, dtype=torch.int32))
    return density.to(dtype), torch.rand(m, 3, generator=random, dtype=torch.float64).to(dtype), samples


def gradients(function, inputs, seed=5):
    """Outputs of a function and the gradients of its inputs for random cotangents."""
    leaves = [x.clone().requires_grad_() for x in inputs]
    out = function(*leaves)
    out = out if isinstance(out, tuple) else (out,)
    total = sum((x * noise(*x.shape, seed=seed + i, dtype=x.dtype)).sum() for i, x in enumerate(out))
    return out, torch.autograd.grad(total, leaves)


def assert_same(got, want, tolerance=2e-5):
    for a, b in zip(got, want, strict=True):
        scale = float(b.detach().abs().max())
        assert scale > 1e-3
        torch.testing.assert_close(a.double(), b.double(), atol=tolerance * scale, rtol=tolerance)


def both(function, twin, inputs):
    """Kernel and float64 twin give the same values and gradients."""
    got, got_gradients = gradients(function, inputs)
    want, want_gradients = gradients(twin, [x.double() for x in inputs])
    assert_same(got, want)
    assert_same(got_gradients, want_gradients, 1e-4)


@pytest.mark.parametrize("level", ISAS)
@pytest.mark.parametrize("name", GRIDS)
def test_encoding_equals_its_twin(name, level):
    grid = GRIDS[name]
    points, table = points_of(grid), noise(grid.rows, grid.features)
    with native.using_isa(level):
        both(
            lambda p, t: field.encode(p, t, grid),
            lambda p, t: reference_field.encode(p, t, grid),
            (points, table),
        )


def test_grid_has_the_sizes_of_tiny_cuda_nn():
    """Its 16-level defaults (base 16, growth 1.5, 2^15 rows): 16^3 and 24^3 dense, from 36^3 on hashed."""
    grid = Grid(levels=16, features=2, log2_rows=15, base=16, growth=1.5)
    assert grid.shapes[:3].tolist() == [[16, 0, 4096, 0], [24, 4096, 13824, 0], [36, 17920, 32768, 1]]
    assert grid.rows == 4096 + 13824 + 14 * 32768
    assert Grid(base=3, growth=1.0, levels=1, log2_rows=8).shapes.tolist() == [[3, 0, 32, 0]]  # 27 rows, in eights


def test_points_on_the_border_and_beyond_stay_in_the_table():
    for grid in GRIDS.values():
        corners = torch.cartesian_prod(*[torch.tensor([-1.0, 0.0, 1.0, torch.nan, 1e30])] * 3)
        features = field.encode(corners, noise(grid.rows, grid.features), grid)
        assert torch.isfinite(features).all()
        _, (of_points, of_table) = gradients(
            lambda p, t, g=grid: field.encode(p, t, g), (corners, features.new_ones(grid.rows, grid.features))
        )
        assert torch.isfinite(of_points).all() and torch.isfinite(of_table).all()


@pytest.mark.parametrize("level", ISAS)
@pytest.mark.parametrize("widths", [(32, 64, 64, 4), (3, 5), (17, 128, 33, 1), (16, 20, 20, 20, 20, 16)])
def test_network_equals_its_twin(widths, level):
    weights = [noise(o, i, seed=i) / i**0.5 for i, o in pairwise(widths)]
    biases = [0.3 * noise(o, seed=o) for o in widths[1:]]
    n = len(weights)
    with native.using_isa(level):
        for m in (1, 100, 3100):
            both(
                lambda x, *p: field.mlp(x, p[:n], p[n:]),
                lambda x, *p: reference_field.mlp(x, p[:n], p[n:]),
                (noise(m, widths[0], seed=9), *weights, *biases),
            )


def test_wide_networks_go_through_torch():
    x, weight = noise(10, 200), noise(3, 200)
    torch.testing.assert_close(field.mlp(x, [weight]), x @ weight.mT, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("level", ISAS)
def test_compositing_equals_its_twin(level):
    density, colour, samples = packed()
    twin = dataclasses.replace(samples, t=samples.t.double(), dt=samples.dt.double())

    def run(module, given):
        def light(d, c):
            seen = module.composite(d, c, given)
            return seen.rgb, seen.alpha, seen.depth, seen.weights

        return light

    with native.using_isa(level):
        both(run(field, samples), run(reference_field, twin), (density, colour))
    light = field.composite(density, colour, samples)
    ended = light.alpha > 1 - 1.1e-4
    assert 2 < int(ended.sum()) < 35  # both kinds of rays are there
    assert light.alpha[3] == 0 and not light.rgb[3].any()


def test_thin_media_keep_their_digits():
    density = torch.tensor([1e-6, 3e-2, 2.9, 30.0])
    samples = Samples(torch.ones(4), torch.ones(4), torch.arange(4).int(), torch.arange(5), torch.zeros(4).int())
    alpha = field.composite(density, torch.zeros(4, 3), samples).alpha
    torch.testing.assert_close(alpha.double(), -torch.expm1(-density.double()), rtol=2e-6, atol=0)


@pytest.mark.parametrize("level", ISAS)
@pytest.mark.parametrize("limit", [None, 5])
def test_marching_equals_looking_up_every_sample(level, limit):
    rays, occupancy = scene()
    jitter = torch.rand(len(rays.near), generator=torch.Generator().manual_seed(4))
    with native.using_isa(level):
        got = field.march(rays, occupancy, 0.011, jitter, limit)
    doubled = (x.map(lambda t: t.double() if t.is_floating_point() else t) for x in (rays, occupancy))
    want = reference_field.march(*doubled, 0.011, jitter.double(), limit or 10**6, None)
    places = [((s.t - rays.near[s.ray]) / 0.011 - jitter[s.ray]).round().int().tolist() for s in (got, want)]
    keys = [set(zip(s.ray.tolist(), k, strict=True)) for s, k in zip((got, want), places, strict=True)]
    assert (
        len(got) > (500 if limit else 2000) and len(keys[0] ^ keys[1]) <= 4
    )  # a sample on the wall of a cell may fall either way
    assert (got.offsets.diff() - want.offsets.diff()).abs().max() <= 1
    assert ((got.next - want.next).abs() <= 1).all() or limit
    assert torch.equal(got.ray.long(), torch.repeat_interleave(torch.arange(len(rays.near)), got.offsets.diff()))
    points = rays.points(got)
    assert ((points >= occupancy.box[0] - 1e-5) & (points <= occupancy.box[1] + 1e-5)).all()


def test_rounds_give_what_one_march_gives():
    rays, occupancy = scene()
    whole = field.march(rays, occupancy, 0.01)
    first, rounds = None, []
    for _ in range(100):
        part = field.march(rays, occupancy, 0.01, limit=7, first=first)
        rounds.append(part)
        first = part.next
        if (first == 2**31 - 1).all():
            break
    assert len(rounds) > 3
    t, ray = torch.cat([p.t for p in rounds]), torch.cat([p.ray for p in rounds])
    order = torch.argsort(ray, stable=True)
    assert torch.equal(t[order], whole.t) and torch.equal(ray[order], whole.ray)


def test_empty_space_and_no_rays_give_no_samples():
    rays, occupancy = scene()
    nothing = field.march(rays, dataclasses.replace(occupancy, cells=occupancy.cells & False), 0.01)
    assert len(nothing) == 0 and (nothing.next == 2**31 - 1).all()
    light = field.composite(nothing.t, torch.zeros(0, 3), nothing)
    assert not light.rgb.any() and light.rgb.shape == (150, 3)
    assert len(field.march(rays.map(lambda x: x[:0]), occupancy, 0.01)) == 0
    grid = GRIDS["hashed"]
    assert field.encode(torch.zeros(0, 3), noise(grid.rows, 4), grid).shape == (0, 20)
    assert field.mlp(torch.zeros(0, 8), [noise(3, 8)]).shape == (0, 3)


def test_whole_render_has_gradients_to_everything():
    """March, encode, network and light in a row against the same in float64."""
    rays, occupancy = scene(r=40)
    grid = Grid(levels=4, features=2, log2_rows=9, base=4, growth=1.6)
    samples = field.march(rays, occupancy, 0.02)
    low, high = occupancy.box

    def colours(module, given, dtype):
        def run(table, w0, w1, w2):
            points = (rays.to(dtype).points(given) - low.to(dtype)) / (high - low).to(dtype)
            x = module.mlp(
                module.encode(points, table, grid), (w0, w1, w2), [x.new_zeros(len(x)) for x in (w0, w1, w2)]
            )
            light = module.composite(x[:, 0].exp(), x[:, 1:].sigmoid(), given)
            return light.rgb, light.alpha

        return run

    twin = dataclasses.replace(samples, t=samples.t.double(), dt=samples.dt.double())
    inputs = (noise(grid.rows, 2), noise(16, 8) / 3, noise(16, 16) / 4, noise(4, 16) / 2)
    got, got_gradients = gradients(colours(field, samples, torch.float32), inputs)
    want, want_gradients = gradients(colours(reference_field, twin, torch.float64), [x.double() for x in inputs])
    assert_same(got, want, 1e-4)
    assert_same(got_gradients, want_gradients, 2e-3)  # a point near a cell's wall may fall on its other side


def test_the_twins_pass_gradcheck():
    grid = Grid(levels=2, features=2, log2_rows=5, base=3, growth=1.6)  # one level dense, one hashed
    points = points_of(grid, 12)[:6].double().requires_grad_()
    table = noise(grid.rows, grid.features, dtype=torch.float64).requires_grad_()
    check = torch.autograd.gradcheck
    assert check(lambda p, t: reference_field.encode(p, t, grid), (points, table), atol=1e-6)
    density, colour, samples = packed(r=5, dtype=torch.float64)
    thin = (density / 20 + 0.1).requires_grad_()
    run = lambda d, c: tuple(vars(reference_field.composite(d, c, samples)).values())  # noqa: E731
    assert check(run, (thin, colour.requires_grad_()), atol=1e-6)
    weights = [noise(o, i, dtype=torch.float64).requires_grad_() for i, o in ((3, 6), (6, 2))]
    biases = [noise(o, dtype=torch.float64).requires_grad_() for o in (6, 2)]
    x = noise(4, 3, dtype=torch.float64).requires_grad_()
    assert check(lambda x, *p: reference_field.mlp(x, p[:2], p[2:]), (x, *weights, *biases), atol=1e-6)


def test_threads_do_not_change_a_bit():
    grid = GRIDS["hashed"]
    points, table = points_of(grid, 5000), noise(grid.rows, grid.features)
    rays, occupancy = scene(r=500)
    density, colour, samples = packed(r=300)
    weights = [noise(24, 20) / 4, noise(4, 24) / 5]
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found = field.march(rays, occupancy, 0.01)
            parts = [found.t, found.offsets]
            for run, inputs in (
                (lambda p, t: field.encode(p, t, grid), (points, table)),
                (lambda x, *w: field.mlp(x, w), (noise(7000, 20), *weights)),
                (lambda d, c: field.composite(d, c, samples).rgb, (density, colour)),
            ):
                out, grads = gradients(run, inputs)
                parts += [*out, *grads]
            results.append(parts)
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_only_wanted_gradients_are_made():
    grid = GRIDS["dense"]
    table = noise(grid.rows, 2).requires_grad_()
    points = points_of(grid)
    field.encode(points, table, grid).sum().backward()
    assert table.grad is not None and points.grad is None


def test_errors_say_what_is_wrong():
    grid = GRIDS["dense"]
    rays, occupancy = scene(r=5)
    density, colour, samples = packed()
    with pytest.raises(AvatarError, match="the grid wants"):
        field.encode(torch.zeros(1, 3), torch.zeros(5, 2), grid)
    with pytest.raises(AvatarError, match="levels=0"):
        Grid(levels=0)
    with pytest.raises(AvatarError, match="do not follow"):
        field.mlp(torch.zeros(1, 3), [torch.zeros(4, 2)])
    with pytest.raises(AvatarError, match="biases of"):
        field.mlp(torch.zeros(1, 3), [torch.zeros(4, 3)], [torch.zeros(3)])
    with pytest.raises(AvatarError, match="step 0"):
        field.march(rays, occupancy, 0.0)
    with pytest.raises(AvatarError, match="of 5 rays"):
        field.march(rays, occupancy, 0.1, jitter=torch.zeros(4))
    with pytest.raises(AvatarError, match="a box from"):
        field.march(rays, dataclasses.replace(occupancy, box=occupancy.box.flip(0)), 0.1)
    with pytest.raises(AvatarError, match="densities"):
        field.composite(density[1:], colour[1:], samples)
