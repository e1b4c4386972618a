"""The other side of a head: its shape and its splats' colours."""

from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Float
from scipy.spatial import KDTree
from torch import Tensor

from avatar3d import rig
from avatar3d.core import Avatar, Gaussians
from avatar3d.heads import AnnyHead
from avatar3d.render.path import neutral

Side = Literal["both", "left", "right"]
_ODD = (3, 4, 7, 10, 13, 15)
"""Spherical harmonics that change sign when x does."""
_NEIGHBOURS = 6
_FADE = 4e-3
"""Metres beside the middle over which one side's copy begins."""


def mirrored_shape(avatar: Avatar, head: AnnyHead, amount: float, side: Side) -> Float[Tensor, "v 3"]:
    """Returns what makes the mesh at rest symmetric when added to its vertices, metres.

    Args:
        avatar: Who.
        head: The avatar's head in its shape.
        amount: 1 for all of it.
        side: Which side is copied; "both" gives the mean.
    """
    rest = head.rest(avatar.identity)
    middle = rest[:, 0].mean()  # of the head, near 0
    flip = torch.tensor([-1.0, 1.0, 1.0])
    shift = torch.tensor([2.0, 0.0, 0.0]) * middle
    other = rest[head.mirror] * flip + shift
    across = (rest[:, 0] - rest[head.mirror, 0]) / 2  # the same of a vertex and its partner, but for the sign
    return amount * _share(across, side)[:, None] * (other - rest)


def mirrored_colours(avatar: Avatar, head: AnnyHead, amount: float, side: Side) -> Gaussians:
    """Returns the splats with colours like those at their place on the other side; see `mirrored_shape`.

    A splat gets what the splats around its mirror image have more than those around itself. Clothes stay.
    """
    g = avatar.gaussians
    pose = neutral(head)
    world = rig.pose(g, avatar.binding, None, head.vertices(avatar.identity, pose), head.faces, pose)
    place = world.means.double()
    tree = KDTree(place.numpy())
    sign = torch.ones(g.sh.shape[-2])
    sign[[k for k in _ODD if k < len(sign)]] = -1
    flip = torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
    other = _around(world, tree, place * flip) * sign[:, None]
    share = amount * _share(place[:, 0].float(), side) * _of_head(avatar, head)
    # Both are means of some splats, so that what is finer than they are stays: freckles, and the grain of the skin.
    return replace(g, sh=g.sh + share[:, None, None] * (other - _around(world, tree, place)))


def _around(world: Gaussians, tree: KDTree, places: Float[Tensor, "n 3"]) -> Float[Tensor, "n k 3"]:
    """Returns the mean coefficients of the splats nearest to each place, by opacity and distance."""
    away, near = tree.query(places.numpy(), k=min(_NEIGHBOURS, len(world)), workers=1)
    away, near = torch.from_numpy(away).reshape(len(places), -1), torch.from_numpy(near).reshape(len(places), -1)
    size = world.scales.double().mean(-1)[near].clamp(min=1e-3)
    weight = world.opacities.double()[near] * torch.exp(-0.5 * (away / (2 * size)) ** 2) + 1e-9
    weight = (weight / weight.sum(1, keepdim=True)).float()
    return (weight[..., None, None] * world.sh[near]).sum(1)


def _of_head(avatar: Avatar, head: AnnyHead) -> Float[Tensor, " n"]:
    """Returns 1 for splats of head and neck, 0 for those of the body."""
    body = head.weights[:, 0] + head.weights[:, 5:].sum(1)
    return 1 - body[head.faces[avatar.binding.face]].mean(1)


def _share(x: Float[Tensor, " n"], side: Side) -> Float[Tensor, " n"]:
    """Returns how much of the other side each place takes; x is towards the person's left."""
    if side == "both":
        return torch.full_like(x, 0.5)
    towards = x if side == "right" else -x
    return ((towards + _FADE) / (2 * _FADE)).clamp(0, 1)
