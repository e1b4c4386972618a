"""The colours of a region as pictures show them: what "the lips" look like is not the mean of their splats."""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from avatar3d.core import Avatar, Camera, Pose
from avatar3d.edit.look.colour import to_oklab
from avatar3d.edit.look.surface import at_rest
from avatar3d.geometry import orbit
from avatar3d.ops import splat
from avatar3d.ops.reference import SH_C0
from avatar3d.render.path import posed

_SIDE = 256
_FACE, _HEAD = (0.2, (0.0, -0.025, 0.01)), (0.42, (0.0, -0.045, -0.02))  # metres across, and what is looked at
_INSIDE = ("teeth", "gums", "tongue", "mouth")
_FAR = ("hair", "clothes", "scalp", "neck", "skin", "all", "attached", "ears")
_OPEN = {"jawOpen": 0.35, "mouthSmile": 0.7, "mouthUpperUp": 0.7}
_LEAST = 12.0  # pixels of a region, all views together, below which there is nothing to measure


@dataclass(frozen=True)
class Seen:
    """Colours of a region in some pictures, OKLab."""

    mean: Float[Tensor, "3"]
    covariance: Float[Tensor, "3 3"]
    pixels: float
    """How many pixels show it."""

    @property
    def shown(self) -> bool:
        """Whether there is enough of it to speak of its colour."""
        return self.pixels >= _LEAST


def views(region: str, name: str) -> list[tuple[Pose, Camera]]:
    """Returns the poses and cameras that show a region.

    Args:
        region: Its name.
        name: Of the head model.
    """
    inside = region in _INSIDE
    width, target = _HEAD if region.split("_")[0] in _FAR else _FACE
    pose = posed(name, _OPEN if inside and name != "scene" else {})
    turns = (0.0, -0.45, 0.45)
    fov = 2 * math.atan(width / 2 / 0.75)
    around = orbit(torch.tensor(turns), 0.0, 0.75, target, (_SIDE, _SIDE), fov)
    return [(pose, around.at(i)) for i in range(len(turns))]


def measured(avatar: Avatar, weights: Float[Tensor, " n"], region: str) -> Seen:
    """Returns how a region looks.

    Args:
        avatar: As it stands.
        weights: How far each splat belongs to the region.
        region: Its name, which says from where to look.
    """
    total, first, second = 0.0, torch.zeros(3, dtype=torch.float64), torch.zeros(3, 3, dtype=torch.float64)
    for pose, camera in views(region, avatar.head):
        splats = at_rest(avatar, pose)
        seen = splat.rasterize(splats, camera)
        mask = share(splats, camera, weights)
        picked = ((mask - 0.5) * 2).clamp(0, 1) * (seen.alpha[..., 0] > 0.5)
        rows = picked > 0
        lab = to_oklab((seen.rgb[rows] / seen.alpha[rows].clamp_min(1e-3)).clamp(0, 1)).double()
        weight = picked[rows].double()[:, None]
        total += float(weight.sum())
        first += (lab * weight).sum(0)
        second += (lab * weight).T @ lab
    mean = first / max(total, 1e-9)
    covariance = second / max(total, 1e-9) - mean[:, None] * mean
    return Seen(mean.float(), covariance.float(), total)


def share(splats, camera: Camera, weights: Float[Tensor, " n"]) -> Float[Tensor, "h w"]:
    """Returns how far each pixel shows a region, in [0, 1]."""
    painted = replace(splats, sh=((weights - 0.5) / SH_C0)[:, None, None].expand(-1, 1, 3).contiguous())
    seen = splat.rasterize(painted, camera)
    return (seen.rgb[..., 0] / seen.alpha[..., 0].clamp_min(1e-3)).clamp(0, 1)
