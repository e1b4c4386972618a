"""Smooth random functions of space, and the soft shapes that features are painted with."""

import numpy as np
from jaxtyping import Float

_WAVES = 48


def field(points: Float[np.ndarray, "n 3"], size: float | int, rng: np.random.Generator) -> Float[np.ndarray, " n"]:
    """Returns a smooth random field with mean 0 and deviation 1 whose blotches measure about `size` metres.

    A Gaussian process with a squared-exponential kernel by random Fourier features (Rahimi and Recht, 2007).
    """
    waves = rng.normal(0, 2.2 / size, (_WAVES, 3))
    phase = rng.uniform(0, 2 * np.pi, _WAVES)
    return np.sqrt(2 / _WAVES) * np.cos(points @ waves.T + phase).sum(1)


def step(x: np.ndarray, low: float | int, high: float | int) -> np.ndarray:
    """Returns 0 below `low`, 1 above `high` (the other way round if low > high), smooth between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def spot(points: np.ndarray, centre: tuple[float | int, ...], radii: tuple[float | int, ...]) -> np.ndarray:
    """Returns a soft ellipsoid on both sides of the face, 1 in its middle; centre and radii in millimetres."""
    both = points * 1e3
    both = np.concatenate([np.abs(both[:, :1]), both[:, 1:]], 1)
    away = ((both - np.array(centre)) / np.array(radii)) ** 2
    return np.exp(-away.sum(-1))
