"""The ops of radiance fields in plain PyTorch: their oracles, and the place to read the mathematics."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int32
from torch import Tensor

from avatar3d.ops.field_types import Grid, Light, Occupancy, Rays, Samples

OPAQUE = 1e-4
"""A ray ends where no more light than this is left."""
RAY_DONE = 2**31 - 1
_PRIMES = (1, 2654435761, 805459861)


def encode(points: Float[Tensor, "m 3"], table: Float[Tensor, "rows features"], grid: Grid) -> Float[Tensor, "m width"]:
    """Returns features of points by a multiresolution hash grid; the twin of `ops.field.encode`.

    A level of scale s puts vertices at (k - 1/2) / s: pos = s x + 1/2, the cell is floor(pos). Vertex (x, y, z) has row
    x + y N + z N^2 of a dense level of N vertices along an axis, (x ^ y p1 ^ z p2) mod rows of a hashed one.
    """
    inside = points.clamp(0, 1)
    features = []
    for scale, (vertices, first, rows, hashed) in zip(grid.scales.tolist(), grid.shapes.tolist(), strict=True):
        scaled = inside * scale + 0.5
        corner = scaled.detach().floor()
        fraction = scaled - corner
        total: Tensor | float = 0.0
        for which in range(8):
            bits = [which >> axis & 1 for axis in range(3)]
            x, y, z = (corner[:, axis].long() + bits[axis] for axis in range(3))
            if hashed:
                wide = [(v * p) & 0xFFFFFFFF for v, p in zip((x, y, z), _PRIMES, strict=True)]
                row = (wide[0] ^ wide[1] ^ wide[2]) & (rows - 1)
            else:
                row = (x + (y + z * vertices) * vertices) % rows
            share = [fraction[:, axis] if bits[axis] else 1 - fraction[:, axis] for axis in range(3)]
            total = total + (share[0] * share[1] * share[2])[:, None] * table[first + row]
        features.append(total)
    return torch.cat(features, dim=-1)  # type: ignore[arg-type]


def march(
    rays: Rays,
    occupancy: Occupancy,
    step: float,
    jitter: Float[Tensor, " r"],
    limit: int,
    first: Int32[Tensor, " r"] | None,
) -> Samples:
    """Returns samples in occupied cells by looking up every one; the twin of `ops.field.march`."""
    near, low, high = rays.near, occupancy.box[0], occupancy.box[1]
    walls = torch.stack([low, high])[:, None] - rays.origins
    hits = walls / rays.directions
    level = (rays.directions == 0) & (walls[0] <= 0) & (walls[1] >= 0)  # along the walls, between them
    enter = torch.where(level, -torch.inf, hits.amin(0)).amax(-1)
    leave = torch.where(level, torch.inf, hits.amax(0)).amin(-1)
    begin, end = torch.maximum(near, enter), torch.minimum(rays.far, leave)
    begin, end = begin.nan_to_num(nan=torch.inf), end.nan_to_num(nan=-torch.inf)  # beside the box
    alive = begin < end
    lengths = torch.where(alive, end - near, 0.0)
    count = max(1, int((lengths.max() / step).ceil()) + 1) if len(near) else 1
    k = torch.arange(count, device=near.device)
    t = near[:, None] + (k + jitter[:, None]) * step
    wanted = alive[:, None] & (t >= begin[:, None]) & (t < end[:, None])
    if first is not None:
        wanted &= k >= first[:, None]
    sizes = torch.tensor(occupancy.cells.shape[::-1], device=near.device)
    points = rays.origins[:, None] + t[..., None] * rays.directions[:, None]
    cell = ((points - low) * (sizes / (high - low))).floor().clamp(min=torch.zeros_like(sizes), max=sizes - 1).long()
    wanted &= occupancy.cells[cell[..., 2], cell[..., 1], cell[..., 0]]
    wanted &= wanted.cumsum(1) <= limit
    counts = wanted.sum(1)
    last = (wanted * (k + 1)).amax(1)
    after = torch.where(counts == limit, last, RAY_DONE).int()
    offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    ray = wanted.nonzero()[:, 0].int()
    return Samples(t[wanted], torch.full_like(t[wanted], step), ray, offsets, after)


def composite(density: Float[Tensor, " m"], colour: Float[Tensor, "m 3"], samples: Samples) -> Light:
    """Returns what rays see of a volume; the twin of `ops.field.composite`."""
    counts = samples.offsets.diff()
    ray, place = samples.ray.long(), torch.arange(len(samples), device=density.device) - samples.offsets[samples.ray]
    longest = max(1, int(counts.max())) if len(counts) else 1
    depth = density.new_zeros(len(counts), longest).index_put((ray, place), density * samples.dt)
    alpha = -torch.expm1(-depth)
    left = torch.exp(-torch.cat([torch.zeros_like(depth[:, :1]), depth.cumsum(1)[:, :-1]], dim=1))
    weights = torch.where(left > OPAQUE, left * alpha, 0.0)[ray, place]
    sums = [weights[:, None] * colour, weights, weights * samples.t]
    rgb, opacity, distance = (x.new_zeros(len(counts), *x.shape[1:]).index_add(0, ray, x) for x in sums)
    return Light(rgb, opacity, distance, weights)


def mlp(x: Float[Tensor, "m c"], weights: Sequence[Tensor], biases: Sequence[Tensor]) -> Float[Tensor, "m k"]:
    """Returns the output of dense layers with ReLU between them; the twin of `ops.field.mlp`."""
    for i, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        x = torch.nn.functional.linear(x if i == 0 else x.relu(), weight, bias)
    return x
