"""Colours: names and hex to sRGB, the perceptual space OKLab, and the colour difference CIEDE2000."""

import math

import torch
from jaxtyping import Float
from PIL import ImageColor
from torch import Tensor

from avatar3d.core import AvatarError

# Linear sRGB to cone responses and those (cube roots) to OKLab; B. Ottosson, "A perceptual color space for image
# processing", 2020.
_CONES = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
_OPPONENT = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)
# Linear sRGB to CIE XYZ divided by the white point D65 (IEC 61966-2-1).
_XYZ = (
    (0.4124564 / 0.95047, 0.3575761 / 0.95047, 0.1804375 / 0.95047),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339 / 1.08883, 0.1191920 / 1.08883, 0.9503041 / 1.08883),
)


def parse_colour(text: str) -> tuple[float, float, float]:
    """Returns sRGB in [0, 1] of `#3a7`, `#33aa77`, `rgb(51, 170, 119)`, `hsl(150, 54%, 43%)` or a CSS name.

    Raises:
        AvatarError: Nothing of that kind; names the nearest.
    """
    wanted = text.strip().lower().replace(" ", "") if "(" not in text else text.strip().lower()
    try:
        red, green, blue = ImageColor.getrgb(wanted)[:3]
    except (ValueError, TypeError) as error:
        import difflib

        near = difflib.get_close_matches(wanted, ImageColor.colormap, n=3, cutoff=0.5)
        hint = f"nearest names: {', '.join(near)}" if near else "write #rrggbb, rgb(r, g, b) or a CSS colour name"
        raise AvatarError(f"colour '{text[:40]}' is not known; {hint}") from error
    return tuple(min(max(x, 0), 255) / 255 for x in (red, green, blue))  # type: ignore[return-value]


def hex_of(colour: Float[Tensor, "3"]) -> str:
    """Returns sRGB in [0, 1] as `#rrggbb`."""
    return "#" + "".join(f"{round(float(x) * 255):02x}" for x in colour.clamp(0, 1))


def to_linear(srgb: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3"]:
    """Returns linear light of sRGB; odd about zero, so that values out of range survive a round trip."""
    size = srgb.abs()
    curve = torch.where(size <= 0.04045, size / 12.92, ((size + 0.055) / 1.055).clamp_min(0) ** 2.4)
    return curve * srgb.sign()


def from_linear(linear: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3"]:
    """Returns sRGB of linear light, the inverse of `to_linear`."""
    size = linear.abs()
    curve = torch.where(size <= 0.0031308, size * 12.92, 1.055 * size.clamp_min(1e-12) ** (1 / 2.4) - 0.055)
    return curve * linear.sign()


def to_oklab(srgb: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3"]:
    """Returns OKLab (lightness in [0, 1], a, b) of sRGB."""
    cones = to_linear(srgb) @ srgb.new_tensor(_CONES).T
    return (cones.abs() ** (1 / 3) * cones.sign()) @ srgb.new_tensor(_OPPONENT).T


def from_oklab(lab: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3"]:
    """Returns sRGB of OKLab; colours that sRGB does not have come out of [0, 1]."""
    cones = (lab @ torch.linalg.inv(lab.new_tensor(_OPPONENT).double()).to(lab).T) ** 3
    return from_linear(cones @ torch.linalg.inv(lab.new_tensor(_CONES).double()).to(lab).T)


def to_lab(srgb: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3"]:
    """Returns CIELAB (D65, 2 degrees) of sRGB."""
    ratio = to_linear(srgb) @ srgb.new_tensor(_XYZ).T
    edge = (6 / 29) ** 3
    curve = torch.where(ratio > edge, ratio.clamp_min(edge) ** (1 / 3), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = curve.unbind(-1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def difference(one: Float[Tensor, "*b 3"], other: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b"]:
    """Returns the colour difference CIEDE2000 of sRGB colours (Sharma, Wu and Dalal 2005; kL = kC = kH = 1)."""
    (l1, a1, b1), (l2, a2, b2) = (to_lab(x.double()).unbind(-1) for x in (one, other))
    mean_chroma7 = ((torch.hypot(a1, b1) + torch.hypot(a2, b2)) / 2) ** 7
    grow = 1.5 - 0.5 * (mean_chroma7 / (mean_chroma7 + 25.0**7)).sqrt()
    c1, c2 = torch.hypot(a1 * grow, b1), torch.hypot(a2 * grow, b2)
    h1, h2 = torch.atan2(b1, a1 * grow) % math.tau, torch.atan2(b2, a2 * grow) % math.tau
    turn = torch.remainder(h2 - h1 + math.pi, math.tau) - math.pi
    grey = c1 * c2 < 1e-12
    turn = torch.where(grey, 0.0, turn)
    hue = torch.where(grey, h1 + h2, torch.remainder(h1 + turn / 2, math.tau))
    lightness, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    t = (
        1
        - 0.17 * (hue - math.radians(30)).cos()
        + 0.24 * (2 * hue).cos()
        + 0.32 * (3 * hue + math.radians(6)).cos()
        - 0.20 * (4 * hue - math.radians(63)).cos()
    )
    off = (lightness - 50) ** 2
    by_l = (l2 - l1) / (1 + 0.015 * off / (20 + off).sqrt())
    by_c = (c2 - c1) / (1 + 0.045 * chroma)
    by_h = 2 * (c1 * c2).sqrt() * (turn / 2).sin() / (1 + 0.015 * chroma * t)
    degrees = torch.rad2deg(hue)
    bend = math.radians(60) * (-(((degrees - 275) / 25) ** 2)).exp()
    mix = -2 * (chroma**7 / (chroma**7 + 25.0**7)).sqrt() * bend.sin()
    return (by_l**2 + by_c**2 + by_h**2 + mix * by_c * by_h).clamp_min(0).sqrt().to(one)
