"""Texels of the head's texture as places for splats."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from avatar3d.core import Binding, HeadModel

# Parts that are looked at: every texel gets a splat. Elsewhere one texel of four does.
_FINE = ("face", "eyes", "teeth", "tongue", "lips", "ears", "brows", "lids")


@dataclass(frozen=True)
class Texels:
    """Valid texels of a texture."""

    binding: Binding
    spacing: Float[Tensor, " n"]
    """Distance to the neighbouring texel that is also kept, metres on the mesh given."""


def texels(head: HeadModel, vertices: Float[Tensor, "v 3"], count: int) -> Texels:
    """Returns about `count` places spread over the head by its texture map, four times denser on the face.

    Args:
        head: Its `uv` and `regions` say where texels lie and which are kept.
        vertices: Mesh at rest, metres.
        count: Wanted number of places.
    """
    faces, uv = head.faces.cpu().numpy(), head.uv.double().cpu().numpy()
    fine = _fine_faces(head.regions, faces)
    area = _area(np.concatenate([uv, np.zeros_like(uv[..., :1])], axis=-1))
    density = np.where(fine, 1.0, 0.25)
    size = max(8, round(math.sqrt(count / max((area * density).sum(), 1e-12))))
    face, bary, row, column = _cover(uv * size, size)
    keep = fine[face] | ((row % 2 == 0) & (column % 2 == 0))
    face, bary = face[keep], bary[keep]
    stretch = _stretch(vertices.double().cpu().numpy()[faces], uv)
    spacing = stretch / size * np.where(fine, 1.0, 2.0)
    binding = Binding(torch.from_numpy(face), torch.from_numpy(bary).float())
    return Texels(binding, torch.from_numpy(spacing[face]).float())


def _fine_faces(regions: Mapping[str, Tensor], faces: np.ndarray) -> np.ndarray:
    weight = np.zeros(int(faces.max()) + 1)
    for name in _FINE:
        if name in regions:
            weight = np.maximum(weight, regions[name].cpu().numpy()[: len(weight)])
    return weight[faces].mean(-1) > 0.5


def _area(corners: np.ndarray) -> np.ndarray:
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return np.linalg.norm(cross, axis=-1) / 2


def _stretch(corners: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Returns metres per unit of texture along the direction in which each face is stretched most."""
    along = np.stack([corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]], -1)
    across = np.stack([uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]], -1)
    flat = np.abs(np.linalg.det(across)) < 1e-12
    across[flat] = np.eye(2)
    stretch = np.linalg.svd(along @ np.linalg.inv(across), compute_uv=False)[:, 0]
    return np.where(flat, 0.0, stretch)


def _cover(uv: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns face, barycentric coordinates, row and column of each texel whose centre lies in a triangle."""
    low = np.clip(np.ceil(uv.min(1) - 0.5), 0, size - 1).astype(np.int64)
    high = np.clip(np.floor(uv.max(1) - 0.5), -1, size - 1).astype(np.int64)
    extent = np.maximum(high - low + 1, 0)
    boxes = extent[:, 0] * extent[:, 1]
    face = np.repeat(np.arange(len(uv)), boxes)
    nth = np.arange(len(face)) - np.repeat(np.cumsum(boxes) - boxes, boxes)
    column = low[face, 0] + nth % np.maximum(extent[face, 0], 1)
    row = low[face, 1] + nth // np.maximum(extent[face, 0], 1)
    centre = np.stack([column, row], axis=-1) + 0.5
    a, b, c = (uv[face, i] for i in range(3))
    whole = _cross2(b - a, c - a)
    safe = np.where(np.abs(whole) < 1e-12, 1.0, whole)
    second, third = _cross2(centre - a, c - a) / safe, _cross2(b - a, centre - a) / safe
    bary = np.stack([1 - second - third, second, third], axis=-1)
    inside = (bary >= 0).all(-1) & (np.abs(whole) > 1e-12)
    face, bary, row, column = face[inside], bary[inside], row[inside], column[inside]
    # A centre on a shared edge belongs to both triangles: the first one has it.
    _, first = np.unique(row * size + column, return_index=True)
    return face[first], bary[first], row[first], column[first]


def _cross2(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
