"""Simple clothes: cloth on the torso with a neckline, folds, and a collar that stands off."""

import numpy as np

from avatar3d.sample import noise
from avatar3d.sample.layers import Layer, along, encoded, linear
from avatar3d.sample.noise import step
from avatar3d.sample.skin import Canvas

# Height of the neckline at the front, the sides and the back of the neck, millimetres on the mean head; the depth of
# a V in front; how far cloth lies off the skin.
_NECKLINES = {
    "tshirt": (-196, -158, -148, 0, 3.0),
    "sweater": (-178, -150, -138, 0, 5.0),
    "shirt": (-176, -140, -126, 24, 3.5),
    "vneck": (-186, -156, -146, 52, 3.0),
    "turtleneck": (-138, -118, -104, 0, 4.5),
}


def covered(canvas: Canvas, p: np.ndarray) -> np.ndarray:
    """Returns how far places of the mean head lie below the neckline, millimetres; negative above."""
    front, side, back, vee, _ = _NECKLINES[canvas.person.clothes]
    x, y, z = p[:, 0] * 1e3, p[:, 1] * 1e3, p[:, 2] * 1e3
    around = np.arctan2(np.abs(x), z + 95) / np.pi  # 0 in front of the neck, 1 behind
    line = np.interp(around, (0, 0.45, 1), (front, side, back))
    line = line - vee * np.clip(1 - np.abs(x) / (0.75 * vee + 1e-6), 0, 1) if vee else line
    return line - y


def cloth(canvas: Canvas) -> tuple[np.ndarray, np.ndarray]:
    """Returns how much of the surface is cloth (n), and its colours, sRGB (n 3)."""
    p, rng = canvas.surface.points, canvas.rng("cloth")
    below = covered(canvas, p)
    on = step(below, -1.0, 2.0) * (p[:, 1] < -0.09) * (canvas.surface.region("mouth_interior") < 0.5)
    folds = noise.field(p * np.array((1.0, 0.45, 1.0)), 0.03, rng) + 0.6 * noise.field(p, 0.014, rng)
    weave = rng.normal(0, 0.015, len(p))
    ribs = 0.0
    if canvas.person.clothes in ("sweater", "turtleneck"):
        ribs = 0.10 * np.sin(np.arctan2(p[:, 0], p[:, 2] + 0.09) * 90) * step(below, 26, 18)
    colour = np.array(canvas.person.fabric) * (1 + 0.025 * folds + weave + ribs)[:, None]
    if canvas.person.clothes == "shirt":
        buttons = np.exp(-((p[:, 0] / 2.2e-3) ** 2)) * (below > 0) * (p[:, 2] > -0.05)
        colour = colour * (1 - 0.18 * buttons)[:, None]
    # A hem's shadow on what lies just below it.
    hem = np.exp(-(((below - 14) / 2.5) ** 2))
    return on, np.clip(colour * (1 - 0.16 * hem)[:, None], 0, 1)


def lift(canvas: Canvas) -> np.ndarray:
    """Returns how far the cloth lies off the skin at each place of the surface, metres."""
    below = covered(canvas, canvas.surface.points)
    height = _NECKLINES[canvas.person.clothes][-1] * 1e-3
    collar = 1.0 + 0.7 * np.exp(-(((below - 6) / 7) ** 2))
    return height * collar * step(below, -0.5, 2.0) * (canvas.surface.points[:, 1] < -0.09)


def collar(canvas: Canvas) -> list[Layer]:
    """Returns the neckline: a hem that runs along it in a clean line and closes the gap between cloth and skin."""
    height = _NECKLINES[canvas.person.clothes][-1] * 1e-3
    layers = []
    for level, share, dark in (
        (0.0, 0.5, 0.6),
        (0.8, 1.25, 0.92),
        (2.8, 1.6, 1.05),
        (5.0, 1.7, 1.0),
        (7.4, 1.55, 0.88),
    ):
        face, bary, way, long = _contour(canvas, level)
        n = len(face)
        if not n:
            continue
        rng = canvas.rng(f"collar {level}")
        drawn = (dark * (1 + 0.03 * rng.normal(size=n)))[:, None]
        colour = linear(np.array(canvas.person.fabric))[None] * np.maximum(canvas.lit(face, bary, False), 0.12) * drawn
        local = (canvas.frames.rotation[face].transpose(0, 2, 1) @ way[..., None])[..., 0]
        up = np.broadcast_to((0.0, 1.0, 0.0), local.shape).copy()
        sizes = np.stack([0.45 * long + 0.8e-3, np.full(n, 0.6e-3), np.full(n, 1.15e-3)], -1)
        offset = np.zeros((n, 3))
        offset[:, 1] = height * share
        layers.append(Layer(face, bary, offset, along(local, up), sizes, np.full(n, 0.97), encoded(colour)))
    return layers


def _contour(canvas: Canvas, level: float | int):
    """Returns triangles, middles, directions and lengths of the pieces of the line `level` mm below the neckline."""
    head = canvas.surface.head
    faces, template = head.faces.numpy(), head.template.double().numpy()
    value = covered(canvas, template)[faces] - level
    bust = (template[faces][..., 1].max(1) < -0.085) & (head.regions["mouth_interior"].numpy()[faces].max(1) < 0.5)
    face = np.flatnonzero(bust & (value.min(1) < 0) & (value.max(1) > 0))
    ends = []
    for i, j in ((0, 1), (1, 2), (2, 0)):
        a, b = value[face, i], value[face, j]
        share = np.where(a * b < 0, a / np.where(a == b, 1, a - b), np.nan)
        point = np.zeros((len(face), 3))
        point[:, i], point[:, j] = 1 - share, share
        ends.append(np.where(np.isnan(share)[:, None], np.nan, point))
    crossing = np.stack(ends, 1)  # each line enters by one edge and leaves by another
    order = np.argsort(np.isnan(crossing[..., 0]), axis=1, kind="stable")
    pair = np.take_along_axis(crossing, order[..., None], 1)[:, :2]
    good = ~np.isnan(pair).any((1, 2))
    face, pair = face[good], pair[good]
    first, last = canvas.point(face, pair[:, 0]), canvas.point(face, pair[:, 1])
    long = np.linalg.norm(last - first, axis=1)
    kept = long > 1e-4
    return face[kept], pair[kept].mean(1), (last - first)[kept], long[kept]
