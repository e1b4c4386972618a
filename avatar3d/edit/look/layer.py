"""A layer of paint on splats: what to lay where, how it mixes, and finer splats where the paint is finer."""

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from avatar3d.core import Avatar
from avatar3d.edit.look.split import gathered, joined, quartered
from avatar3d.edit.look.surface import Surface, surface
from avatar3d.edit.look.tint import tinted

Blend = Literal["normal", "multiply", "screen", "add"]
FINEST = 3.5e-4
"""Metres: splats (standard deviation) are not split below this size."""
_ROUNDS = 3
_RIM = 1.7  # standard deviations from its middle up to which a splat covers what lies under it
_DETAIL = 0.1  # difference of the paint within a splat, of the whole range, from which the splat is split


@runtime_checkable
class Paint(Protocol):
    """What to lay on."""

    def near(self, avatar: Avatar, under: Surface) -> Bool[Tensor, " n"]:
        """Returns where splats may have to be finer: under the paint and a few millimetres around it."""
        ...

    def rgba(self, avatar: Avatar, under: Surface) -> Float[Tensor, "n 4"]:
        """Returns the paint at the centre of each splat: sRGB (not premultiplied) and how much covers, in [0, 1]."""
        ...


@dataclass(frozen=True)
class Mix:
    """How paint and what is under it become one."""

    blend: Blend = "normal"
    opacity: float = 1.0
    finest: float = FINEST


def painted(avatar: Avatar, paint: Paint, mix: Mix | None = None) -> Avatar:
    """Returns the avatar with a layer of paint; splats that it does not touch keep their bits.

    A splat over whose extent the paint changes is split in four, up to three times.
    """
    mix = mix or Mix()
    for _ in range(_ROUNDS):
        under = surface(avatar)
        size = under.splats.scales.sort(dim=-1).values[:, 1]
        rows = torch.nonzero(paint.near(avatar, under) & (size > 2 * mix.finest))[:, 0]
        if not len(rows):
            break
        four, rim = quartered(avatar, rows), quartered(avatar, rows, _RIM)
        tried = [paint.rgba(x, surface(x)).unflatten(0, (len(rows), 4)) for x in (four, rim)]
        colours = torch.cat(tried, 1)
        shown = torch.cat([colours[..., :3] * colours[..., 3:], colours[..., 3:]], -1) * mix.opacity
        fine = (shown.amax(1) - shown.amin(1)).amax(-1) > _DETAIL
        if not bool(fine.any()):
            break
        kept = torch.ones(len(avatar.gaussians), dtype=torch.bool)
        kept[rows[fine]] = False
        halves = gathered(four, torch.nonzero(fine.repeat_interleave(4))[:, 0])
        avatar = joined(gathered(avatar, torch.nonzero(kept)[:, 0]), halves)
    under = surface(avatar)
    rgba = paint.rgba(avatar, under)
    cover = rgba[:, 3] * mix.opacity

    def laid(colours: Float[Tensor, "m 3"], rows: Tensor) -> Float[Tensor, "m 3"]:
        return colours + cover[rows, None] * (_blended(colours, rgba[rows, :3], mix.blend) - colours)

    return tinted(avatar, cover > 1e-3, laid)


def _blended(under: Tensor, paint: Tensor, blend: Blend) -> Tensor:
    if blend == "multiply":
        return under * paint
    if blend == "screen":
        return 1 - (1 - under) * (1 - paint)
    return under + paint if blend == "add" else paint
