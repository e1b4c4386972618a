"""Idle motion of head and chest, one frame at a time: band-limited noise and breath, seeded and loopable."""

import math

import numpy as np

from avatar3d.drive.eyes import eased

_BREATH, _BREATH_SPREAD = 60 / 14, 0.12
"""Seconds of a breath at rest (14 a minute), and the standard deviation of its logarithm."""
_IN, _OUT = 0.4, 0.45
"""Shares of a breath; the rest is a pause."""


class Noise:
    """Smooth noise of unit variance: a cubic B-spline through random knots, with nothing above half a knot's frequency.

    Knots come in order from the generator, so memory stays constant. A loop of `knots` knots repeats them.
    """

    def __init__(self, spacing: float, channels: int, rng: np.random.Generator, loop: float | None = None):
        count = None if loop is None else max(4, round(loop / spacing))
        self._spacing = spacing if count is None or loop is None else loop / count
        self._rng, self._channels = rng, channels
        self._ring = None if count is None else [self._draw() for _ in range(count)]
        self._first = 0
        self._knots = [self._knot(i) for i in range(4)]

    def at(self, t: float) -> list[float]:
        """Returns the channels at `t` seconds; times do not decrease."""
        place = t / self._spacing
        whole = math.floor(place)
        while self._first < whole:
            self._knots = [*self._knots[1:], self._knot(self._first + 4)]
            self._first += 1
        u = place - whole
        v = 1.0 - u
        weights = (v * v * v, 4.0 - 3.0 * u * u * (2.0 - u), 4.0 - 3.0 * v * v * (2.0 - v), u * u * u)
        # Over a knot's span the squares of the weights sum to 0.4794 on average.
        scale = 1.0 / 6.0 / math.sqrt(0.4794)
        return [
            scale * sum(w * knot[c] for w, knot in zip(weights, self._knots, strict=True))
            for c in range(self._channels)
        ]

    def _knot(self, i: int) -> list[float]:
        return self._draw() if self._ring is None else self._ring[i % len(self._ring)]

    def _draw(self) -> list[float]:
        return [min(max(float(x), -2.2), 2.2) for x in self._rng.standard_normal(self._channels)]


class Breath:
    """How full the chest is, in [0, 1], by time: in, out, a pause; no two breaths alike."""

    def __init__(self, rng: np.random.Generator, loop: float | None = None):
        self._rng = rng
        self._even = None if loop is None else loop / max(1, round(loop / _BREATH))
        self._start, self._seconds, self._depth = 0.0, 0.0, 1.0
        self._draw()

    def at(self, t: float) -> float:
        """Returns the fill at `t` seconds; times do not decrease."""
        while t >= self._start + self._seconds:
            self._start += self._seconds
            self._draw()
        share = (t - self._start) / self._seconds
        if share < _IN:
            return self._depth * eased(share / _IN)
        return self._depth * (1.0 - eased((share - _IN) / _OUT))

    def _draw(self) -> None:
        length, depth = (float(x) for x in self._rng.standard_normal(2))
        self._depth = min(1.0, 0.85 * math.exp(0.12 * depth))
        self._seconds = self._even or _BREATH * math.exp(_BREATH_SPREAD * min(max(length, -2.5), 2.5))
