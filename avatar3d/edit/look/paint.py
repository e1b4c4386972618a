"""Pictures on the skin: tattoos, face paint, stickers, projections."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Literal

import numpy as np

from avatar3d import heads
from avatar3d.core import Avatar
from avatar3d.edit.base import Edit, named, ranged
from avatar3d.edit.look import regions
from avatar3d.edit.look.image import Decal, FromView, OnTexture
from avatar3d.edit.look.layer import Mix, painted
from avatar3d.edit.look.packed import pack_image, unpack_image
from avatar3d.render.path import view


@cache
def places() -> tuple[str, ...]:
    """Returns where a picture can be stuck on."""
    return tuple(sorted(heads.load().regions))


@dataclass(frozen=True)
class Paint(Edit):
    """Lay a picture on the head: stuck on at a place, through the texture's coordinates, or projected from a view."""

    kind: ClassVar[str] = "paint"

    image: str
    """PNG in base64; its transparency counts."""
    by: Literal["decal", "uv", "view"] = "decal"
    """`decal`: at a place of the skin; `uv`: over the head's whole texture; `view`: as seen by a camera at rest."""
    at: str = named(places, "forehead")
    """decal: the region in whose middle it lies."""
    width: float = ranged(0.001, 0.5, 0.04)
    """decal: metres."""
    turn: float = ranged(-360.0, 360.0, 0.0)
    """decal: degrees, counter-clockwise as one looks at it."""
    right: float = ranged(-0.3, 0.3, 0.0)
    """decal: metres to the viewer's right of that middle."""
    up: float = ranged(-0.3, 0.3, 0.0)
    """decal: metres above that middle."""
    yaw: float = ranged(-180.0, 180.0, 0.0)
    """view: degrees around the head, as in `avatar3d render`."""
    pitch: float = ranged(-80.0, 80.0, 0.0)
    """view: degrees above eye level."""
    zoom: float = ranged(0.2, 20.0, 1.0)
    """view: as in `avatar3d render`."""
    blend: Literal["normal", "multiply", "screen"] = "normal"
    """How it mixes with what is under it; a tattoo multiplies."""
    opacity: float = ranged(0.0, 1.0, 1.0)
    """1 lays it on fully."""
    on: str = named(regions.names, "all")
    """Paint this region alone."""

    def check(self) -> None:
        unpack_image(self.image, "paint: image")

    def apply(self, avatar: Avatar) -> Avatar:
        image = unpack_image(self.image, "paint: image")
        mix = Mix(self.blend, self.opacity)
        if self.by == "uv":
            return painted(avatar, OnTexture(image, self.on), mix)
        if self.by == "view":
            camera = view(self.yaw, self.pitch, (image.shape[1], image.shape[0]), self.zoom)
            return painted(avatar, FromView(image, camera, self.on), mix)
        decal = Decal(image, self.at, self.width, math.radians(self.turn), (self.right, self.up), self.on)
        return painted(avatar, decal, mix)

    @classmethod
    def examples(cls) -> Mapping[str, Edit]:
        star = pack_image(_star(128))
        return {
            "a tattoo": cls(star, at="cheek_left", width=0.03, right=-0.014, up=0.01, blend="multiply", opacity=0.85)
        }


def _star(side: int) -> np.ndarray:
    """Returns a five-pointed star, dark blue on nothing."""
    y, x = (np.mgrid[:side, :side] + 0.5) / side * 2 - 1
    # Between a tip (radius 0.95) and a notch (0.38) the edge is a straight line: radius = h / cos(angle - lean).
    angle = np.abs((np.arctan2(x, -y) + np.pi / 5) % (2 * np.pi / 5) - np.pi / 5)
    tip, notch = np.array([0.95, 0.0]), 0.38 * np.array([np.cos(np.pi / 5), np.sin(np.pi / 5)])
    along = notch - tip
    normal = np.array([-along[1], along[0]]) / np.hypot(*along)
    normal = normal * np.sign(normal @ tip)
    distance = normal @ tip - np.hypot(x, y) * (np.cos(angle) * normal[0] + np.sin(angle) * normal[1])
    inside = np.clip(distance * side / 3 + 0.5, 0, 1)
    out = np.zeros((side, side, 4), np.uint8)
    out[..., :3] = (24, 38, 92)
    out[..., 3] = (inside * 255).astype(np.uint8)
    return out
