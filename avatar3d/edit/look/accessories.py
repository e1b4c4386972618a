"""Glasses and hats drawn to measure: no file is needed, and they fit the head they are put on."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from avatar3d.core import AvatarError
from avatar3d.edit.look.image import spot
from avatar3d.edit.look.solid import Solid, together
from avatar3d.edit.look.surface import Surface

_TUBE = 6  # corners of a tube's cross-section
_CLEAR = 0.003  # metres between lenses and lashes, brows and cheeks
_ABOVE = 0.012  # metres between skull and hat


def glasses(under: Surface, colour: Float[Tensor, "3"], shape: str, dark: bool) -> Solid:
    """Returns glasses that rest on the nose and the ears.

    Args:
        under: The head.
        colour: Of the frame, sRGB.
        shape: "round", "square" or "aviator".
        dark: Sunglasses.
    """
    eyes = [spot(under, f"iris_{side}")[0] for side in ("left", "right")]
    size = float((eyes[0] - eyes[1]).norm()) / 0.062
    lens_z = _lens_plane(under, eyes, size)
    parts = []
    inner, level = [], float(eyes[0][1] + eyes[1][1]) / 2 - 0.004 * size
    for eye, sign in zip(eyes, (1.0, -1.0), strict=True):
        x = float(eye[0]) + sign * 0.0015 * size
        outline = _outline(shape, sign, size) + torch.tensor([x, level, lens_z])
        # The front of a frame bends back towards the temples.
        bend = lambda p: p - torch.tensor([0.0, 0.0, 1.0]) * 2.2 * (p[:, :1].abs() - 0.012).clamp_min(0) ** 2  # noqa: E731
        outline = bend(outline)
        parts.append(_tube(outline, 0.0011 * size, colour, closed=True))
        if dark:  # clear lenses would only be a haze
            parts.append(_fan(outline, torch.tensor([0.04, 0.04, 0.05])))
        near = outline[(outline[:, 0] * sign).argsort()]
        inner.append(near[:6].mean(0))
        far = near[-6:].mean(0)
        parts.append(_tube(_temple(under, far, sign), 0.0014 * size, colour))
    steps = torch.linspace(0, 1, 12)[:, None]
    bridge = inner[0] * (1 - steps) + inner[1] * steps
    bridge[:, 1] += 0.006 * size + 0.004 * size * (steps[:, 0] * math.pi).sin()
    bridge[:, 2] += 0.003 * size * (steps[:, 0] * math.pi).sin()
    parts.append(_tube(bridge, 0.0014 * size, colour))
    return together(parts)


def hat(under: Surface, colour: Float[Tensor, "3"], shape: str) -> tuple[Solid, Callable[[Tensor], Tensor]]:
    """Returns a hat for the skull, and a function that says of points how far they are above its rim (metres).

    Args:
        under: The head.
        colour: sRGB.
        shape: "beanie", "cap" or "hat".
    """
    if "scalp" not in under.head.regions:
        raise AvatarError(f"head '{under.head.name}' has no scalp to put a hat on")
    eye = (spot(under, "iris_left")[0] + spot(under, "iris_right")[0]) / 2
    skull = under.vertices[(under.vertices[:, 1] > eye[1] + 0.02)]
    top, front, back = (float(v) for v in (skull[:, 1].max(), skull[:, 2].max(), skull[:, 2].min()))
    rim_front, rim_back = float(eye[1]) + 0.052, float(eye[1]) + (0.012 if shape == "beanie" else 0.03)
    slope = (rim_front - rim_back) / (front - back)

    def above(points: Tensor) -> Tensor:
        return points[:, 1] - (rim_back + slope * (points[:, 2] - back))

    count = 72
    angle = torch.arange(count) / count * math.tau
    middle = torch.tensor([0.0, 0.0, (front + back) / 2])
    reach = _reach(skull, above(skull), middle, angle) + _ABOVE
    height = top - (rim_front + rim_back) / 2 + _ABOVE + (0.012 if shape == "beanie" else 0.006)
    levels = torch.linspace(0, 1, 26).tolist()

    def ring(radius: Tensor, lift: float) -> Tensor:
        x, z = radius * angle.sin(), radius * angle.cos() + middle[2]
        return torch.stack([x, rim_back + slope * (z - back) + lift, z], -1)

    if shape == "hat":
        rows = [ring(reach * (1 + 0.02 * t), t * 0.115) for t in levels]
        rows += [ring(reach * s, 0.115) for s in (0.75, 0.5, 0.25, 0.02)]
        brim = [ring(reach + d, -8 * d * d + 0.003) for d in torch.linspace(-0.002, 0.055, 12).tolist()]
        band = torch.tensor([0.08, 0.07, 0.07])
        body = _grid(rows, colour, lambda t: band if t < 5 else None)
        under_side = _grid([r - torch.tensor([0.0, 0.004, 0.0]) for r in reversed(brim)], colour * 0.8)
        return together([body, _grid(brim, colour), under_side]), above
    profile = [(1 - min(t, 0.995) ** 2.4) ** (1 / 2.4) for t in levels]
    rows = [ring(reach * p, t * height) for p, t in zip(profile, levels, strict=True)]
    knit = lambda i, k: 0.9 + 0.1 * math.cos(k * math.tau / 3)  # noqa: E731
    body = _grid(rows, colour, shade=knit if shape == "beanie" else None)
    if shape == "beanie":
        cuff = [
            ring(reach + 0.004 + 0.001 * math.sin(math.pi * s), -0.004 + 0.038 * s) for s in (0, 0.15, 0.5, 0.85, 1)
        ]
        return together([body, _grid(cuff, colour * 0.92, shade=knit)]), above
    half = math.radians(62)
    fan = torch.linspace(-half, half, 41)
    index = ((fan / math.tau * count).round().long()) % count
    edge = ring(reach, 0.003)[index]
    visor = []
    for d in torch.linspace(0, 1, 14):
        out = 0.068 * d * (torch.cos(fan / half * math.pi / 2)).clamp_min(0) ** 0.6
        drop = -0.016 * d * d - 0.010 * d * (fan / half) ** 2
        visor.append(edge + torch.stack([out * fan.sin() * 0.5, drop, out], -1))
    low = [v - torch.tensor([0.0, 0.0025, 0.0]) for v in reversed(visor)]
    return together([body, _grid(visor, colour * 0.9, wrap=False), _grid(low, colour * 0.7, wrap=False)]), above


def _lens_plane(under: Surface, eyes: list[Tensor], size: float) -> float:
    """Returns the depth at which lenses clear everything behind them."""
    at = under.splats.means
    ahead = [float(eyes[0][2])]
    for eye in eyes:
        inside = ((at[:, 0] - eye[0]) / (0.02 * size)) ** 2 + ((at[:, 1] - eye[1] + 0.004) / (0.016 * size)) ** 2 < 1
        near = inside & (under.height < 0.006) & (at[:, 2] > eye[2] - 0.03)
        if int(near.sum()) > 20:
            ahead.append(float(at[near, 2].quantile(0.97)))
    return max(ahead) + _CLEAR * size + 0.004


def _outline(shape: str, sign: float, size: float) -> Float[Tensor, "m 3"]:
    """Returns a lens's edge about its middle."""
    angle = torch.linspace(0, math.tau, 73)[:-1]
    half_width, half_height, power = {
        "round": (0.0235, 0.0225, 2.0),
        "square": (0.0265, 0.0195, 4.0),
        "aviator": (0.0275, 0.0245, 2.6),
    }[shape]
    c, s = angle.cos(), angle.sin()
    x, y = half_width * c.sign() * c.abs() ** (2 / power), half_height * s.sign() * s.abs() ** (2 / power)
    if shape == "aviator":  # lower and inwards it narrows to a drop
        x = x * (1 - 0.22 * (-y / half_height).clamp(0, 1)) + 0.003 * (y / half_height)
    return torch.stack([sign * x, y, torch.zeros_like(x)], -1) * size


def _temple(under: Surface, start: Float[Tensor, "3"], sign: float) -> Float[Tensor, "m 3"]:
    """Returns the way of an arm: outside of the skull to the ear's top, then down behind it."""
    side = "left" if sign > 0 else "right"
    name = f"ear_{side}"
    ears = under.head.regions.get(name)
    if ears is not None and bool((ears > 0.5).any()):
        ear = under.vertices[ears > 0.5]
        root = float((ear[:, 0] * sign).quantile(0.15))
        end = torch.tensor([sign * (root + 0.004), float(ear[:, 1].max()) - 0.006, float(ear[:, 2].mean())])
    else:
        end = start + torch.tensor([0.0, 0.0, -0.1])
    steps = torch.linspace(0, 1, 40)[:, None]
    line = start * (1 - steps) + end * steps
    outer = under.vertices[(under.vertices[:, 0] * sign > 0)]
    if ears is not None:
        outer = under.vertices[(under.vertices[:, 0] * sign > 0) & (ears < 0.3)]
    for p in line:
        near = ((outer[:, 1:] - p[1:]).abs() < 0.008).all(-1)
        if bool(near.any()):
            p[0] = sign * max(float(p[0]) * sign, float((outer[near, 0] * sign).max()) + 0.004)
    down = torch.linspace(0, 1, 12)[1:, None]
    hook = line[-1] + down * torch.tensor([sign * -0.002, 0.0, -0.016]) + down**2 * torch.tensor([0.0, -0.026, -0.004])
    return torch.cat([line, hook])


def _reach(points: Tensor, above: Tensor, middle: Tensor, angle: Tensor) -> Float[Tensor, " a"]:
    """Returns how far the skull reaches at its rim in each direction, smooth."""
    low = points[(above > -0.012) & (above < 0.03)] - middle
    along = torch.atan2(low[:, 0], low[:, 2])
    radius = low[:, [0, 2]].norm(dim=-1)
    off = torch.remainder(along[None] - angle[:, None] + math.pi, math.tau) - math.pi
    best = torch.where(off.abs() < 0.25, radius[None], 0.0).amax(1)
    kernel = (-0.5 * (torch.arange(-6, 7) / 2.5) ** 2).exp()
    wrapped = torch.cat([best[-6:], best, best[:6]])[None, None]
    return torch.nn.functional.conv1d(wrapped, (kernel / kernel.sum())[None, None])[0, 0]


def _grid(rows: list[Tensor], colour: Tensor, paint=None, shade=None, wrap: bool = True) -> Solid:
    """Returns a surface through rings of as many points each, outside where rows rise and points run to the left."""
    count = len(rows[0])
    points = torch.cat(rows)
    faces, colours = [], []
    for i in range(len(rows) - 1):
        for k in range(count if wrap else count - 1):
            a, b = i * count + k, i * count + (k + 1) % count
            faces += [[a, b, a + count], [b, b + count, a + count]]
            tone = colour if paint is None or paint(i) is None else paint(i)
            colours += [tone * (1.0 if shade is None else shade(i, k))] * 2
    return Solid(points, torch.tensor(faces), torch.stack(colours), torch.full((len(faces),), 0.97))


def _fan(outline: Tensor, colour: Tensor) -> Solid:
    """Returns a lens: rings from its edge to its middle, slightly domed."""
    middle = outline.mean(0)
    rows = []
    for s in (1.0, 0.75, 0.5, 0.25, 0.02):
        rows.append(middle + (outline - middle) * s + torch.tensor([0.0, 0.0, 0.002 * (1 - s * s)]))
    solid = _grid(rows, colour)
    return Solid(solid.points, solid.faces, solid.colours, torch.full((len(solid.faces),), 0.82))


def _tube(line: Tensor, radius: float, colour: Tensor, closed: bool = False) -> Solid:
    """Returns a tube along a line."""
    ahead = line.roll(-1, 0) - line.roll(1, 0)
    if not closed:
        ahead[0], ahead[-1] = line[1] - line[0], line[-1] - line[-2]
    ahead = torch.nn.functional.normalize(ahead, dim=-1)
    up = torch.tensor([0.0, 0.0, 1.0]).expand_as(ahead)
    steep = (ahead * up).sum(-1).abs() > 0.9
    up = torch.where(steep[:, None], torch.tensor([0.0, 1.0, 0.0]), up)
    one = torch.nn.functional.normalize(torch.linalg.cross(ahead, up), dim=-1)
    other = torch.linalg.cross(ahead, one)
    angle = torch.arange(_TUBE) / _TUBE * math.tau
    around = angle.cos()[None, :, None] * one[:, None] + angle.sin()[None, :, None] * other[:, None]
    rings = line[:, None] + radius * around
    rows = list(rings.unbind(0))
    return _grid([*rows, rows[0]] if closed else rows, colour)
