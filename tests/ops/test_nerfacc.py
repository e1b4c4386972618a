"""NerfAcc's adapter: against a stand-in that marches as its kernel does, and the real package's parameters."""

import inspect
import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch

from avatar3d.ops import field
from avatar3d.ops.backends import via_nerfacc
from avatar3d.ops.field_types import Occupancy, Rays


def traverse_grids(
    rays_o,
    rays_d,
    binaries,
    aabbs,
    near_planes=None,
    far_planes=None,
    step_size=1e-3,
    cone_angle=0.0,
    traverse_steps_limit=None,
    over_allocate=False,
    rays_mask=None,
    t_sorted=None,
    t_indices=None,
    hits=None,
):
    """`nerfacc.traverse_grids` 0.5.3 for one grid: intervals of one length from the near plane, kept where their middle
    is inside the box and an occupied cell."""
    assert cone_angle == 0 and binaries.ndim == 4 and aabbs.shape == (1, 6)
    low, high, cells = aabbs[0, :3], aabbs[0, 3:], torch.tensor(binaries.shape[1:])
    found, counts = [], []
    for o, d, near, far in zip(rays_o, rays_d, near_planes, far_planes, strict=True):
        walls = torch.stack([(low - o) / d, (high - o) / d])
        enter, leave = max(float(walls.amin(0).max()), float(near)), min(float(walls.amax(0).min()), float(far))
        last, kept = float(near), 0
        while last + step_size / 2 < leave and (traverse_steps_limit is None or kept < traverse_steps_limit):
            middle = last + step_size / 2
            cell = ((o + middle * d - low) / (high - low) * cells).floor().long()
            if middle >= enter and bool(((cell >= 0) & (cell < cells)).all()) and bool(binaries[0][tuple(cell)]):
                found.append(middle)
                kept += 1
            last += step_size
        counts.append(kept)
    counts_ = torch.tensor(counts)
    packed = torch.stack([counts_.cumsum(0) - counts_, counts_], dim=-1)
    ray = torch.arange(len(counts)).repeat_interleave(counts_)
    return None, SimpleNamespace(vals=torch.tensor(found), ray_indices=ray, packed_info=packed), None


def render_weight_from_density(
    t_starts, t_ends, sigmas, packed_info=None, ray_indices=None, n_rays=None, prefix_trans=None
):
    """`nerfacc.render_weight_from_density`: (weights, transmittance before each sample, alphas)."""
    thickness = sigmas * (t_ends - t_starts)
    before = torch.cat([part.cumsum(0) - part for part in thickness.split(packed_info[:, 1].tolist())])
    left, alphas = torch.exp(-before), 1 - torch.exp(-thickness)
    return left * alphas, left, alphas


def accumulate_along_rays(weights, values=None, ray_indices=None, n_rays=None):
    """`nerfacc.accumulate_along_rays`: sums (n_rays, d); d = 1 without values."""
    assert ray_indices.dtype == torch.int64 and (values is None or values.ndim == 2)
    source = weights[:, None] if values is None else weights[:, None] * values
    return source.new_zeros(n_rays, source.shape[1]).index_add(0, ray_indices, source)


STAND_INS = (traverse_grids, render_weight_from_density, accumulate_along_rays)


@pytest.fixture
def stand_in(monkeypatch):
    package = ModuleType("nerfacc")
    for function in STAND_INS:
        setattr(package, function.__name__, function)
    monkeypatch.setitem(sys.modules, "nerfacc", package)


def scene():
    random = torch.Generator().manual_seed(4)
    targets = torch.rand(40, 3, generator=random) - 0.5
    origins = torch.nn.functional.normalize(torch.randn(40, 3, generator=random), dim=-1) * 2
    rays = Rays(
        origins,
        torch.nn.functional.normalize(targets - origins, dim=-1),
        torch.full((40,), 0.5),
        torch.full((40,), 3.1),
    )
    cells = torch.rand(6, 5, 4, generator=random) < 0.4  # z y x, all different: a swapped axis shows
    box = torch.tensor([[-0.6, -0.5, -0.4], [0.5, 0.6, 0.7]])
    return rays, Occupancy(cells, box), torch.rand(40, generator=random)


@pytest.mark.parametrize("limit", [None, 3])
def test_samples_lie_where_ours_do(stand_in, limit):
    rays, occupancy, jitter = scene()
    want = field.march(rays, occupancy, 0.03, jitter, limit, backend="reference")
    got = via_nerfacc.march(rays, occupancy, 0.03, jitter, (1 << 31) - 2 if limit is None else limit, None)
    assert len(want) > 80
    # A place on a cell's wall may fall on either side of it.
    agree = got.offsets.diff() == want.offsets.diff()
    assert agree.float().mean() > 0.9
    for ray in agree.nonzero()[:, 0].tolist():
        a, b = (x.t[x.offsets[ray] : x.offsets[ray + 1]] for x in (got, want))
        torch.testing.assert_close(a, b, atol=2e-5, rtol=0)
    assert torch.equal(got.next[agree], want.next[agree])
    if limit is not None:  # the next round goes on behind the first, and rays that are done stay so
        rest = via_nerfacc.march(rays, occupancy, 0.03, jitter, (1 << 31) - 2, got.next)
        whole = via_nerfacc.march(rays, occupancy, 0.03, jitter, (1 << 31) - 2, None)
        assert torch.equal(rest.offsets.diff() + got.offsets.diff(), whole.offsets.diff())


def test_light_and_its_gradients_are_ours(stand_in):
    rays, occupancy, jitter = scene()
    samples = field.march(rays, occupancy, 0.03, jitter, backend="reference")
    random = torch.Generator().manual_seed(5)
    density = (torch.rand(len(samples), generator=random) * 60).double().requires_grad_()  # some rays close
    colour = torch.rand(len(samples), 3, generator=random).double().requires_grad_()
    samples = samples.map(lambda x: x.double() if x.is_floating_point() else x)
    results = []
    for light in (
        via_nerfacc.composite(density, colour, samples),
        field.composite(density, colour, samples, "reference"),
    ):
        loss = light.rgb.square().sum() + (light.alpha * 2).sum() + light.depth.sum() + light.weights.square().sum()
        results.append(
            (light.rgb, light.alpha, light.depth, light.weights, *torch.autograd.grad(loss, (density, colour)))
        )
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, atol=1e-9, rtol=1e-7)


def test_the_real_package_has_these_parameters():
    nerfacc = pytest.importorskip("nerfacc", reason="nerfacc is not installed: `pip install nerfacc`")
    for function in STAND_INS:
        real = inspect.signature(getattr(nerfacc, function.__name__)).parameters
        assert list(real) == list(inspect.signature(function).parameters), function.__name__
