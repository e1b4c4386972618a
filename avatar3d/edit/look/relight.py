"""The avatar in another light: the light it was captured in is estimated and divided out, a new one put in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from avatar3d.core import Avatar, AvatarError
from avatar3d.edit.base import Edit, ranged
from avatar3d.edit.look import regions
from avatar3d.edit.look.colour import from_linear, parse_colour, to_linear
from avatar3d.edit.look.light import Lights, estimate, harmonics
from avatar3d.edit.look.surface import Surface, surface
from avatar3d.edit.look.tint import base_colours, tinted
from avatar3d.geometry import quat_to_matrix

_DARKEST = 0.3  # of the mean: an estimated light is not divided out further than that
_RATIO = (0.05, 4.0)
_ALOFT = (0.006, 0.014)  # metres off the mesh between which the outline replaces the mesh as giver of normals


@dataclass(frozen=True)
class Relight(Edit):
    """Put the avatar in another light: a lamp near or far, a panorama, light from everywhere; no cast shadows.

    The light belongs to the head: it turns with it.
    """

    kind: ClassVar[str] = "light"

    direction: tuple[float, float, float] | None = None
    """Towards a far lamp: x to the head's left, y up, z forward."""
    point: tuple[float, float, float] | None = None
    """Where a near lamp stands, metres from between the eyes; instead of a direction."""
    colour: str = "#ffffff"
    """Of the lamp."""
    strength: float = ranged(0.0, 20.0, 1.0)
    """Of the lamp, beside the light from everywhere; 1 is as bright where it falls straight on."""
    ambient: float = ranged(0.0, 10.0, 0.35)
    """Light from everywhere."""
    sh: tuple[float, ...] = ()
    """Shading by a panorama: 9 spherical harmonics x red, green, blue, as `light.panorama` gives them."""
    was: tuple[float, ...] = ()
    """The light that it was captured in, likewise, if it is known; else it is estimated from the skin."""
    keep: bool = True
    """Keep the face as bright as it is on the whole."""
    amount: float = ranged(0.0, 1.0, 1.0)
    """Share of the way to the new light."""

    def check(self) -> None:
        parse_colour(self.colour)
        if self.direction is not None and self.point is not None:
            raise AvatarError("light: give a direction or a point, not both")
        if self.direction is not None and not any(self.direction):
            raise AvatarError("light: direction is 0 0 0; give a vector towards the lamp, as 1 0.5 0.5")
        for name in ("sh", "was"):
            if len(getattr(self, name)) not in (0, 27):
                raise AvatarError(f"light: {name} holds {len(getattr(self, name))} numbers; give 27 (9 x RGB)")

    def apply(self, avatar: Avatar) -> Avatar:
        under = surface(avatar)
        facing = normals(avatar, under)
        skin = regions.weights(avatar, "skin") * (under.region("face") > 0.5) * (under.height < 0.008)
        size = under.splats.scales.sort(dim=-1).values[:, 1:].prod(-1)
        weight = skin * avatar.gaussians.opacities * size * 1e6
        if float(weight.sum()) <= 0:
            raise AvatarError("light: no skin was found to estimate the light by; give the light it was captured in")
        linear = to_linear(base_colours(avatar).clamp(0, 1))
        old = self._old(facing, linear, weight)
        new = self._lights().shading(facing, under.splats.means)
        if self.keep:
            frontal = weight * (under.normal[:, 2] > 0)
            luma = new.new_tensor([0.2126, 0.7152, 0.0722])
            level = ((new @ luma) * frontal).sum() / frontal.sum().clamp_min(1e-9)
            before = ((old @ luma) * frontal).sum() / frontal.sum().clamp_min(1e-9)
            new = new * (before / level.clamp_min(1e-4))
        inside = regions.weights(avatar, "mouth")
        ratio = (new / old).clamp(*_RATIO) ** (self.amount * (1 - 0.5 * inside))[:, None]

        def lit(colours: Float[Tensor, "m 3"], rows: Tensor) -> Float[Tensor, "m 3"]:
            return from_linear(to_linear(colours) * ratio[rows])

        return tinted(avatar, torch.ones(len(ratio), dtype=torch.bool), lit)

    def _old(self, facing: Tensor, linear: Tensor, weight: Tensor) -> Float[Tensor, "n 3"]:
        """Returns the shading that is in the colours; on the face 1 on average in each channel if it is estimated."""
        known = torch.tensor(self.was).reshape(9, 3) if self.was else estimate(facing, linear, weight)
        shade = harmonics(facing) @ known
        mean = (shade * weight[:, None]).sum(0) / weight.sum()
        shade = torch.maximum(shade, _DARKEST * mean)
        return shade if self.was else shade / mean

    def _lights(self) -> Lights:
        lamp = direction = point = None
        if self.direction is not None or self.point is not None:
            lamp = to_linear(torch.tensor(parse_colour(self.colour))) * self.strength
            direction = None if self.direction is None else torch.tensor(self.direction)
            point = None if self.point is None else torch.tensor(self.point)
        sh = torch.tensor(self.sh).reshape(9, 3) if self.sh else None
        return Lights(torch.full((3,), self.ambient), sh, lamp, direction, point)

    @classmethod
    def examples(cls) -> Mapping[str, Edit]:
        return {
            "light from the left": cls((1.0, 0.3, 0.4), ambient=0.2),
            "lamp below": cls(point=(0.0, -0.25, 0.25), colour="#ffb070", ambient=0.25),
        }


def normals(avatar: Avatar, under: Surface) -> Float[Tensor, "n 3"]:
    """Returns the direction that each splat faces at rest.

    On the mesh its own normal; above it (hair) more and more that of a rounded outline; of things put on, the splat's
    thin axis, away from the head.
    """
    head, at = under.head, under.splats.means
    scalp = head.regions.get("scalp")
    middle = under.vertices.mean(0) if scalp is None else (under.vertices * scalp[:, None]).sum(0) / scalp.sum()
    outward = torch.nn.functional.normalize(at - (middle + torch.tensor([0.0, -0.05, 0.02])), dim=-1)
    aloft = ((under.height - _ALOFT[0]) / (_ALOFT[1] - _ALOFT[0])).clamp(0, 1)[:, None]
    mixed = torch.nn.functional.normalize(
        under.normal * (1 - aloft) + outward * aloft + 0.3 * aloft * under.normal, dim=-1
    )
    put_on = regions.weights(avatar, regions.ATTACHED) > 0.5
    if bool(put_on.any()):
        thin = under.splats.log_scales[put_on].argmin(-1)
        axes = quat_to_matrix(under.splats.quats[put_on])
        own = torch.gather(axes, 2, thin[:, None, None].expand(-1, 3, 1))[..., 0]
        mixed[put_on] = own * torch.where((own * outward[put_on]).sum(-1, keepdim=True) < 0, -1.0, 1.0)
    return mixed
