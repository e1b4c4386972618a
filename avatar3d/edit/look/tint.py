"""Changing the colours of splats: base colours, view-dependent parts and blendshapes together."""

from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from avatar3d.core import Avatar
from avatar3d.ops.reference import SH_C0

_STEP = 0.1  # of an offset of colour, by which the slope of a colour map is measured

ColourMap = Callable[[Float[Tensor, "m 3"], Tensor], Float[Tensor, "m 3"]]
"""From sRGB of some splats, and their rows, to new sRGB."""


def base_colours(avatar: Avatar) -> Float[Tensor, "n 3"]:
    """Returns the splats' own sRGB (degree 0), which may lie out of [0, 1]."""
    return 0.5 + SH_C0 * avatar.gaussians.sh[:, 0]


def tinted(avatar: Avatar, changed: Bool[Tensor, " n"], colour_map: ColourMap) -> Avatar:
    """Returns the avatar with a map applied to the colours of some splats; all others keep their bits.

    What is added to a colour, by direction of view (higher harmonics) or by the pose (blendshapes), is carried along by
    the map's slope at that colour.

    Args:
        avatar: Whose colours.
        changed: Which splats.
        colour_map: New colours for old ones; called with rows in ascending order.
    """
    rows = torch.nonzero(changed)[:, 0]
    if not len(rows):
        return avatar
    g, basis = avatar.gaussians, avatar.basis
    old = base_colours(avatar)[rows]
    new = colour_map(old, rows)

    def carried(offset: Float[Tensor, "m 3"]) -> Float[Tensor, "m 3"]:
        step = SH_C0 * _STEP
        return (colour_map(old + step * offset, rows) - new) / step

    sh = g.sh.clone()
    sh[rows, 0] = (new - 0.5) / SH_C0
    for k in range(1, sh.shape[1]):
        sh[rows, k] = carried(sh[rows, k])
    if basis is not None:
        offsets = basis.sh.clone()
        for k in range(len(offsets)):
            if bool(offsets[k, rows].any()):
                offsets[k, rows] = carried(offsets[k, rows])
        basis = replace(basis, sh=offsets)
    return replace(avatar, gaussians=replace(g, sh=sh), basis=basis)
