"""Closest points in plain PyTorch: the oracle of `ops.closest`, and the place to read the mathematics."""

import torch
from jaxtyping import Float, Int, Int32
from torch import Tensor

_AT_ONCE = 1 << 20
"""Pairs of points and faces."""
_FLAT = 1e-12
"""Squared sine of two edges below which a triangle is no more than its edges."""


def closest(
    points: Float[Tensor, "m 3"], vertices: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"], radius: float
) -> tuple[Int32[Tensor, " m"], Float[Tensor, "m 3"], Float[Tensor, " m"]]:
    """Returns faces, weights and distances; every point against every face, the twin of `ops.closest.closest`.

    The closest point of a triangle is the projection on its plane where that has no negative weight, else the closest
    of its edges' points (Ericson, "Real-Time Collision Detection", 2005, 5.1.5). Corners are taken in rising order of
    their numbers, so that faces agree on an edge or vertex that they share, bit for bit.
    """
    ids, order = faces.long().sort(dim=1)
    corners = vertices[ids]  # f 3 xyz
    sides = [(0, 1), (0, 2), (1, 2)]
    edges = torch.stack([corners[:, j] - corners[:, i] for i, j in sides], 1)
    lengths = (edges * edges).sum(-1)
    per_length = torch.where(lengths > 1e-36, 1 / lengths.clamp_min(1e-36), 0)
    ab, ac = edges[:, 0], edges[:, 1]
    normal = torch.linalg.cross(ab, ac)
    area = (normal * normal).sum(-1, keepdim=True)
    flat = ~(area[:, 0] > _FLAT * lengths[:, 0] * lengths[:, 1])
    safe = torch.where(flat[:, None], 1, area)
    along = torch.stack([torch.linalg.cross(ac, normal), torch.linalg.cross(normal, ab)], 1) / safe[:, None]
    normal = normal / safe.sqrt()

    face, bary, distance = [], [], []
    for some in points.split(max(1, _AT_ONCE // len(faces))):
        seen = corners - some[:, None, None]  # m f 3 xyz
        v, w = (-(seen[:, :, 0] * along[:, k]).sum(-1) for k in range(2))
        weights = torch.stack([1 - v - w, v, w], -1)
        inside = (weights >= 0).all(-1) & ~flat
        squared = torch.full_like(v, torch.inf)
        at_edge = torch.zeros_like(weights)
        for k, (i, j) in enumerate(sides):
            start, end = seen[:, :, i], seen[:, :, j]
            edge = end - start
            share = (-(start * edge).sum(-1) * per_length[:, k]).clamp(0, 1)
            at = torch.where((share >= 1)[..., None], end, start + share[..., None] * edge)
            away, weight = (at * at).sum(-1), torch.zeros_like(weights)
            weight[..., i], weight[..., j] = 1 - share, share
            at_edge = torch.where((away < squared)[..., None], weight, at_edge)
            squared = torch.minimum(squared, away)
        squared = torch.where(inside, (seen[:, :, 0] * normal).sum(-1).square(), squared)
        squared = squared.nan_to_num(nan=torch.inf)
        best, which = squared.min(-1)
        which = (squared == best[:, None]).int().argmax(-1)  # the first of equals
        sorted_weights = torch.where(inside[..., None], weights, at_edge)[torch.arange(len(some)), which]
        near = (best <= radius * radius) & (best < torch.inf)
        own = torch.zeros_like(sorted_weights).scatter(1, order[which], sorted_weights)
        face.append(torch.where(near, which, -1).int())
        bary.append(torch.where(near[:, None], own, 0))
        distance.append(torch.where(near, best.sqrt(), radius))
    empty = points.new_empty(0)
    return torch.cat([empty.int(), *face]), torch.cat([empty.reshape(0, 3), *bary]), torch.cat([empty, *distance])
