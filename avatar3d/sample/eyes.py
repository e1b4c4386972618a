"""Irises with fibres and a limbal ring, the glint on them, lashes, the wet rim of the lids, and brows."""

import numpy as np

from avatar3d.sample.layers import Layer, along, encoded, linear, unit
from avatar3d.sample.noise import step
from avatar3d.sample.skin import Canvas
from avatar3d.sample.strokes import lines, strokes

_IRIS, _PUPIL = 5.75e-3, 2.1e-3
# Where lashes grow on the mean face, millimetres, for the left eye.
_UPPER = np.array(
    (
        *((21.5, 1.5, 16.3), (23.6, 3.2, 17.6), (27.3, 3.6, 18.4), (31.5, 3.8, 18.9), (35.3, 3.5, 18.2)),
        *((39.0, 2.6, 17.1), (42.0, 1.6, 15.6), (44.5, 0.2, 13.6), (46.3, -1.2, 12.2)),
    )
)
_LOWER = np.array(
    (
        (22.5, -3.8, 15.8),
        (27.0, -6.0, 17.6),
        (31.5, -6.8, 17.9),
        (36.0, -6.5, 17.3),
        (40.0, -5.0, 15.9),
        (44.0, -2.6, 13.6),
    )
)


def eyes(canvas: Canvas) -> list[Layer]:
    """Returns the layers of both eyes."""
    layers = []
    for nth, side in enumerate((1, -1)):
        rng = np.random.default_rng([canvas.person.seed, 77, nth])
        layers += [_iris(canvas, side, rng), _glint(canvas, side), _rim(canvas, side), *_lashes(canvas, side, rng)]
    return layers


def _on_eye(canvas: Canvas, side: int, radius: np.ndarray, angle: np.ndarray):
    """Returns triangle, point, centre and place of points around the optical axis of an eye."""
    head = canvas.surface.head
    centre = head.joint_rest[head.joints.index("eye_left" if side > 0 else "eye_right")].double().numpy()
    ball = head.template[head.regions["eye_left" if side > 0 else "eye_right"] > 0.5].double().numpy() - centre
    size = np.linalg.norm(ball, axis=1).max()
    flat = np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1)
    z = np.sqrt(np.maximum(size**2 - (flat**2).sum(1), 0))
    return centre + np.concatenate([flat, z[:, None]], 1), centre


def _ball_layer(canvas: Canvas, side: int, points, centre, direction, sizes, opacity, colour, lift=1e-4) -> Layer:
    face, bary = canvas.surface.nearest(points, "eyes")
    head = canvas.surface.head
    anchor = (head.template.double().numpy()[head.faces.numpy()[face]] * bary[..., None]).sum(1)
    rotation = canvas.surface.frames.rotation[face].transpose(0, 2, 1)
    out = unit(points - centre)
    offset = (rotation @ (points + out * lift - anchor)[..., None])[..., 0]
    axes = along((rotation @ direction[..., None])[..., 0], (rotation @ out[..., None])[..., 0])
    return Layer(face, bary, offset, axes, sizes, opacity, colour)


def _iris(canvas: Canvas, side: int, rng: np.random.Generator) -> Layer:
    """Returns iris and pupil: a disc of dabs, fibres that run outward, a ring around the pupil and the limbal ring."""
    base = np.array(canvas.person.eyes)
    rings = []
    fibres, steps = 52, 7
    turn = np.repeat(np.arange(fibres) * 2 * np.pi / fibres + rng.normal(0, 0.05, fibres), steps)
    radius = np.tile(np.linspace(_PUPIL + 0.25e-3, _IRIS - 0.25e-3, steps), fibres) + rng.normal(0, 0.12e-3, len(turn))
    share = (radius - _PUPIL) / (_IRIS - _PUPIL)
    bright = np.repeat(np.exp(rng.normal(0, 0.22, fibres)), steps) * np.exp(rng.normal(0, 0.12, len(turn)))
    warm = base * np.array((1.25, 0.95, 0.55)) + 0.06
    central = (1 - step(share, 0.12, 0.45))[:, None] * 0.65
    shade = 1.12 * (1 - 0.72 * step(share, 0.78, 1.02))
    colour = (base * (1 - central) + warm * central) * (bright * shade)[:, None]
    long, across = np.full(len(turn), 0.52e-3), 0.36e-3 * (0.55 + 0.6 * share)
    rings.append((radius, turn, colour, long, across, np.full(len(turn), 0.9)))
    n = 26  # the pupil
    r, a = _PUPIL * 0.85 * np.sqrt((np.arange(n) + 0.5) / n), np.arange(n) * 2.39996
    dark = np.full((n, 3), 0.012)
    rings.append((r, a, dark, np.full(n, 0.42e-3), np.full(n, 0.42e-3), np.full(n, 0.97)))
    n = 54  # the limbal ring: soft, towards the white
    r, a = np.full(n, _IRIS + 0.02e-3), np.arange(n) * 2 * np.pi / n
    edge = np.broadcast_to(base * 0.22 + 0.03, (n, 3))
    rings.append((r, a, edge, np.full(n, 0.30e-3), np.full(n, 0.42e-3), np.full(n, 0.62)))
    radius, turn, colour, long, across, opacity = (np.concatenate(x) for x in zip(*rings, strict=True))
    points, centre = _on_eye(canvas, side, radius, turn)
    direction = np.stack([np.cos(turn), np.sin(turn), -0.4 * np.ones_like(turn)], -1)
    # Shaded by the lid and its lashes from above; lit through the cornea from the other side.
    height = (points[:, 1] - centre[1]) / _IRIS
    lit = 0.80 - 0.42 * step(height, 0.25, 1.0) + 0.14 * step(height, 0.1, -0.9)
    colour = encoded(linear(np.clip(colour, 0, 1)) * lit[:, None])
    sizes = np.stack([long, np.full_like(long, 4e-5), across], -1)
    return _ball_layer(canvas, side, points, centre, direction, sizes, opacity, colour)


def _glint(canvas: Canvas, side: int) -> Layer:
    """Returns the reflections of the main light (both eyes have it on the same side) and of the reflector."""
    radius, turn = np.array((2.6e-3, 2.9e-3, 3.4e-3)), np.array((2.15, 2.0, -0.6))
    points, centre = _on_eye(canvas, side, radius, turn)
    direction = np.stack([-np.sin(turn), np.cos(turn), np.zeros(3)], -1)
    sizes = np.array(((0.62e-3, 4e-5, 0.5e-3), (0.8e-3, 4e-5, 0.62e-3), (0.8e-3, 4e-5, 0.4e-3)))
    colour = np.array(((1.0, 1.0, 1.0), (0.92, 0.95, 1.0), (0.8, 0.86, 0.95)))
    return _ball_layer(canvas, side, points, centre, direction, sizes, np.array((0.9, 0.5, 0.16)), colour, 6e-4)


def _rim(canvas: Canvas, side: int) -> Layer:
    """Returns the lids' edges: the dark line under the upper lashes and the moist one on the lower lid."""
    flip = np.array((side, 1, 1)) * 1e-3
    dark, light_ = 44, 34
    upper, ahead = lines(_UPPER, dark)
    lower, along_lower = lines(_LOWER + np.array((0, 0.5, -0.3)), light_)
    skin = canvas.hue(np.full(light_, -0.05))
    wet = skin * np.array((1.0, 0.82, 0.80))
    liner = 0.55 + 0.45 * canvas.person.shadow
    line = np.broadcast_to(np.array((0.12, 0.085, 0.075)), (dark, 3))
    points = np.concatenate([upper, lower]) * flip
    direction = np.concatenate([ahead, along_lower]) * (side, 1, 1)
    width = np.concatenate([np.full(dark, 0.26e-3), np.full(light_, 0.3e-3)])
    opacity = np.concatenate([np.full(dark, 0.62 * liner), np.full(light_, 0.4)])
    colour = np.concatenate([line, encoded(linear(wet) * 0.62)])
    return strokes(canvas, points, direction, np.full(len(points), 2.2e-3), width, colour, opacity, 1.5e-4)


def _lashes(canvas: Canvas, side: int, rng: np.random.Generator) -> list[Layer]:
    layers = []
    female = 1 - canvas.person.gender
    for curve, count, rise, long in ((_UPPER, 58, 0.42, 6.2 + 2.2 * female), (_LOWER, 30, -0.75, 3.4)):
        root, _ = lines(curve, count)
        root = root + rng.normal(0, 0.18, root.shape)
        out = (root[:, 0] - 33) / 13
        lift = np.stack([0.55 * out, np.full(count, rise), np.ones(count)], -1) + rng.normal(0, 0.13, (count, 3))
        length = long * rng.uniform(0.7, 1.1, count) * (0.62 + 0.38 * step(root[:, 0], 22, 36)) * 1e-3
        flip = np.array((side, 1, 1))
        colour = np.broadcast_to(np.array(canvas.person.hair_colour) * 0.25 + 0.02, (count, 3))
        thick = 0.085e-3 * (0.8 + 0.6 * canvas.person.shadow + 0.15 * female) * (1.0 if curve is _UPPER else 0.75)
        first = strokes(canvas, root * flip * 1e-3, lift * flip, length * 0.55, thick, colour, 0.55 + 0.2 * female, 0.0)
        if curve is _LOWER:
            first = Layer(**{**vars(first), "opacity": first.opacity * 0.45})
        layers.append(first)
        if curve is _UPPER:  # curled: the outer half turns up
            curl = (lift + np.array((0, 0.55, -0.1))) * flip
            second = strokes(
                canvas, root * flip * 1e-3, curl, length * 0.6, thick * 0.7, colour, 0.45 + 0.2 * female, 0.0
            )
            ahead = unit(
                (canvas.surface.frames.rotation[first.face].transpose(0, 2, 1) @ unit(lift * flip)[..., None])[..., 0]
            )
            layers.append(Layer(**{**vars(second), "offset": second.offset + ahead * (length * 0.5)[:, None]}))
    return layers


def brows(canvas: Canvas) -> list[Layer]:
    """Returns the brows, hair by hair."""
    person, layers = canvas.person, []
    rng = canvas.rng("brows")
    arch = 1.6 * (1 - person.gender) + rng.normal(0, 0.6)
    raise_ = rng.normal(0.0, 0.8) + 0.8 * (1 - person.gender)
    ridge = np.array(
        ((13, 16.0), (20, 18.8), (29, 22.4 + 0.5 * arch), (38, 24.6 + arch), (45, 23.6 + 0.6 * arch), (52, 20.2))
    )
    ridge = (ridge + np.array((0, raise_))) * 1e-3
    thick = (2.2 + 4.2 * person.brows) * 1e-3
    grey = min(1.0, person.grey * 0.6)
    base = np.array(person.hair_colour) * 0.8 * (1 - grey) + 0.5 * grey
    base = np.minimum(base, canvas.hue(np.zeros(1))[0] * 0.62)  # fair brows still show
    for side in (1, -1):
        own = np.random.default_rng([person.seed, 99, side + 1])
        count = int(210 + 330 * person.brows)
        share = own.beta(1.05, 1.25, count)
        xy, ahead = (a[np.argsort(np.argsort(share))] for a in lines(ridge, count))
        share = np.interp(xy[:, 0], ridge[:, 0], np.linspace(0, 1, len(ridge)))
        across = own.normal(0, 0.33, count).clip(-0.75, 0.75)
        full = thick * (0.72 + 0.5 * step(share, 0, 0.25)) * (1 - 0.72 * step(share, 0.45, 1.0))
        xy = xy + np.stack([np.zeros(count), across * full], -1)
        # Upward at the nose, along the ridge further out; the upper hairs lean down to meet the lower ones.
        up = np.radians(46 * (1 - step(share, 0.0, 0.35)) + 10 - 30 * across) + own.normal(0, 0.16, count)
        cos, sin = np.cos(up), np.sin(up)
        direction = np.stack([ahead[:, 0] * cos - ahead[:, 1] * sin, ahead[:, 0] * sin + ahead[:, 1] * cos], -1)
        flip = np.array((side, 1))
        points = canvas.surface.on_face(xy * flip)
        ends = canvas.surface.on_face((xy + direction * 4e-3) * flip)
        long = (
            own.uniform(4.2e-3, 7.5e-3, count) * (0.65 + 0.35 * step(share, 0, 0.3)) * (1 - 0.25 * step(share, 0.6, 1))
        )
        colour = np.clip(base * np.exp(own.normal(0, 0.2, count))[:, None], 0, 1)
        face, bary = canvas.surface.nearest(points)
        colour = encoded(linear(colour) * (0.25 + 0.75 * canvas.lit(face, bary)))
        layers.append(strokes(canvas, points, unit(ends - points), long, 0.17e-3, colour, 0.62, 2e-4))
        # The skin between the hairs is shaded by them.
        some = slice(0, count, 6)
        size = np.full(len(points[some]), 3.6e-3)
        shade = encoded(
            linear(np.clip((base + canvas.hue(np.zeros(1))) / 2, 0, 1)) * 0.6 * canvas.lit(face, bary)[some]
        )
        layers.append(
            strokes(
                canvas, points[some], unit(ends - points)[some], size, 1.1e-3, shade, 0.10 + 0.14 * person.brows, 1e-4
            )
        )
    return layers
