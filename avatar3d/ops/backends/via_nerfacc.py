"""Ray marching and volume compositing by NerfAcc (Li et al. 2023; written for 0.5.3, the only file that imports it).

Not run on a device by us: its published sources fix the arguments and the positions of samples, and its Python half
runs in our tests with stand-ins for its kernels (tests/ops/test_nerfacc.py).
"""

from typing import Any

import torch
from torch import Tensor

from avatar3d.ops.field_types import Light, Occupancy, Rays, Samples
from avatar3d.ops.reference_field import OPAQUE, RAY_DONE


def probe() -> None:
    """Raises what keeps NerfAcc from working: it imports without its kernels, and fails at the first call."""
    from nerfacc.cuda import _backend  # pyright: ignore[reportMissingImports]

    if not hasattr(getattr(_backend, "_C", None), "traverse_grids"):
        raise RuntimeError("its kernels are not compiled, and there is no nvcc to do it")


def march(rays: Rays, occupancy: Occupancy, step: float, jitter: Tensor, limit: int, first: Tensor | None) -> Samples:
    """Returns samples in occupied cells, as `ops.field.march`; t is added up step by step, so its last bits differ.

    NerfAcc puts samples at the middles of intervals of one length that begin at its near plane, whatever the cells:
    with that plane half a step before our first place, the middles are our places.
    """
    from nerfacc import traverse_grids  # pyright: ignore[reportMissingImports]

    begin = rays.near + (jitter - 0.5) * step
    skipped = torch.zeros_like(begin) if first is None else first.clamp_max(1 << 24).to(begin.dtype)
    # A ray that is done begins behind its end.
    near = begin + skipped * step
    samples: Any
    _, samples, _ = traverse_grids(
        rays.origins,
        rays.directions,
        occupancy.cells.permute(2, 1, 0)[None].contiguous(),  # its axes are x y z
        occupancy.box.reshape(1, 6).contiguous(),
        near_planes=near.contiguous(),
        far_planes=torch.maximum(rays.far, near).contiguous(),
        step_size=step,
        cone_angle=0.0,
        traverse_steps_limit=None if limit >= RAY_DONE - 1 else limit,
    )
    counts, t = samples.packed_info[:, 1].long(), samples.vals
    offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    after = torch.full_like(counts, RAY_DONE)
    cut = counts >= limit
    last = t[(offsets[1:] - 1).clamp_min(0)[cut]]
    after[cut] = ((last - rays.near[cut]) / step - jitter[cut]).round().long() + 1
    return Samples(t, torch.full_like(t, step), samples.ray_indices.int(), offsets, after.int())


def composite(density: Tensor, colour: Tensor, samples: Samples) -> Light:
    """Returns what rays see of a volume, as `ops.field.composite`; sums are atomic, so their last bits vary."""
    from nerfacc import accumulate_along_rays, render_weight_from_density  # pyright: ignore[reportMissingImports]

    rays, ray = len(samples.offsets) - 1, samples.ray.long()
    half = samples.dt / 2
    packed = torch.stack([samples.offsets[:-1], samples.offsets.diff()], dim=-1)
    weights, left, _ = render_weight_from_density(
        samples.t - half, samples.t + half, density, packed_info=packed, ray_indices=ray, n_rays=rays
    )
    weights = torch.where(left > OPAQUE, weights, 0.0)
    values = (colour, None, samples.t[:, None])
    rgb, alpha, depth = (accumulate_along_rays(weights, x, ray_indices=ray, n_rays=rays) for x in values)
    return Light(rgb, alpha[:, 0], depth[:, 0], weights)
