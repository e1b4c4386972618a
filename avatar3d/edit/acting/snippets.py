"""New words from a person's own mouth movements: phones that they have said, found by what stands around them.

A path through the phones of a performance is chosen for the phones to be said (Viterbi): each pays for another phone of
the same viseme, other neighbours and another length, and each joint for lips that are elsewhere (unit selection, as in
Fried et al., "Text-based editing of talking-head video", 2019). Where nothing of the person's is near enough, the
general mouth speaks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from avatar3d.speech.phones import Phone
from avatar3d.speech.visemes import viseme_parts

_OTHER, _NEIGHBOUR, _LENGTH = 0.3, 0.4, 0.5
"""Costs: another phone of the viseme; each neighbour of another viseme; a length that differs by a factor of e."""
_GENERAL = 1.2
"""Cost of a phone from the general mouth."""
_JOINT, _MILLIMETRE = 0.15, 0.12
"""Costs of a joint, and of each millimetre between the lips there."""
_FADE = 0.07
"""Seconds over which one snippet goes over into the next."""
_NEAR = 0.12
"""Seconds between two phones that are still neighbours."""


@dataclass(frozen=True)
class Snippets:
    """Where the mouth comes from while new phones are said."""

    begins: Float[np.ndarray, " p"]
    ends: Float[np.ndarray, " p"]
    """Seconds of the new performance, by phone."""
    source: Float[np.ndarray, "p 2"]
    """Seconds of the old performance that are shown then; NaN for the general mouth."""

    @property
    def found(self) -> float:
        """Share of the phones that the person's own performance has."""
        return float(np.isfinite(self.source[:, 0]).mean()) if len(self.source) else 0.0

    def mouth(
        self,
        times: Float[np.ndarray, " m"],
        own: Float[np.ndarray, "t e"],
        fps: float,
        general: Float[np.ndarray, "m e"],
    ) -> Float[np.ndarray, "m e"]:
        """Returns weights at times: of the snippets, smoothly one after the other, else of the general mouth.

        Args:
            times: Seconds of the new performance.
            own: The old performance's weights.
            fps: Its frames a second.
            general: Weights of the general mouth at `times`.
        """
        runs = self._runs()
        total, weight = np.zeros_like(general), np.zeros(len(times))
        for number, (first, last) in enumerate(runs):
            rise = _ease((times - self.begins[first]) / _FADE + 0.5) if number else np.ones(len(times))
            fall = _ease((times - self.ends[last]) / _FADE + 0.5) if number + 1 < len(runs) else np.zeros(len(times))
            share = rise * (1 - fall)
            if np.isfinite(self.source[first, 0]):
                knots = np.append(self.begins[first : last + 1], self.ends[last])
                places = np.append(self.source[first : last + 1, 0], self.source[last, 1])
                at = np.interp(times, knots, places)
                at += np.minimum(times - knots[0], 0) + np.maximum(times - knots[-1], 0)  # on at its own speed
                values = sampled(own, at * fps)
            else:
                values = general
            total += share[:, None] * values
            weight += share
        return np.where(weight[:, None] > 1e-9, total / np.maximum(weight, 1e-9)[:, None], general)

    def _runs(self) -> list[tuple[int, int]]:
        """Returns first and last phone of stretches that are shown as they were done."""
        runs: list[tuple[int, int]] = []
        for at, (begin, _) in enumerate(self.source):
            before = self.source[at - 1, 1] if at else np.nan
            if runs and (abs(begin - before) < _NEAR or (np.isnan(begin) and np.isnan(before))):
                runs[-1] = runs[-1][0], at
            else:
                runs.append((at, at))
        return runs


def chosen(
    wanted: Sequence[Phone],
    around: tuple[Phone | None, Phone | None],
    spoken: Sequence[Phone],
    lips_at: "LipsAt",
) -> Snippets:
    """Returns which of a person's phones show the wanted ones.

    Args:
        wanted: Phones to say, in seconds of the new performance.
        around: What is said before and after them.
        spoken: Phones of the old performance.
        lips_at: Where the lips are.
    """
    if not wanted:
        return Snippets(np.zeros(0), np.zeros(0), np.zeros((0, 2)))
    targets = [around[0], *wanted, around[1]]
    options: list[list[int]] = []
    costs: list[np.ndarray] = []
    for k, phone in enumerate(wanted):
        same = [q for q, p in enumerate(spoken) if viseme_parts(p.phone) == viseme_parts(phone.phone)]
        options.append([-1, *same])
        costs.append(np.array([_GENERAL, *(_target(targets[k : k + 3], spoken, q) for q in same)]))
    best, back = costs[0], []
    for k in range(1, len(wanted)):
        joints = np.array(
            [[_joint(q, r, wanted[k].start, spoken, lips_at) for q in options[k - 1]] for r in options[k]]
        )
        total = best + joints
        back.append(total.argmin(1))
        best = total.min(1) + costs[k]
    path = [int(best.argmin())]
    for step in reversed(back):
        path.append(int(step[path[-1]]))
    picked = [options[k][at] for k, at in enumerate(reversed(path))]
    places = [(spoken[q].start, spoken[q].end) if q >= 0 else (np.nan, np.nan) for q in picked]
    return Snippets(
        np.array([float(p.start) for p in wanted]), np.array([float(p.end) for p in wanted]), np.array(places, float)
    )


@dataclass(frozen=True)
class LipsAt:
    """Where the lips' vertices are: in the old performance, or the general mouth's in the new one; millimetres."""

    own: Float[np.ndarray, "t p"]
    general: Float[np.ndarray, "m p"]
    fps: float

    def __call__(self, second: float, general: bool) -> Float[np.ndarray, " p"]:
        values = self.general if general else self.own
        return values[min(max(round(second * self.fps), 0), len(values) - 1)]


def sampled(values: Float[np.ndarray, "t e"], place: Float[np.ndarray, " m"]) -> Float[np.ndarray, "m e"]:
    """Returns rows at places between frames, by Catmull and Rom's cubic: no corner at a frame. Ends are held."""
    place = np.clip(place, 0, len(values) - 1)
    low = np.minimum(np.floor(place).astype(int), max(len(values) - 2, 0))
    u = (place - low)[:, None]
    p = [values[np.clip(low + k, 0, len(values) - 1)] for k in (-1, 0, 1, 2)]
    slope0, slope1 = (p[2] - p[0]) / 2, (p[3] - p[1]) / 2
    cubic = (2 * u**3 - 3 * u**2 + 1) * p[1] + (u**3 - 2 * u**2 + u) * slope0
    cubic += (3 * u**2 - 2 * u**3) * p[2] + (u**3 - u**2) * slope1
    return cubic.clip(0, 1)


def _target(wanted: Sequence[Phone | None], spoken: Sequence[Phone], q: int) -> float:
    before, phone, after = wanted
    assert phone is not None
    own = spoken[q]
    cost = _OTHER * (own.phone != phone.phone)
    cost += _LENGTH * abs(np.log((own.end - own.start) / (phone.end - phone.start)))
    left = spoken[q - 1] if q and own.start - spoken[q - 1].end < _NEAR else None
    right = spoken[q + 1] if q + 1 < len(spoken) and spoken[q + 1].start - own.end < _NEAR else None
    return float(
        cost
        + _NEIGHBOUR * (_shown(left, -1) != _shown(before, -1))
        + _NEIGHBOUR * (_shown(right, 0) != _shown(after, 0))
    )


def _shown(phone: Phone | None, end: int) -> str:
    return viseme_parts(phone.phone)[end] if phone is not None else "sil"


def _joint(q: int, r: int, time: float, spoken: Sequence[Phone], lips_at: LipsAt) -> float:
    if (q < 0 and r < 0) or (q >= 0 and r == q + 1 and spoken[r].start - spoken[q].end < _NEAR):
        return 0.0
    left = lips_at(time if q < 0 else spoken[q].end, q < 0)
    right = lips_at(time if r < 0 else spoken[r].start, r < 0)
    away = np.linalg.norm((left - right).reshape(-1, 3), axis=1).mean()
    return float(_JOINT + _MILLIMETRE * away)


def _ease(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)
