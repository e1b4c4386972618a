"""Beards: where they grow, the shade of shaved skin, stubble and longer hair."""

import numpy as np

from avatar3d.sample import noise
from avatar3d.sample.layers import Layer, encoded, linear, unit
from avatar3d.sample.noise import step
from avatar3d.sample.skin import Canvas
from avatar3d.sample.strokes import strokes


def grows(canvas: Canvas, p: np.ndarray) -> np.ndarray:
    """Returns how much beard grows at places of the mean head, in [0, 1]: cheeks, lip, chin, throat."""
    x, y, z = np.abs(p[:, 0]) * 1e3, p[:, 1] * 1e3, p[:, 2] * 1e3
    cheek = np.interp(x, (0, 18, 30, 45, 56, 62, 68), (-60, -60, -60, -54, -40, -20, 8))
    area = step(cheek - y, -2, 6) * step(y, -127, -113) * step(z, -56, -44)
    lip = step(x, 29, 24) * step(y, -55.5, -58) * step(y, -76, -70)
    hollow = step(x, 5, 2) * step(y, -62, -60) * 0.4 + np.exp(-(((x - 20) / 7) ** 2 + ((y + 84) / 5) ** 2)) * 0.6
    beard = np.maximum(area * step(x, -1, 0), lip) * (1 - hollow)
    upper = step(y, -63, -56) * step(x, 30, 24)
    beard = beard * (1 - upper * (1 - lip))
    shape = canvas.person.beard
    if shape == "moustache":
        beard = beard * step(x, 31, 27) * step(y, -82 + 2 * (x > 26).astype(float).max(), -70)
    if shape == "goatee":
        beard = beard * step(x, 32, 27)
    bare = (canvas.surface.region("lips") > 0.2) if len(p) == len(canvas.surface.points) else np.zeros(len(p), bool)
    return np.clip(beard, 0, 1) * ~bare


def shade(canvas: Canvas) -> np.ndarray:
    """Returns how much darker and cooler the surface is where beard grows, in [0, 1]."""
    person, place = canvas.person, canvas.surface
    if person.gender < 0.5 or person.age < 17:
        return np.zeros(len(place.face))
    amount = {"none": 0.14, "stubble": 0.36, "moustache": 0.35, "goatee": 0.4, "full": 0.6}[person.beard]
    dark = 1 - 0.6 * float(np.mean(person.hair_colour))
    outer = (place.region("mouth_interior") < 0.3) & (place.region("face") + place.region("neck") > 0.5)
    return grows(canvas, place.points) * outer * amount * dark


def beard(canvas: Canvas) -> list[Layer]:
    """Returns stubble or hair."""
    person, rng, place = canvas.person, canvas.rng("beard"), canvas.surface
    if person.beard == "none":
        return []
    count, low, high, width = {
        "stubble": (2600, 0.8e-3, 1.6e-3, 0.16e-3),
        "moustache": (900, 5e-3, 10e-3, 0.3e-3),
        "goatee": (1500, 5e-3, 11e-3, 0.3e-3),
        "full": (4200, 4.5e-3, 11e-3, 0.34e-3),
    }[person.beard]
    p = place.points
    outer = (place.region("mouth_interior") < 0.3) & (place.region("face") + place.region("neck") > 0.5)
    weight = grows(canvas, p) * outer * place.width**2
    chosen = rng.choice(len(p), count, p=weight / weight.sum())
    roots = p[chosen] + rng.normal(0, 0.9e-3, (count, 3))
    normal = place.frames.rotation[place.face[chosen], :, 1]
    x = roots[:, 0] * 1e3
    down = np.stack([0.012 * x + 0.0 * x, np.full(count, -1.0), np.full(count, 0.15)], -1)
    lip = (roots[:, 1] > -0.072) & (np.abs(x) < 28)
    down[lip] = np.stack([np.sign(x[lip]) * 0.9, np.full(int(lip.sum()), -0.6), np.full(int(lip.sum()), 0.3)], -1)
    wild = 0.35 * np.stack([noise.field(roots, 0.01, rng) for _ in range(3)], -1) + rng.normal(0, 0.25, (count, 3))
    flat = down - (down * normal).sum(-1, keepdims=True) * normal
    way = unit(unit(flat) + normal * 0.3 + wild * 0.45)
    length = rng.uniform(low, high, count) * (0.45 + 0.55 * grows(canvas, roots))
    grey = rng.random(count) < min(1.0, person.grey * 1.2)
    colour = np.where(grey[:, None], np.array((0.7, 0.69, 0.68)), np.array(person.hair_colour) * 0.85)
    colour = np.clip(colour * np.exp(rng.normal(0, 0.22, count))[:, None], 0, 1)
    face, bary = place.nearest(roots)
    lit = encoded(linear(colour) * (0.3 + 0.8 * canvas.lit(face, bary)))
    layer = strokes(canvas, roots, way, length, width, lit, 0.75 if person.beard != "stubble" else 0.6)
    return [layer]
