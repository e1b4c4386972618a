"""From scores of single frames to what is probably said: a loop of phones, smoothed with a fixed lag.

Each unit of the acoustic model has three states in a row; after the last comes any other unit, as often as it follows
in English, mixed with all units alike. The forward recursion runs with the stream; a frame is settled when the `LAG`
frames after it are known (Rabiner 1989, sections III A and B).
"""

import functools

import numpy as np
from jaxtyping import Float

from avatar3d.speech.acoustic import model
from avatar3d.speech.spectra import grouped
from avatar3d.speech.visemes import SILENCE, VISEMES, read_label, viseme_parts

LAG = 8
"""Frames after its own that settle a frame."""

_SCALE = 0.2  # of log densities: neighbouring frames are far from independent
_NOISES = ("+NSN+", "+SPN+")
_NOISE_PRIOR = 0.05  # of a noise unit, beside 1 for a phone
_ALIKE = 0.02  # share of all units alike, at least


@functools.cache
def transitions(english: float) -> Float[np.ndarray, "126 126"]:
    """Returns the odds of going from state to state.

    Args:
        english: Share of English pairs of phones in [0, 1]; the rest is all units alike.
    """
    table = model()
    alike = np.array([_NOISE_PRIOR if unit in _NOISES else 1.0 for unit in table.units])
    alike /= alike.sum()
    pairs = table.pairs.astype(np.float64)
    follow = english * pairs / np.maximum(pairs.sum(1, keepdims=True), 1e-12) + (1 - english) * alike
    follow[[table.units.index(noise) for noise in _NOISES]] = alike
    follow = (1 - _ALIKE) * follow + _ALIKE * alike
    count = len(table.units)
    odds = np.zeros((count, 3, count, 3))
    unit = np.arange(count)
    odds[unit, :, unit] = np.triu(np.ones((3, 3))) * table.moves[:, :, :3]
    odds[:, :, :, 0] += table.moves[:, :, 3, None] * follow[:, None]
    odds = odds.reshape(3 * count, 3 * count)
    return odds / odds.sum(1, keepdims=True)


@functools.cache
def state_visemes() -> Float[np.ndarray, "126 15"]:
    """Returns how much each state shows each viseme: a diphthong begins with one and ends with the other."""
    units = model().units
    shown = np.zeros((len(units), 3, len(VISEMES)))
    for k, unit in enumerate(units):
        phones = (SILENCE,) if unit == "SIL" or unit.startswith("+") else read_label(unit, "arpabet")
        parts = [VISEMES.index(part) for phone in phones for part in viseme_parts(phone)]
        for state in range(3):
            both = parts[0], parts[-1]
            shown[k, state, both[0]] += (1, 0.5, 0)[state]
            shown[k, state, both[1]] += (0, 0.5, 1)[state]
    return shown.reshape(-1, len(VISEMES))


class Loop:
    """The memory of the recursion over a stream."""

    def __init__(self, english: float = 0.8):
        self._odds = transitions(english)
        self._back = np.ascontiguousarray(self._odds.T)
        start = np.zeros((len(model().units), 3))
        start[:, 0] = 1
        self._state = (start / start.sum()).ravel()
        self._forward = np.zeros((0, start.size))  # of the frames that are not settled yet
        self._evidence = np.zeros((0, start.size))

    def push(self, scores: Float[np.ndarray, "t 126"]) -> Float[np.ndarray, "u 126"]:
        """Returns posteriors of the states for the frames that are settled, `LAG` frames late."""
        evidence = np.exp(_SCALE * (scores - scores.max(1, keepdims=True)).astype(np.float64))
        forward = np.empty_like(evidence)
        for i in range(len(evidence)):
            state = (self._state @ self._odds) * evidence[i]
            self._state = forward[i] = state / state.sum()
        self._evidence = np.concatenate([self._evidence, evidence])
        self._forward = np.concatenate([self._forward, forward])
        return self._settled(max(len(self._forward) - LAG, 0))

    def flush(self) -> Float[np.ndarray, "u 126"]:
        """Returns the posteriors of the last frames, after which nothing is known."""
        count = len(self._forward)
        self._evidence = np.concatenate([self._evidence, np.ones((LAG, self._evidence.shape[1]))])
        return self._settled(count)

    def _settled(self, count: int) -> np.ndarray:
        after = np.ones((count, self._evidence.shape[1]))
        if count:
            for d in range(LAG, 0, -1):
                after = grouped(self._evidence[d : d + count] * after, self._back)
                after /= after.sum(1, keepdims=True)
        found = self._forward[:count] * after
        self._forward, self._evidence = self._forward[count:], self._evidence[count:]
        return found / found.sum(1, keepdims=True)
