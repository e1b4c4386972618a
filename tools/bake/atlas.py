"""The bust's texture atlas: MakeHuman's charts, the face's enlarged, packed without overlap.

Fitting puts one splat on each texel, so the atlas decides where the detail goes.
"""

from collections.abc import Mapping

import numpy as np

from .parts import Part, labels

FACE_CENTRE = np.array([0.874, 0.483])
"""MakeHuman's atlas, between the eyes and the nose tip."""
REACH = 0.055
"""Radius within which the head's chart keeps its proportions; further out it shrinks like a logarithm."""
MARGIN = 0.004
"""Free border around each chart, of the atlas's side: one texel at 256."""

_PLACES = {
    # Chart -> left, bottom, width, height of its place in the atlas.
    "head": (0.0, 0.325, 1.0, 0.675),
    "torso": (0.0, 0.0, 0.46, 0.325),
    "mouth": (0.46, 0.0, 0.17, 0.16),
    "tongue": (0.46, 0.16, 0.10, 0.165),
    "socket_left": (0.56, 0.16, 0.07, 0.08),
    "socket_right": (0.56, 0.24, 0.07, 0.08),
    "eye_left": (0.63, 0.14, 0.185, 0.185),
    "eye_right": (0.815, 0.14, 0.185, 0.185),
    "teeth_upper": (0.63, 0.07, 0.37, 0.07),
    "teeth_lower": (0.63, 0.0, 0.37, 0.07),
}


def _charts(part: Part) -> dict[str, np.ndarray]:
    """Returns the body's charts as face masks, told apart by where they lie in MakeHuman's atlas."""
    piece = labels(part.quad_uv, np.ones(len(part.quads), bool))[part.quad_uv[:, 0]]
    centre = part.uv[part.quad_uv].mean(1)
    u, v = (np.bincount(piece, c) / np.maximum(np.bincount(piece), 1) for c in centre.T)
    found = {
        "head": (u > 0.62) & (v > 0.2),
        "mouth": (u > 0.75) & (v < 0.14),
        "socket_left": (u > 0.08) & (u < 0.16) & (np.abs(v - 0.59) < 0.05),
        "socket_right": (u < 0.08) & (np.abs(v - 0.59) < 0.05),
    }
    masks = {name: chart[piece] for name, chart in found.items()}
    masks["torso"] = ~np.any(list(masks.values()), axis=0)
    return masks


def chart_vertices(part: Part) -> dict[str, np.ndarray]:
    """Returns the vertices of each of the body's charts; those on a seam are in two."""
    return {name: np.unique(part.quads[mask]) for name, mask in _charts(part).items()}


def _enlarge(uv: np.ndarray) -> np.ndarray:
    """Returns the head's chart, upright, with the face enlarged: radii r about the face become asinh(r / REACH)."""
    offset = uv - FACE_CENTRE
    radius = np.linalg.norm(offset, axis=1, keepdims=True)
    warped = offset * np.arcsinh(radius / REACH) / np.maximum(radius, 1e-9)
    return np.stack([warped[:, 1], -warped[:, 0]], axis=1)  # MakeHuman lays the head on its side


def _fit(uv: np.ndarray, place: tuple[float, float, float, float]) -> np.ndarray:
    """Returns uv stretched to fill its place but for the margin."""
    low, high = uv.min(0), uv.max(0)
    corner = np.array(place[:2]) + MARGIN
    return corner + (uv - low) / (high - low) * (np.array(place[2:]) - 2 * MARGIN)


def pack(parts: Mapping[str, Part]) -> tuple[np.ndarray, np.ndarray]:
    """Returns quads (f 4, of all parts in order) and their corners' texture coordinates (f 4 2)."""
    quads, corners = [], []
    for name, part in parts.items():
        charts = _charts(part) if name == "body" else {name: np.ones(len(part.quads), bool)}
        placed = np.zeros((len(part.quads), 4, 2))
        for chart, mask in charts.items():
            index = part.quad_uv[mask]
            used = np.unique(index)
            source = part.uv[used]
            moved = np.zeros_like(part.uv)
            moved[used] = _fit(_enlarge(source) if chart == "head" else source, _PLACES[chart])
            placed[mask] = moved[index]
        quads.append(part.quads)
        corners.append(placed)
    return np.concatenate(quads), np.concatenate(corners)


def triangulate(quads: np.ndarray, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns triangles f 3 and their texture corners f 3 2; a quad that repeats its last corner gives one triangle."""
    split = np.array([[0, 1, 2], [0, 2, 3]])
    faces = quads[:, split].reshape(-1, 3)
    uv = corners[:, split].reshape(-1, 3, 2)
    real = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    return faces[real], uv[real]
