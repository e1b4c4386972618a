"""Things put on the head: glasses and hats drawn to measure, or any mesh."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatar3d.core import Avatar, AvatarError
from avatar3d.edit.base import Edit, ranged
from avatar3d.edit.look.accessories import glasses, hat
from avatar3d.edit.look.colour import parse_colour
from avatar3d.edit.look.image import spot
from avatar3d.edit.look.packed import pack_array, unpack_array
from avatar3d.edit.look.regions import ATTACHED, weights
from avatar3d.edit.look.solid import Solid, attached
from avatar3d.edit.look.surface import Surface, surface
from avatar3d.geometry import rotvec_to_matrix

MOST_POINTS, MOST_FACES = 60_000, 60_000
Glasses = Literal["glasses", "round glasses", "aviator glasses", "sunglasses", "round sunglasses", "aviator sunglasses"]
Thing = Literal[Glasses, "beanie", "cap", "hat"]
_HATS = ("beanie", "cap", "hat")
_COLOURS: Mapping[str, str] = {"beanie": "#7a2e36", "cap": "#27415f", "hat": "#4a3a2c"}


@dataclass(frozen=True)
class Wear(Edit):
    """Put on glasses or a hat, made to measure for this head."""

    kind: ClassVar[str] = "wear"

    thing: Thing = "glasses"
    """What to put on."""
    colour: str = ""
    """#rrggbb or a CSS name; empty for the usual one."""

    def check(self) -> None:
        if self.colour:
            parse_colour(self.colour)

    def apply(self, avatar: Avatar) -> Avatar:
        under = surface(avatar)
        colour = torch.tensor(parse_colour(self.colour or _COLOURS.get(self.thing, "#1c1a1a")))
        if self.thing not in _HATS:
            shape = next((s for s in ("round", "aviator") if s in self.thing), "square")
            return attached(avatar, under, glasses(under, colour, shape, "sun" in self.thing))
        solid, above = hat(under, colour, self.thing)
        # What is under a hat is not seen, and hair would stick out of it.
        covered = ((above(under.splats.means) - 0.004) / 0.008).clamp(0, 1) * (1 - weights(avatar, ATTACHED))
        opacity = (avatar.gaussians.opacities * (1 - covered)).clamp_min(1e-6)
        logits = torch.where(covered > 0, torch.logit(opacity), avatar.gaussians.logits)
        return attached(replace(avatar, gaussians=replace(avatar.gaussians, logits=logits)), under, solid)

    @classmethod
    def examples(cls) -> Mapping[str, Edit]:
        return {thing: cls(thing) for thing in ("glasses", "aviator sunglasses", "beanie", "cap", "hat")}


@dataclass(frozen=True)
class Attach(Edit):
    """Put a mesh on the head; it moves with the skull. `packed` makes the fields of a mesh."""

    kind: ClassVar[str] = "attach"

    points: str
    """Corners, int16 in 32767ths of `extent`, packed."""
    faces: str
    """Triangles, uint16 triples, packed."""
    colours: str
    """Of each triangle, RGB bytes, packed."""
    extent: float = ranged(1e-9, 1e9)
    """Largest coordinate, in the mesh's own unit."""
    place: Literal["head", "eyes", "crown"] = "head"
    """`head`: as it stands, metres from between the eyes; `eyes`: fitted as glasses; `crown`: fitted as a hat."""
    size: float = ranged(1e-3, 1e3, 1.0)
    """Larger or smaller than fitted; for `head`, metres a unit of the mesh."""
    right: float = ranged(-1.0, 1.0, 0.0)
    """Metres to the head's right."""
    up: float = ranged(-1.0, 1.0, 0.0)
    """Metres up."""
    forward: float = ranged(-1.0, 1.0, 0.0)
    """Metres forward."""
    turn: tuple[float, float, float] = ranged(-360.0, 360.0, (0.0, 0.0, 0.0))
    """Degrees about the axes to the head's left, up and forward, one after the other."""

    def check(self) -> None:
        self._mesh()

    def _mesh(self) -> tuple[Float[Tensor, "v 3"], Int[Tensor, "f 3"], Float[Tensor, "f 3"]]:
        points = unpack_array(self.points, "attach: points", "<i2", 3, MOST_POINTS).astype(np.float32) / 32767
        faces = unpack_array(self.faces, "attach: faces", "<u2", 3, MOST_FACES).astype(np.int64)
        colours = unpack_array(self.colours, "attach: colours", "u1", 3, MOST_FACES).astype(np.float32) / 255
        if not len(faces) or len(colours) != len(faces) or faces.max() >= len(points):
            raise AvatarError("attach: points, faces and colours do not belong together; attach the mesh again")
        return torch.from_numpy(points) * self.extent, torch.from_numpy(faces), torch.from_numpy(colours)

    def apply(self, avatar: Avatar) -> Avatar:
        under = surface(avatar)
        points, faces, colours = self._mesh()
        x, y, z = (
            torch.tensor(axis) * math.radians(a) for axis, a in zip(torch.eye(3).tolist(), self.turn, strict=True)
        )
        points = points @ (rotvec_to_matrix(z) @ rotvec_to_matrix(y) @ rotvec_to_matrix(x)).T
        points = self._placed(points, under) + torch.tensor([-self.right, self.up, self.forward])
        reach = float((points.amax(0) - points.amin(0)).max())
        if not 0 < reach < 3.0:
            raise AvatarError(f"attach: the mesh is {reach:g} m large on the head; give another size or place")
        return attached(avatar, under, Solid(points, faces, colours, torch.full((len(faces),), 0.97)))

    def _placed(self, points: Float[Tensor, "v 3"], under: Surface) -> Float[Tensor, "v 3"]:
        """Returns the mesh where it belongs, in metres."""
        if self.place == "head":
            return points * self.size
        low, high = points.amin(0), points.amax(0)
        width = float(high[0] - low[0])
        if width <= 0:
            raise AvatarError("attach: the mesh has no width; turn it so that its width is along x")
        eyes = [spot(under, f"iris_{side}")[0] for side in ("left", "right")]
        middle = (eyes[0] + eyes[1]) / 2
        skull = under.vertices[under.vertices[:, 1] > middle[1] + 0.03]
        if self.place == "eyes":
            wanted = 2.25 * float((eyes[0] - eyes[1]).norm())
            anchor = torch.stack([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, high[2]])
            target = middle + torch.tensor([0.0, -0.004, 0.016])
        else:
            at, base = under.splats.means, middle[1] + 0.05
            level = (at[:, 1] > base) & (at[:, 1] < base + 0.03) & (under.height < 0.08)
            hair = float(at[level, 0].abs().quantile(0.97)) if int(level.sum()) > 20 else 0.0
            wanted = max(float(skull[:, 0].max() - skull[:, 0].min()), 2 * hair) + 0.02
            anchor = torch.stack([(low[0] + high[0]) / 2, low[1], (low[2] + high[2]) / 2])
            depth = (skull[:, 2].max() + skull[:, 2].min()) / 2
            target = torch.stack([torch.tensor(0.0), middle[1] + 0.05, depth])
        return (points - anchor) * (wanted / width * self.size) + target

    @classmethod
    def examples(cls) -> Mapping[str, Edit]:
        return {"a cone": packed(*_cone(), place="crown")}


def packed(points: np.ndarray, faces: np.ndarray, colours: np.ndarray, **fields) -> Attach:
    """Returns the edit that attaches a mesh.

    Args:
        points: v x 3, any unit; x to the head's left, y up, z forward.
        faces: f x 3.
        colours: f x 3, sRGB in [0, 1].
        **fields: Those of `Attach` that say where.

    Raises:
        AvatarError: The mesh is too large for an edit, or empty.
    """
    if not 0 < len(faces) <= MOST_FACES or not 0 < len(points) <= MOST_POINTS:
        raise AvatarError(
            f"a mesh of {len(points)} points and {len(faces)} triangles; at most {MOST_FACES} fit: simplify it"
        )
    extent = float(np.abs(points).max())
    if not np.isfinite(points).all() or extent <= 0:
        raise AvatarError("the mesh has no extent, or points that are not finite; export it again")
    return Attach(
        points=pack_array(np.round(points / extent * 32767).astype("<i2")),
        faces=pack_array(np.asarray(faces).astype("<u2")),
        colours=pack_array(np.round(np.clip(colours, 0, 1) * 255).astype("u1")),
        extent=extent,
        **fields,
    )


def _cone() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns a striped party hat."""
    count, rows = 36, 10
    angle = np.arange(count) / count * 2 * np.pi
    points = [
        [(1 - i / rows) * np.sin(a), 2.4 * i / rows, (1 - i / rows) * np.cos(a)] for i in range(rows + 1) for a in angle
    ]
    faces, colours = [], []
    for i in range(rows):
        for k in range(count):
            a, b = i * count + k, i * count + (k + 1) % count
            faces += [[a, b, a + count], [b, b + count, a + count]]
            colours += [[0.85, 0.25, 0.3] if (i + k // 6) % 2 else [0.95, 0.8, 0.3]] * 2
    return np.array(points), np.array(faces), np.array(colours)
