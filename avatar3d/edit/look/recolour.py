"""Another colour for a region, in OKLab, with its light and shade kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from avatar3d.core import Avatar, AvatarError
from avatar3d.edit.base import Edit, named, ranged
from avatar3d.edit.look import regions
from avatar3d.edit.look.colour import from_oklab, parse_colour, to_oklab
from avatar3d.edit.look.measure import Seen, measured
from avatar3d.edit.look.tint import tinted

_CONTRAST = (0.4, 1.4)  # how much weaker or stronger light and shade may become with the colour
_ROUNDS = 4  # corrections of the colour by what pictures show: splats overlap, and others shine through
_TOUCHED = 0.01  # weight from which a splat takes part


@dataclass(frozen=True)
class Recolour(Edit):
    """Give a region another colour: its mean becomes that colour, light, shade and texture stay."""

    kind: ClassVar[str] = "recolour"

    region: str = named(regions.names)
    """What to colour."""
    colour: str = ""
    """#rrggbb, rgb(r, g, b), hsl(h, s%, l%) or a CSS name."""
    amount: float = ranged(0.0, 1.0, 1.0)
    """Share of the way from the colour there is to the one asked for."""

    def check(self) -> None:
        parse_colour(self.colour)

    def apply(self, avatar: Avatar) -> Avatar:
        weights = regions.weights(avatar, self.region)
        was = look(avatar, weights, self.region)
        asked = to_oklab(torch.tensor(parse_colour(self.colour)))
        return towards(avatar, weights, self.region, was, was.mean + self.amount * (asked - was.mean))

    @classmethod
    def examples(cls) -> Mapping[str, Edit]:
        return {
            "green eyes": cls("iris", "#3a7a4a"),
            "red hair": cls("hair", "#8a3018"),
            "red lips": cls("lips", "#b02038"),
            "blue clothes": cls("clothes", "#25457a"),
        }


def look(avatar: Avatar, weights: Float[Tensor, " n"], region: str) -> Seen:
    """Returns how a region looks.

    Raises:
        AvatarError: Nothing of it is to be seen.
    """
    seen = measured(avatar, weights, region)
    if not seen.shown:
        raise AvatarError(f"no {region} was found on this avatar; choose another region")
    return seen


def towards(avatar: Avatar, weights: Float[Tensor, " n"], region: str, was: Seen, wanted: Float[Tensor, "3"]) -> Avatar:
    """Returns the avatar with the mean colour of a region moved to `wanted` (OKLab), as pictures show it.

    The colour that splats are moved to is corrected by what pictures of the result show, since the region's pixels
    also hold a little of what lies around and behind it.
    """
    touched = weights > _TOUCHED
    aim = wanted.clone()
    out = avatar
    for i in range(_ROUNDS):
        out = tinted(avatar, touched, lambda c, rows, aim=aim: moved(c, weights[rows], was.mean, aim))
        if i == _ROUNDS - 1:
            break
        error = wanted - measured(out, weights, region).mean
        if float(error.norm()) < 0.002:
            break
        limit = torch.tensor([0.15, 0.07, 0.07])
        aim = torch.maximum(torch.minimum(aim + error, wanted + limit), wanted - limit)
        aim[0] = aim[0].clamp(0.02, 1.1)
    return out


def moved(
    colours: Float[Tensor, "m 3"], weights: Float[Tensor, " m"], mean: Float[Tensor, "3"], aim: Float[Tensor, "3"]
) -> Float[Tensor, "m 3"]:
    """Returns colours moved as their mean moves to `aim` (OKLab).

    Light scales L, a and b of a surface alike, so shade keeps its ratio, and what differs in hue keeps its difference.
    """
    lab = to_oklab(colours)
    gain = float((aim[0] / mean[0].clamp_min(0.05)).clamp(*_CONTRAST))
    lightness = aim[0] + gain * (lab[:, :1] - mean[0])
    shade = lab[:, :1] / mean[0].clamp_min(0.05)
    odd = lab[:, 1:] - mean[1:] * shade
    hue = aim[1:] * (lightness / aim[0].clamp_min(0.05)).clamp(0, 1.25) + gain * odd
    new = from_oklab(torch.cat([lightness, hue], -1))
    return colours + weights[:, None] * (new.clamp(-0.15, 1.25) - colours)
