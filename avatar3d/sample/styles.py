"""How hair is worn: numbers that `hair` grows strands by."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np


def _forward(roots: np.ndarray, top: np.ndarray, parting: float) -> np.ndarray:
    """Short hair: to the front and a little aside on the top, down and back on the sides."""
    side = np.sign(roots[:, 0])
    x = 0.45 * top * (1 if parting <= 0 else -1) + 0.15 * side * (1 - top)
    return np.stack([x, -0.15 * top - 0.9 * (1 - top), 0.85 * top - 0.3 * (1 - top)], -1)


def _swept(roots: np.ndarray, top: np.ndarray, parting: float) -> np.ndarray:
    """Over the top from the parting to the other side, and back."""
    away = np.sign(roots[:, 0] - 0.045 * (1 if parting > 0 else -1))
    x = away * top + 0.1 * np.sign(roots[:, 0]) * (1 - top)
    return np.stack([x, 0.1 * top - 0.9 * (1 - top), -0.45 * top - 0.45 * (1 - top)], -1)


def _parted(roots: np.ndarray, top: np.ndarray, parting: float) -> np.ndarray:
    """From the parting down to both sides."""
    away = np.tanh((roots[:, 0] - 0.05 * parting) / 0.006)
    back = -0.25 - 0.35 * top
    return np.stack([away * (0.35 + 0.75 * top), -0.4 - 0.6 * (1 - top), np.full(len(roots), 1.0) * back], -1)


def _back(y: float, z: float) -> Callable[[np.ndarray, np.ndarray, float], np.ndarray]:
    """Returns combing towards one point behind the head, metres."""

    def comb(roots: np.ndarray, top: np.ndarray, parting: float) -> np.ndarray:
        way = np.array((0.0, y, z)) - roots
        return way / np.maximum(np.linalg.norm(way, axis=-1, keepdims=True), 1e-9)

    return comb


def _outward(roots: np.ndarray, top: np.ndarray, parting: float) -> np.ndarray:
    """Away from the head."""
    way = roots - np.array((0.0, 0.01, -0.075))
    return way / np.maximum(np.linalg.norm(way, axis=-1, keepdims=True), 1e-9)


@dataclass(frozen=True)
class Style:
    """One way to wear hair; lengths in metres."""

    count: int
    """Strands; each stands for a lock of hairs."""
    steps: int = 3
    """Splats of a strand."""
    length: float = 0.03
    side: float = 1.0
    """Length on the sides, of that on the top."""
    comb: Callable[[np.ndarray, np.ndarray, float], np.ndarray] = _forward
    combed: float = 0.6
    """How strongly each step turns to the comb's direction."""
    lift: float = 0.4
    """How far a strand stands off at its root."""
    stiff: float = 1.0
    gravity: float = 0.0
    volume: float = 0.008
    """Height of the outermost strands over the scalp."""
    cling: float = 0.25
    """How strongly strands come back to that height."""
    wild: float = 0.25
    lock: float = 0.012
    """Size of locks that go the same way."""
    curl: float = 0.0
    """Radius of curls."""
    pitch: float = 0.03
    """Length of hair in one turn of a curl."""
    width: float = 0.8e-3
    base: float = 0.9
    """How much of the hair's colour the scalp takes."""
    fringe: float = 0.0
    """How much of the front may be cut as a fringe."""
    upright: bool = False
    """Whether the comb's direction may point away from the scalp."""
    knot: tuple[float, float, float, float] | None = None
    """x, y, z and radius of a bun, or of where a tail begins."""
    tail: float = 0.0


STYLES: Mapping[str, Style] = {
    "bald": Style(0),
    "buzz": Style(4200, 1, 0.006, lift=0.7, volume=0.003, width=0.45e-3, base=0.72, wild=0.4),
    "short": Style(3600, 3, 0.036, 0.55, lift=0.75, volume=0.011, wild=0.42, width=0.7e-3),
    "swept": Style(3200, 4, 0.062, 0.4, _swept, lift=0.8, volume=0.016, wild=0.22, width=0.75e-3, lock=0.016),
    "curly": Style(
        1700,
        11,
        0.085,
        0.8,
        _outward,
        combed=0.3,
        gravity=0.5,
        volume=0.03,
        cling=0.3,
        wild=0.5,
        curl=5.5e-3,
        pitch=0.042,
        width=1.05e-3,
        upright=True,
    ),
    "afro": Style(
        3000,
        6,
        0.05,
        0.9,
        _outward,
        1.0,
        volume=0.03,
        cling=0.0,
        wild=0.3,
        curl=3.5e-3,
        pitch=0.03,
        width=1.1e-3,
        upright=True,
    ),
    "bob": Style(
        2100,
        9,
        0.19,
        0.8,
        _parted,
        combed=0.75,
        lift=0.5,
        stiff=0.55,
        gravity=0.9,
        volume=0.015,
        cling=0.3,
        wild=0.12,
        lock=0.02,
        width=1.2e-3,
        fringe=1.0,
    ),
    "long": Style(
        1750,
        12,
        0.36,
        0.9,
        _parted,
        combed=0.75,
        lift=0.45,
        stiff=0.5,
        gravity=1.0,
        volume=0.014,
        cling=0.3,
        wild=0.12,
        lock=0.022,
        curl=2.5e-3,
        pitch=0.13,
        width=1.4e-3,
        fringe=0.8,
    ),
    "wavy": Style(
        1600,
        13,
        0.34,
        0.9,
        _parted,
        combed=0.75,
        lift=0.55,
        stiff=0.55,
        gravity=0.95,
        volume=0.018,
        cling=0.25,
        wild=0.16,
        lock=0.022,
        curl=7e-3,
        pitch=0.095,
        width=1.35e-3,
        fringe=0.5,
    ),
    "bun": Style(
        1900,
        6,
        0.15,
        0.9,
        _back(0.055, -0.20),
        1.6,
        0.2,
        0.7,
        volume=0.007,
        cling=0.5,
        wild=0.06,
        width=0.9e-3,
        knot=(0.0, 0.055, -0.197, 0.033),
    ),
    "ponytail": Style(
        1900,
        6,
        0.15,
        0.9,
        _back(0.05, -0.20),
        1.6,
        0.2,
        0.7,
        volume=0.007,
        cling=0.5,
        wild=0.07,
        width=0.9e-3,
        knot=(0.0, 0.05, -0.185, 0.02),
        tail=0.24,
    ),
}
