"""Light as it falls on surfaces: spherical harmonics of degree 2, directions, lamps, panoramas.

Shading is irradiance over pi: 1 under white light from everywhere. Head space: x left of the head, y up, z forward.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from avatar3d.core import AvatarError
from avatar3d.edit.look.colour import to_linear

# What a Lambertian surface makes of each degree of the incoming light, over pi (Ramamoorthi and Hanrahan 2001).
_COSINE = (1.0, 2 / 3, 2 / 3, 2 / 3, 0.25, 0.25, 0.25, 0.25, 0.25)
SIDES: Mapping[str, tuple[float, float, float]] = {
    "left": (1.0, 0.3, 0.35),
    "right": (-1.0, 0.3, 0.35),
    "top": (0.0, 1.0, 0.3),
    "bottom": (0.0, -1.0, 0.5),
    "front": (0.0, 0.25, 1.0),
    "back": (0.0, 0.5, -1.0),
}
"""Directions by name, towards the light."""


@dataclass(frozen=True)
class Lights:
    """Light on a head: from everywhere, from a panorama, and one lamp."""

    ambient: Float[Tensor, "3"]
    """Linear."""
    sh: Float[Tensor, "9 3"] | None = None
    """Shading of a panorama; from `panorama`."""
    lamp: Float[Tensor, "3"] | None = None
    """Linear colour times strength, at the head's middle."""
    direction: Float[Tensor, "3"] | None = None
    """Towards a lamp that is far away."""
    point: Float[Tensor, "3"] | None = None
    """Where a lamp stands that is near, metres; falls off with the square of the distance."""

    def shading(self, normals: Float[Tensor, "n 3"], points: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Returns the shading of surfaces; no shadows are cast."""
        out = self.ambient.expand(len(normals), 3).clone()
        if self.sh is not None:
            out = out + (harmonics(normals) @ self.sh).clamp_min(0)
        if self.lamp is None:
            return out
        if self.point is not None:
            way = self.point - points
            falloff = (self.point.norm() / way.norm(dim=-1, keepdim=True).clamp_min(0.02)) ** 2
            cosine = (torch.nn.functional.normalize(way, dim=-1) * normals).sum(-1, keepdim=True)
        else:
            assert self.direction is not None
            falloff = 1.0
            cosine = (normals @ torch.nn.functional.normalize(self.direction, dim=0))[:, None]
        return out + self.lamp * cosine.clamp_min(0) * falloff


def harmonics(directions: Float[Tensor, "n 3"]) -> Float[Tensor, "n 9"]:
    """Returns the real spherical harmonics up to degree 2 of unit directions, orthonormal on the sphere."""
    x, y, z = directions.unbind(-1)
    c0, c1 = 0.5 / math.sqrt(math.pi), math.sqrt(3 / (4 * math.pi))
    c2, c3, c4 = math.sqrt(15 / (4 * math.pi)), math.sqrt(5 / (16 * math.pi)), math.sqrt(15 / (16 * math.pi))
    rows = [torch.full_like(x, c0), c1 * y, c1 * z, c1 * x, c2 * x * y, c2 * y * z, c3 * (3 * z * z - 1), c2 * x * z]
    return torch.stack([*rows, c4 * (x * x - y * y)], -1)


def panorama(image: Float[np.ndarray, "h w 3"]) -> Float[Tensor, "9 3"]:
    """Returns the shading that an equirectangular picture of the surroundings gives.

    Its middle is what the face looks at (+z); its right half is on the head's right (-x), as the head would see it
    mirrored, that is, as a photographer who stands in front of the person and turns about sees it from the inside.

    Args:
        image: sRGB in [0, 1]; linear values above 1 are taken as they are.

    Raises:
        AvatarError: Not about twice as wide as high.
    """
    h, w = image.shape[:2]
    if not 1.5 <= w / h <= 2.6:
        raise AvatarError(f"a panorama of {w}x{h}; give an equirectangular picture, twice as wide as high")
    step = max(1, h // 128)
    pixels = to_linear(torch.from_numpy(np.ascontiguousarray(image[step // 2 :: step, step // 2 :: step])).double())
    rows, columns = pixels.shape[:2]
    polar = (torch.arange(rows) + 0.5).double() / rows * math.pi
    around = ((torch.arange(columns) + 0.5).double() / columns - 0.5) * math.tau
    y = polar.cos()[:, None].expand(rows, columns)
    x, z = -polar.sin()[:, None] * around.sin(), polar.sin()[:, None] * around.cos()
    weight = polar.sin()[:, None, None] * (math.pi / rows) * (math.tau / columns)
    basis = harmonics(torch.stack([x, y, z], -1).reshape(-1, 3))
    incoming = basis.T @ (pixels * weight).reshape(-1, 3)
    return (incoming * torch.tensor(_COSINE).double()[:, None]).float()


def estimate(
    normals: Float[Tensor, "n 3"], linear: Float[Tensor, "n 3"], weights: Float[Tensor, " n"]
) -> Float[Tensor, "9 3"]:
    """Returns the shading, as harmonics, of the light that surfaces of one albedo were seen in.

    Least squares in which every direction of normals counts the same, what does not fit (beard, shadow) counts less,
    and directions that were not seen get an even light. The albedo is in the result: only its ratios mean something.

    Args:
        normals: Unit.
        linear: Colours, linear light.
        weights: How much each counts.
    """
    even = _directions(128)
    nearest = (normals @ even.T).argmax(-1)
    crowd = torch.zeros(len(even)).index_add(0, nearest, weights)
    # A direction that few splats have is not trusted more than they deserve.
    weight = weights / crowd[nearest].clamp_min(float(crowd.max()) * 0.02)
    basis, target = harmonics(normals).double(), linear.double()
    mean = (target * weight[:, None]).sum(0) / weight.sum()
    ridge = torch.tensor([1e-6, *[4e-3] * 3, *[1.2e-2] * 5]).double() * float(weight.sum())
    robust = torch.ones(len(normals)).double()
    solution = torch.zeros(9, 3).double()
    for _ in range(4):
        scaled = basis * (weight * robust)[:, None]
        solution = torch.linalg.solve(scaled.T @ basis + torch.diag(ridge), scaled.T @ target)
        off = ((basis @ solution - target) / mean).norm(dim=-1)
        robust = 1 / (1 + (off / 0.35) ** 2)
    return solution.float()


def _directions(count: int) -> Float[Tensor, "m 3"]:
    """Returns directions spread evenly over the sphere (Fibonacci's spiral)."""
    nth = torch.arange(count) + 0.5
    y = 1 - 2 * nth / count
    ring = (1 - y * y).sqrt()
    angle = nth * math.pi * (1 + 5**0.5)
    return torch.stack([ring * angle.cos(), y, ring * angle.sin()], -1)
