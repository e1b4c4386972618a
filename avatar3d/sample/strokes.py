"""Strokes and dots on the head: what is smaller than the splats of the skin, tied to the place where it grows."""

import numpy as np
from jaxtyping import Float

from avatar3d.sample.layers import Layer, along, unit
from avatar3d.sample.skin import Canvas


def strokes(
    canvas: Canvas,
    roots: Float[np.ndarray, "n 3"],
    direction: Float[np.ndarray, "n 3"],
    length: np.ndarray,
    width: np.ndarray | float | int,
    colour: Float[np.ndarray, "n 3"],
    opacity: np.ndarray | float | int,
    lift: float | int = 0.0002,
) -> Layer:
    """Returns one long splat each that begins at a root.

    Args:
        canvas: The head.
        roots: On the mean head at rest, metres; moved to its surface.
        direction: Where each points, on the mean head.
        length: From end to end, metres.
        width: Standard deviation across, metres.
        colour: sRGB, as it shows.
        opacity: In [0, 1].
        lift: Height of the root over the surface, metres.
    """
    face, bary = canvas.surface.nearest(roots)
    rotation = canvas.surface.frames.rotation[face]
    local = unit((rotation.transpose(0, 2, 1) @ direction[..., None])[..., 0])
    offset = local * (length[:, None] / 2)
    offset[:, 1] += lift
    half = np.broadcast_to(np.asarray(width), length.shape)
    sizes = np.stack([length * 0.32, half, half], -1)
    up = np.broadcast_to((0.0, 1.0, 0.0), local.shape).copy()
    return Layer(face, bary, offset, along(local, up), sizes, np.broadcast_to(opacity, length.shape).copy(), colour)


def dots(
    canvas: Canvas,
    roots: Float[np.ndarray, "n 3"],
    radius: np.ndarray,
    melanin: np.ndarray,
    opacity: np.ndarray | float | int,
    lift: float | int = 0.00025,
) -> Layer:
    """Returns flat spots of skin with more or less melanin, slightly longer one way."""
    face, bary = canvas.surface.nearest(roots)
    rng = canvas.rng("dots")
    n = len(face)
    turn = rng.uniform(0, np.pi, n)
    zero, one = np.zeros(n), np.ones(n)
    axes = np.stack([np.cos(turn), zero, np.sin(turn), zero, one, zero, -np.sin(turn), zero, np.cos(turn)], -1)
    sizes = np.stack([radius * rng.uniform(0.8, 1.4, n), np.full(n, 8e-5), radius * rng.uniform(0.7, 1.0, n)], -1)
    offset = np.stack([zero, np.full(n, lift), zero], -1)
    from avatar3d.sample.layers import encoded, linear

    colour = encoded(linear(canvas.hue(melanin)) * canvas.lit(face, bary))
    return Layer(face, bary, offset, axes.reshape(n, 3, 3), sizes, np.broadcast_to(opacity, (n,)).copy(), colour)


def lines(points: Float[np.ndarray, "k d"], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns `count` points along a polyline at even distances, and the directions there."""
    gaps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    at = np.concatenate([[0.0], np.cumsum(gaps)])
    where = np.linspace(0, at[-1], count)
    placed = np.stack([np.interp(where, at, points[:, i]) for i in range(points.shape[1])], -1)
    ahead = np.gradient(placed, axis=0) if count > 1 else np.diff(points[:2], axis=0)
    return placed, unit(ahead)
