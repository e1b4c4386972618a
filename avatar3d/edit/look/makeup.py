"""Make-up: blush, eyeliner, eyeshadow, lipstick and freckles, drawn on the surface of any head."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from jaxtyping import Bool, Float
from scipy.spatial import KDTree
from torch import Tensor

from avatar3d.core import Avatar, seed_all
from avatar3d.edit.base import Edit, ranged
from avatar3d.edit.look import regions
from avatar3d.edit.look.colour import parse_colour, to_oklab
from avatar3d.edit.look.image import spot
from avatar3d.edit.look.layer import Mix, painted
from avatar3d.edit.look.recolour import look, towards
from avatar3d.edit.look.surface import Surface

Style = Literal["blush", "eyeliner", "eyeshadow", "lipstick", "freckles"]
_COLOURS: Mapping[str, str] = {
    "blush": "#d9566b",
    "eyeliner": "#140f12",
    "eyeshadow": "#6a4a7c",
    "lipstick": "#b3223c",
    "freckles": "#8a5a38",
}
_STRENGTH: Mapping[str, float] = {"blush": 0.5, "eyeliner": 0.95, "eyeshadow": 0.65, "freckles": 0.5}
"""Cover at amount 1 where it is thickest."""
_LINE, _WING = 0.0011, 0.006  # eyeliner: half its width, how far it leaves the outer corner, metres
_SHADE = (0.0105, 0.007)  # eyeshadow: how far up and how softly it ends, metres
_FRECKLES, _DOT = 150, (0.0005, 0.0012)  # how many, and their radii in metres


@dataclass(frozen=True)
class Makeup(Edit):
    """Put on make-up, or freckles; made for this head, so it fits and moves with the face."""

    kind: ClassVar[str] = "makeup"

    style: Style = "blush"
    """What to put on."""
    amount: float = ranged(0.0, 1.0, 0.6)
    """From nothing to the most that is put on."""
    colour: str = ""
    """#rrggbb or a CSS name; empty for the usual one."""
    seed: int = ranged(0, 2**31 - 1, 1)
    """freckles: where they fall."""

    def check(self) -> None:
        if self.colour:
            parse_colour(self.colour)

    def apply(self, avatar: Avatar) -> Avatar:
        if self.amount == 0:
            return avatar
        colour = parse_colour(self.colour or _COLOURS[self.style])
        if self.style == "lipstick":
            weights = regions.weights(avatar, "lips")
            was = look(avatar, weights, "lips")
            wanted = was.mean + self.amount * (to_oklab(torch.tensor(colour)) - was.mean)
            return towards(avatar, weights, "lips", was, wanted)
        drawn: dict[str, Callable[[Surface], _Drawing]] = {
            "blush": _blush,
            "eyeliner": _eyeliner,
            "eyeshadow": _eyeshadow,
            "freckles": lambda under: _freckles(under, self.seed),
        }
        multiplied = self.style in ("blush", "freckles")
        if multiplied:  # of a colour on white, as thin paint: skin of any shade takes it
            colour = tuple(0.35 + 0.65 * x for x in colour)
        strength = self.amount * _STRENGTH[self.style]
        cover = _Cover(drawn[self.style], colour)
        return painted(avatar, cover, Mix("multiply" if multiplied else "normal", strength))

    @classmethod
    def examples(cls) -> Mapping[str, Edit]:
        return {style: cls(style, 0.8) for style in get_args(Style)}


@dataclass(frozen=True)
class _Drawing:
    cover: Float[Tensor, " n"]
    near: Bool[Tensor, " n"]


@dataclass(frozen=True)
class _Cover:
    """Paint of one colour on skin."""

    drawing: Callable[[Surface], _Drawing]
    colour: tuple[float, ...]

    def near(self, avatar: Avatar, under: Surface) -> Bool[Tensor, " n"]:
        return self.drawing(under).near & (under.height < 0.008)

    def rgba(self, avatar: Avatar, under: Surface) -> Float[Tensor, "n 4"]:
        skin = (1 - regions.weights(avatar, "hair") - regions.weights(avatar, "whites")).clamp(0, 1)
        skin = skin * (1 - regions.weights(avatar, "iris") - regions.weights(avatar, "pupil")).clamp(0, 1)
        cover = (self.drawing(under).cover * skin * (under.height < 0.008))[:, None]
        return torch.cat([cover.new_tensor(self.colour).expand(len(cover), 3), cover], -1)


def _blush(under: Surface) -> _Drawing:
    """Returns soft ovals on the cheeks' apples, rising towards the temples."""
    cover = torch.zeros(len(under.point))
    for side, sign in (("left", 1.0), ("right", -1.0)):
        eye, _ = spot(under, f"iris_{side}")
        middle = eye + torch.tensor([sign * 0.012, -0.036, 0.0])
        away = under.point - middle
        lean = math.radians(28)
        along = sign * away[:, 0] * math.cos(lean) + away[:, 1] * math.sin(lean)
        across = -sign * away[:, 0] * math.sin(lean) + away[:, 1] * math.cos(lean)
        oval = (-0.5 * ((along / 0.017) ** 2 + (across / 0.0095) ** 2)).exp()
        cover = torch.maximum(cover, oval * (away[:, 2].abs() < 0.04))
    return _Drawing(cover, torch.zeros(len(cover), dtype=torch.bool))  # soft: no splat need be split


def _eyeliner(under: Surface) -> _Drawing:
    """Returns a line along the edge of the upper lids with a small wing, and a faint one along the lower."""
    upper, lower = _margins(under)
    far_upper, far_lower = (_distance(under.point, x) for x in (upper, lower))
    lids = under.region("lids") > 0.02
    thick = (-((far_upper / _LINE) ** 2)).exp()
    thin = 0.45 * (-((far_lower / (0.6 * _LINE)) ** 2)).exp()
    cover = torch.maximum(thick, thin * lids)
    return _Drawing(cover, (torch.minimum(far_upper, far_lower) < 0.003))


def _eyeshadow(under: Surface) -> _Drawing:
    """Returns colour on the upper lids that fades towards the brows and beyond the corners."""
    upper, _ = _margins(under)
    tree = KDTree(upper.numpy())
    distance, index = tree.query(under.point.numpy(), workers=1)
    foot = upper[torch.from_numpy(index)]
    above = under.point[:, 1] - foot[:, 1]
    far = torch.from_numpy(distance).float()
    sideways = (under.point[:, 0] - foot[:, 0]).abs()
    rise = ((_SHADE[0] + _SHADE[1] - far) / _SHADE[1]).clamp(0, 1)
    rise = rise * rise * (3 - 2 * rise)
    side = ((0.006 - sideways) / 0.004).clamp(0, 1)
    skin = under.region("eyes") < 0.5
    cover = rise * side * (above > -0.0005) * skin
    return _Drawing(cover, (far < 0.004) & skin)


def _freckles(under: Surface, seed: int) -> _Drawing:
    """Returns dots over nose and cheeks, denser in the middle, none alike."""
    generator = seed_all(seed)
    head, vertices = under.head, under.vertices
    middle = head.faces.shape[0]
    centre = vertices[head.faces].mean(1)
    eyes = torch.stack([spot(under, f"iris_{side}")[0] for side in ("left", "right")])
    level = float(eyes[:, 1].mean())
    band = (-0.5 * (((centre[:, 1] - level + 0.03) / 0.014) ** 2)).exp() * (-0.5 * (centre[:, 0] / 0.035) ** 2).exp()
    allowed = sum(head.regions[n].float() for n in ("face", "nose", "cheeks") if n in head.regions)
    banned = torch.stack([head.regions[n].float() for n in ("lips", "lids", "eyes", "mouth_interior", "sockets")]).amax(
        0
    )
    weight = band * (allowed[head.faces].mean(1) > 0.5) * (banned[head.faces].amax(1) < 0.1)  # type: ignore[index]
    corners = vertices[head.faces]
    area = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).norm(dim=-1)
    chances = (weight * area).double().cumsum(0)
    pick = torch.searchsorted(chances, torch.rand(_FRECKLES, generator=generator, dtype=torch.double) * chances[-1])
    pick = pick.clamp(max=middle - 1)
    root = torch.rand(_FRECKLES, 2, generator=generator)
    su, v = root[:, 0].sqrt(), root[:, 1]
    bary = torch.stack([1 - su, su * (1 - v), su * v], -1)
    dots = (corners[pick] * bary[..., None]).sum(1)
    sizes = _DOT[0] + (_DOT[1] - _DOT[0]) * torch.rand(_FRECKLES, generator=generator) ** 2
    strengths = 0.45 + 0.55 * torch.rand(_FRECKLES, generator=generator)
    k = 3
    distance, index = KDTree(dots.numpy()).query(under.point.numpy(), k=k, workers=1)
    near, which = torch.from_numpy(distance).float(), torch.from_numpy(index)
    spots = strengths[which] * ((sizes[which] * 1.25 - near) / (0.5 * sizes[which])).clamp(0, 1)
    on_skin = under.region("eyes") + under.region("mouth_interior") < 0.5
    return _Drawing(spots.amax(-1) * on_skin, (near[:, 0] < 0.0028) & on_skin)


def _margins(under: Surface) -> tuple[Float[Tensor, "a 3"], Float[Tensor, "b 3"]]:
    """Returns points along the edges of the upper lids (with a wing beyond the outer corners) and of the lower."""
    head, vertices = under.head, under.vertices
    upper, lower = [], []
    for side, sign in (("left", 1.0), ("right", -1.0)):
        lid, socket = head.regions[f"lids_{side}"] > 0.3, head.regions["sockets"] > 0.5
        rim = head.faces[lid[head.faces].any(1) & socket[head.faces].any(1)]
        pairs = torch.cat([rim[:, [0, 1]], rim[:, [1, 2]], rim[:, [2, 0]]])
        pairs = pairs[(lid & ~socket)[pairs].all(1)]
        steps = torch.linspace(0, 1, 9)[:, None, None]
        points = (vertices[pairs[:, 0]] * (1 - steps) + vertices[pairs[:, 1]] * steps).reshape(-1, 3)
        inner, outer = ((points[:, 0] * sign).argmin(), (points[:, 0] * sign).argmax())
        part = (points[:, 0] - points[inner, 0]) / (points[outer, 0] - points[inner, 0])
        line = points[inner, 1] + part * (points[outer, 1] - points[inner, 1])
        upper.append(points[points[:, 1] >= line])
        lower.append(points[points[:, 1] < line])
        along = torch.linspace(0, _WING, 12)[:, None]
        upper.append(points[outer] + along * torch.tensor([sign * 0.86, 0.5, -0.35]))
    return torch.cat(upper), torch.cat(lower)


def _distance(points: Float[Tensor, "n 3"], line: Float[Tensor, "m 3"]) -> Float[Tensor, " n"]:
    far, _ = KDTree(line.numpy()).query(points.numpy(), workers=1)
    return torch.from_numpy(far).float()
