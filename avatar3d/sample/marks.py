"""What age and sun leave on skin: freckles, moles, wrinkles, and the shade of the beard."""

import numpy as np

from avatar3d.sample.layers import Layer, encoded, join, linear
from avatar3d.sample.noise import spot, step
from avatar3d.sample.skin import Canvas
from avatar3d.sample.strokes import dots, lines, strokes

# Wrinkles as polylines (x, y) on the mean face, millimetres, both sides; how deep at full age, and from which share
# of `wrinkles` on they show.
_FOLDS: tuple[tuple[tuple[tuple[float, float], ...], float, float], ...] = (
    (((0, 37), (14, 39), (30, 37)), 0.6, 0.1),
    (((0, 45), (16, 47.5), (34, 44)), 0.7, 0.05),
    (((0, 53), (15, 55), (30, 52)), 0.5, 0.2),
    (((5, 12), (5.5, 18), (4.5, 24)), 0.6, 0.15),
    (((49, 2), (54, 4), (58, 8)), 0.5, 0.15),
    (((50, -1.5), (55, -1.5), (60, 0)), 0.55, 0.1),
    (((49, -5), (54, -7.5), (58, -10)), 0.5, 0.2),
    (((20, -13), (29, -17.5), (40, -14)), 0.5, 0.1),
    (((22, -18), (31, -22), (41, -18)), 0.35, 0.35),
    (((17, -44), (24, -52), (29, -63), (31, -72)), 1.0, -0.15),
    (((28, -79), (30, -87), (29, -97)), 0.7, 0.15),
    (((0, -90), (8, -89), (15, -91)), 0.4, 0.1),
)


def marks(canvas: Canvas) -> list[Layer]:
    """Returns the layers."""
    return [*_freckles(canvas), *_moles(canvas), *_wrinkles(canvas), *_pores(canvas)]


def _places(canvas: Canvas, count: int, rng: np.random.Generator, weight: np.ndarray) -> np.ndarray:
    """Returns places of the mean face, drawn with weights, a little off the skin's own splats."""
    weight = weight / weight.sum()
    chosen = rng.choice(len(weight), count, p=weight)
    return canvas.surface.points[chosen] + rng.normal(0, 0.8e-3, (count, 3))


def _freckles(canvas: Canvas) -> list[Layer]:
    amount, rng = canvas.person.freckles, canvas.rng("freckles")
    count = int(750 * amount)
    if not count:
        return []
    p, place = canvas.surface.points, canvas.surface
    weight = spot(p, (26, -26, 22), (26, 16, 40)) + 1.1 * spot(p, (0, -26, 40), (14, 18, 30))
    weight = weight + 0.14 + 0.25 * spot(p, (0, 45, 30), (45, 20, 60))
    skin = (place.region("face") > 0.5) & (place.region("lips") < 0.1) & (place.region("lids") < 0.5)
    roots = _places(canvas, count, rng, weight * skin)
    radius = np.exp(rng.normal(np.log(0.55e-3), 0.35, count))
    dark = rng.uniform(0.12, 0.32, count) * (0.6 + 0.4 * amount)
    return [dots(canvas, roots, radius, dark, rng.uniform(0.35, 0.8, count))]


def _moles(canvas: Canvas) -> list[Layer]:
    rng, place = canvas.rng("moles"), canvas.surface
    count = int(rng.poisson(9 * canvas.person.moles))
    if not count:
        return []
    skin = (place.region("face") > 0.5) & (place.region("lips") < 0.1) & (place.region("lids") < 0.3)
    weight = skin * 1.0 + 0.8 * (place.region("neck") > 0.5)
    roots = _places(canvas, count, rng, weight)
    return [dots(canvas, roots, rng.uniform(0.5e-3, 1.1e-3, count), rng.uniform(0.35, 0.6, count), 0.85)]


def _pores(canvas: Canvas) -> list[Layer]:
    rng, place = canvas.rng("pores"), canvas.surface
    p = place.points
    weight = spot(p, (20, -32, 25), (18, 18, 30)) + spot(p, (0, -36, 44), (12, 12, 20))
    weight = weight + 0.6 * spot(p, (0, 42, 30), (30, 18, 40)) + 0.5 * spot(p, (0, -100, 20), (20, 12, 30))
    weight = weight * (place.region("lips") < 0.1) * (place.region("lids") < 0.3) * (place.region("eyes") < 0.3)
    weight = weight * (place.region("mouth_interior") < 0.3) * (place.region("face") > 0.5)
    count = 900
    roots = _places(canvas, count, rng, weight)
    shade = np.where(rng.random(count) < 0.65, 1, -1) * rng.uniform(0.03, 0.1, count)
    return [dots(canvas, roots, rng.uniform(0.28e-3, 0.5e-3, count), shade, 0.42)]


def _wrinkles(canvas: Canvas) -> list[Layer]:
    rng, layers = canvas.rng("wrinkles"), []
    for path, depth, begins in _FOLDS:
        amount = depth * step(np.array(canvas.person.wrinkles), begins, begins + 0.75)
        if amount < 0.03:
            continue
        for side in (-1, 1):
            layers += _fold(canvas, np.array(path, float) * 1e-3, side, float(amount), rng)
    return layers


def _fold(canvas: Canvas, path: np.ndarray, side: int, amount: float, rng: np.random.Generator) -> list[Layer]:
    """Returns one wrinkle: a dark line, and a light one where the skin turns up again."""
    path = path + rng.normal(0, 0.7e-3, path.shape)
    length = np.linalg.norm(np.diff(path, axis=0), axis=1).sum()
    count = max(6, int(length / 1.7e-3))
    xy, ahead = lines(path, count)
    xy = xy + 0.35e-3 * np.stack([np.sin(np.arange(count) * 0.9 + rng.uniform(0, 6)), np.zeros(count)], -1)
    xy[:, 0] *= side
    ahead = ahead * (side, 1)
    ends = np.sin(np.linspace(0.12, np.pi - 0.12, count)) ** 0.7
    layers = []
    for shift, factor, opacity, width in ((0.0, 0.46, 0.58, 0.5e-3), (-1.0e-3, 1.16, 0.34, 0.65e-3)):
        points = canvas.surface.on_face(xy + np.stack([-ahead[:, 1], ahead[:, 0]], -1) * shift * side)
        face, bary = canvas.surface.nearest(points)
        colour = linear(canvas.hue(np.full(count, 0.02))) * (0.98, 0.92, 0.9) * canvas.lit(face, bary) * factor
        direction = np.concatenate([ahead, np.gradient(points[:, 2])[:, None] / 1.7e-3], 1)
        long = np.full(count, 4.5e-3)
        layers.append(strokes(canvas, points, direction, long, width, encoded(colour), opacity * amount * ends, 1e-4))
    return layers


def all_marks(canvas: Canvas) -> Layer:
    """Returns all marks as one layer."""
    return join(marks(canvas))
