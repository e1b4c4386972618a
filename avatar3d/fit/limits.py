"""How far splats may go from where they began, so that views which no frame shows find a closed surface."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from avatar3d.fit import unseen
from avatar3d.fit.start import CLOSED, Start

_LARGEST_GROWTH, _LARGEST_SHRINK = 1.0, 1.5  # of log scales, either way from the start
# A photo may show less than a pixel of each splat: what it cannot tell apart must not open gaps in the surface or
# split into specks that balance each other. Logarithm of the size, its multiple, and degree-0 coefficient.
_PHOTO_SHRINK, _REACH, _PHOTO_COLOURS = 0.35, 0.7, 0.9
_LIP_COLOURS = 0.12  # of lips: teeth between them would be painted on them rather than shown behind them
# Least log growth of skin, along, across and along the surface: of a photo, and of what a clip only shows at a slant.
# The blur of a pixel hides gaps between smaller ones; from the side the dark of the mouth would show through them. A
# clip's outlines need some room to shrink, or the whole head is seen too wide.
_CLOSED = (0.15, 0.0, 0.15)
_SLANTED = (-0.2, -1.0, -0.2)
_SLANT = 0.5  # cosine between a surface and the best view of it


@dataclass(frozen=True)
class Limits:
    """Least and largest values of splats' parameters; none for means and colours that may go anywhere."""

    log_scales: tuple[Float[Tensor, "n 3"], Float[Tensor, "n 3"]]
    logits: Float[Tensor, " n"]
    """Least."""
    means: tuple[Float[Tensor, "n 3"], Float[Tensor, "n 3"]]
    sh: tuple[Float[Tensor, "n k 3"], Float[Tensor, "n k 3"]] | None

    def hold(self, parameters: Mapping[str, Tensor]) -> None:
        """Puts parameters back between their limits, in place."""
        parameters["log_scales"].clamp_(*self.log_scales)
        parameters["means"].clamp_(*self.means)
        parameters["logits"].clamp_(min=self.logits)
        if self.sh is not None:
            parameters["sh"].clamp_(*self.sh)


def limits(first: Start, photo: bool) -> Limits:
    """Returns the limits of a fit: of all splats for a photo, in a clip mostly of skin that it shows at a slant.

    Args:
        first: The splats as they begin.
        photo: Whether there is one frame only.
    """
    begun = first.gaussians
    skin = first.part == unseen.SKIN
    tied = torch.ones_like(skin) if photo else skin & (first.facing < _SLANT) & first.least_logits.isfinite()
    closed = (skin & ~first.lips if photo else tied)[:, None]
    least = begun.log_scales - (_PHOTO_SHRINK if photo else _LARGEST_SHRINK)
    least = torch.where(closed, begun.log_scales + begun.log_scales.new_tensor(_CLOSED if photo else _SLANTED), least)
    reach = torch.where(tied, _REACH * begun.scales.amax(-1), torch.inf)[:, None]
    logits = torch.where(tied, first.least_logits, -torch.inf)
    sh = None
    if photo:
        room = torch.where(first.lips, _LIP_COLOURS, _PHOTO_COLOURS)[:, None, None]
        sh = (begun.sh - room, begun.sh + room)
        logits = torch.where(first.lips, CLOSED, logits)
    return Limits((least, begun.log_scales + _LARGEST_GROWTH), logits, (begun.means - reach, begun.means + reach), sh)
