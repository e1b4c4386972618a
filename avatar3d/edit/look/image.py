"""Pictures as paint: laid through texture coordinates, stuck on like a decal, or projected from a view."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.ndimage import maximum_filter
from torch import Tensor
from torch.nn import functional

from avatar3d.core import Avatar, AvatarError, Camera
from avatar3d.edit.look import regions
from avatar3d.edit.look.surface import Surface
from avatar3d.ops import mesh

_MARGIN = 0.004  # metres around the paint in which splats may have to be split
_DEEP = 0.03  # metres that a decal reaches in front of and behind its middle's tangent plane, at least
_BEHIND = 0.012  # metres behind the surface that a view shows to which its paint goes
_GRAZING = 0.15  # cosine between the surface and a view, below which nothing is laid on


def sampled(image: Float[np.ndarray, "h w c"], at: Float[Tensor, "n 2"]) -> Float[Tensor, "n c"]:
    """Returns the picture at points of [0, 1] x [0, 1] (x right, y down), bilinear; 0 outside."""
    grid = (at * 2 - 1)[None, None]
    layers = torch.from_numpy(np.ascontiguousarray(image, np.float32)).permute(2, 0, 1)[None]
    # Colours of transparent pixels must not bleed in: premultiplied, then divided.
    if image.shape[2] == 4:
        layers = torch.cat([layers[:, :3] * layers[:, 3:], layers[:, 3:]], 1)
    found = functional.grid_sample(layers, grid, align_corners=False, padding_mode="zeros")[0, :, 0].mT
    if image.shape[2] == 4:
        found = torch.cat([found[:, :3] / found[:, 3:].clamp_min(1e-4), found[:, 3:]], -1)
    return found


@dataclass(frozen=True)
class OnTexture:
    """A picture of the head's whole texture."""

    image: Float[np.ndarray, "h w 4"]
    on: str = "all"

    def near(self, avatar: Avatar, under: Surface) -> Bool[Tensor, " n"]:
        h, w = self.image.shape[:2]
        wide = maximum_filter(self.image[..., 3], max(3, round(max(h, w) / 150)))
        return sampled(wide[..., None], self._at(under))[:, 0] > 0

    def rgba(self, avatar: Avatar, under: Surface) -> Float[Tensor, "n 4"]:
        return _limited(avatar, self.on, sampled(self.image, self._at(under)))

    def _at(self, under: Surface) -> Float[Tensor, "n 2"]:
        uv = under.uv
        return torch.stack([uv[:, 0], 1 - uv[:, 1]], -1)


@dataclass(frozen=True)
class Decal:
    """A picture stuck on at a place of the skin, projected along the normal there."""

    image: Float[np.ndarray, "h w 4"]
    at: str
    """A region, in whose middle it lies."""
    width: float
    """Metres."""
    turn: float = 0.0
    """Radians, counter-clockwise as one looks at it."""
    shift: tuple[float, float] = (0.0, 0.0)
    """Metres to the viewer's right and up."""
    on: str = "skin"

    def near(self, avatar: Avatar, under: Surface) -> Bool[Tensor, " n"]:
        at, deep = self._plane(under)
        height = self.width * self.image.shape[0] / self.image.shape[1]
        reach = (2 * under.splats.scales.amax(-1)).clamp_min(_MARGIN)[:, None]
        margin = reach / torch.tensor([self.width, height])
        return ((at > -margin) & (at < 1 + margin)).all(-1) & deep

    def rgba(self, avatar: Avatar, under: Surface) -> Float[Tensor, "n 4"]:
        at, deep = self._plane(under)
        return _limited(avatar, self.on, sampled(self.image, at) * deep[:, None])

    def _plane(self, under: Surface) -> tuple[Float[Tensor, "n 2"], Bool[Tensor, " n"]]:
        """Returns the place in the picture, and who is near enough to be meant."""
        middle, normal = spot(under, self.at)
        right = functional.normalize(torch.linalg.cross(torch.tensor([0.0, 1.0, 0.0]), normal), dim=0)
        up = torch.linalg.cross(normal, right)
        middle = middle + self.shift[0] * right + self.shift[1] * up
        away = under.point - middle
        x, y, z = away @ right, away @ up, away @ normal
        c, s = math.cos(self.turn), math.sin(self.turn)
        height = self.width * self.image.shape[0] / self.image.shape[1]
        at = torch.stack([(c * x + s * y) / self.width + 0.5, 0.5 - (c * y - s * x) / height], -1)
        facing = under.normal @ normal > _GRAZING
        return at, facing & (z.abs() < max(_DEEP, self.width / 2))


@dataclass(frozen=True)
class FromView:
    """A picture that a camera throws on what it sees of the head at rest."""

    image: Float[np.ndarray, "h w 4"]
    camera: Camera
    on: str = "all"

    def near(self, avatar: Avatar, under: Surface) -> Bool[Tensor, " n"]:
        at, seen = self._pixels(under)
        wide = maximum_filter(self.image[..., 3], max(3, round(max(self.image.shape) / 60)))
        return (sampled(wide[..., None], at)[:, 0] > 0) & (seen > 0)

    def rgba(self, avatar: Avatar, under: Surface) -> Float[Tensor, "n 4"]:
        at, seen = self._pixels(under)
        found = sampled(self.image, at)
        return _limited(avatar, self.on, torch.cat([found[:, :3], found[:, 3:] * seen[:, None]], -1))

    def _pixels(self, under: Surface) -> tuple[Float[Tensor, "n 2"], Float[Tensor, " n"]]:
        """Returns places in the picture, and how far splats are seen there, in [0, 1]."""
        camera, points = self.camera, under.splats.means
        inside = points @ camera.w2c[:3, :3].mT + camera.w2c[:3, 3]
        pixel = (inside @ camera.K.mT)[:, :2] / inside[:, 2:].clamp_min(1e-3)
        at = pixel / torch.tensor([camera.width, camera.height])
        depth = mesh.rasterize(under.vertices, under.head.faces, camera).depth
        surface = functional.grid_sample(
            depth[None, None], (at * 2 - 1)[None, None], mode="nearest", align_corners=False
        )
        front = (surface[0, 0, 0] == 0) | (inside[:, 2] < surface[0, 0, 0] + _BEHIND)
        facing = (functional.normalize(camera.position - under.point, dim=-1) * under.normal).sum(-1)
        soft = ((facing - _GRAZING) / 0.25).clamp(0, 1)
        aloft = ((under.height - 0.006) / 0.006).clamp(0, 1)  # hair has no surface to be slanted
        return at, front * torch.maximum(soft, aloft)


def spot(under: Surface, name: str) -> tuple[Float[Tensor, "3"], Float[Tensor, "3"]]:
    """Returns the middle of a region of the head's mesh, on the mesh, and the mean normal there.

    Raises:
        AvatarError: The head has no such region.
    """
    from avatar3d.core import first_of
    from avatar3d.render.shade import normals

    known = tuple(under.head.regions)
    single = {"ears_left": "ear_left", "ears_right": "ear_right", "cheeks_left": "cheek_left"}
    single |= {"cheeks_right": "cheek_right", "brows_left": "brow_left", "brows_right": "brow_right"}
    name = single.get(name, name)
    first_of(known, name)
    weight = under.head.regions[name].float()
    if float(weight.sum()) == 0:
        raise AvatarError(f"the head's region '{name}' is empty; choose another place")
    middle = (under.vertices * weight[:, None]).sum(0) / weight.sum()
    inside = torch.nonzero(weight > 0.3)[:, 0]
    nearest = inside[(under.vertices[inside] - middle).square().sum(-1).argmin()]
    every = normals(under.vertices, under.head.faces)
    around = (under.vertices - under.vertices[nearest]).norm(dim=-1) < 0.012
    around &= (every @ every[nearest]) > 0.3
    return under.vertices[nearest], functional.normalize(every[around].mean(0), dim=0)


def _limited(avatar: Avatar, on: str, rgba: Float[Tensor, "n 4"]) -> Float[Tensor, "n 4"]:
    """Returns paint on one region alone."""
    if on == "all":
        return rgba
    return torch.cat([rgba[:, :3], rgba[:, 3:] * regions.weights(avatar, on)[:, None]], -1)
