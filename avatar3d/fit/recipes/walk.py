"""Points that walk on a triangle mesh: over an edge they go on in the neighbour's plane (SplattingAvatar)."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatar3d.core import Binding

_STEPS = 8  # triangles that a point may cross in one walk


@dataclass(frozen=True)
class Neighbours:
    """What lies across the edges of triangles."""

    face: Int[Tensor, "f 3"]
    """The triangle across the edge opposite to each corner; -1 at a border."""


def neighbours(faces: Int[Tensor, "f 3"]) -> Neighbours:
    """Returns the triangle across each edge."""
    corners = faces.numpy()
    edges = np.sort(np.stack([corners[:, [1, 2]], corners[:, [2, 0]], corners[:, [0, 1]]], 1), axis=-1).reshape(-1, 2)
    order = np.lexsort((edges[:, 1], edges[:, 0]))
    same = (edges[order[1:]] == edges[order[:-1]]).all(-1)
    across = np.full(len(edges), -1, np.int64)
    a, b = order[:-1][same], order[1:][same]
    across[a], across[b] = b // 3, a // 3
    return Neighbours(torch.from_numpy(across.reshape(-1, 3)))


def walk(binding: Binding, rest: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"], beside: Neighbours) -> Binding:
    """Returns points whose barycentric coordinates may be negative, moved to the triangle they have walked to.

    A point beyond an edge is carried over isometrically: along the edge it stays where it is, across it goes on in the
    neighbour's plane. At a border, and after eight triangles, it stays on the edge.
    """
    face, bary = binding.face.clone(), binding.bary.clone()
    for _ in range(_STEPS):
        away = torch.nonzero(bary.amin(-1) < 0)[:, 0]
        if not len(away):
            break
        corner = bary[away].argmin(-1)
        there = beside.face[face[away], corner]
        border = there < 0
        bary[away[border]] = _clamped(bary[away[border]])
        away, corner, there = away[~border], corner[~border], there[~border]
        here = rest[faces[face[away]]]
        rows = torch.arange(len(away))
        start, end, opposite = (here[rows, (corner + i) % 3] for i in (1, 2, 0))
        point = (here * bary[away, :, None]).sum(1) - start
        along = torch.nn.functional.normalize(end - start, dim=-1)
        # Positive beyond the edge: away from the opposite corner.
        out = -_across(opposite - start, along)
        far = (point * torch.nn.functional.normalize(out, dim=-1)).sum(-1, keepdim=True)
        new = rest[faces[there]]
        # The neighbour's third corner is the one farthest from the shared edge.
        height = torch.stack([_across(new[:, i] - start, along) for i in range(3)], 1)
        third = height[rows, height.norm(dim=-1).argmax(-1)]
        landed = start + (point * along).sum(-1, keepdim=True) * along
        landed = landed + far * torch.nn.functional.normalize(third, dim=-1)
        face[away], bary[away] = there, _coordinates(landed, new)
    return Binding(face, _clamped(bary))


def _across(v: Float[Tensor, "m 3"], along: Float[Tensor, "m 3"]) -> Float[Tensor, "m 3"]:
    return v - (v * along).sum(-1, keepdim=True) * along


def _clamped(bary: Float[Tensor, "m 3"]) -> Float[Tensor, "m 3"]:
    bary = bary.clamp(min=0)
    return bary / bary.sum(-1, keepdim=True).clamp(min=1e-6)


def _coordinates(points: Float[Tensor, "m 3"], corners: Float[Tensor, "m 3 3"]) -> Float[Tensor, "m 3"]:
    """Returns barycentric coordinates of points in the planes of triangles."""
    a, b, c = corners.unbind(1)
    e, f, p = b - a, c - a, points - a
    ee, ef, ff, pe, pf = ((x * y).sum(-1) for x, y in ((e, e), (e, f), (f, f), (p, e), (p, f)))
    whole = (ee * ff - ef * ef).clamp(min=1e-20)
    u, v = (ff * pe - ef * pf) / whole, (ee * pf - ef * pe) / whole
    return torch.stack([1 - u - v, u, v], dim=-1)
