"""How many milliseconds lie between a mouth and a sound: cross-correlation with the opening that the sound predicts."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from avatar3d.speech.features import AudioFeatures
from avatar3d.speech.phones import PhoneTrack
from avatar3d.speech.visemes import VISEMES

RATE = 100
"""Samples a second at which openings are compared."""
MOST = 0.5
"""Seconds of offset that are looked for on each side."""
SHORTEST = 2.0
"""Seconds that are needed for an offset; it is reliable from ten."""

_OPENINGS = (0.0, 0.0, 0.1, 0.25, 0.3, 0.35, 0.3, 0.2, 0.3, 0.35, 1.0, 0.7, 0.45, 0.7, 0.35)
"""How far the mouth opens in each of `VISEMES`."""
_SPREAD = 0.04
"""Seconds; standard deviation of the window that turns phones or loudness into movements."""
_RANGE = 35.0
"""Decibels below the loudest speech at which a mouth is closed."""
_FORMANT = (250.0, 550.0)
"""Hertz: first formant of a nearly closed mouth, and how far it rises to a wide open one."""


@dataclass(frozen=True)
class Lag:
    """Where two curves match best."""

    ms: float
    """How much later the first curve is than the second; below 0 it is earlier."""
    correlation: float
    """Pearson's r there."""
    confidence: float
    """That r less the median r over all offsets: below .2 there is no match to speak of."""


def lag(late: Float[np.ndarray, " t"], early: Float[np.ndarray, " u"]) -> Lag | None:
    """Returns how much later one curve is than another, or None where there is too little of them.

    The middle of the first is held, and the second slides along it, so that a shift of the second by a whole number of
    samples moves the answer by exactly as much. A parabola through the best three refines it.

    Args:
        late: At `RATE` samples a second.
        early: Likewise, beginning at the same time.
    """
    count = min(len(late), len(early))
    if count < SHORTEST * RATE:
        return None
    most = min(round(MOST * RATE), (count - RATE) // 2)
    held = late[most : count - most]
    held = held - held.mean()
    if held.std() < 1e-9 or early[:count].std() < 1e-9:
        return None
    shifts = np.arange(-most, most + 1)
    scores = np.array([_correlation(held, early[most - s : count - most - s]) for s in shifts])
    best = int(scores.argmax())
    peak, at = float(scores[best]), float(shifts[best])
    if 0 < best < len(scores) - 1:
        before, after = float(scores[best - 1]), float(scores[best + 1])
        bend = before - 2 * peak + after
        if bend < -1e-12:
            at += 0.5 * (before - after) / bend
    return Lag(1000 * at / RATE, peak, peak - float(np.median(scores)))


def correlation(a: Float[np.ndarray, " t"], b: Float[np.ndarray, " u"]) -> float | None:
    """Returns Pearson's r over the common length; None where either does not move."""
    count = min(len(a), len(b))
    if count < 3 or a[:count].std() < 1e-9 or b[:count].std() < 1e-9:
        return None
    return _correlation(a[:count] - a[:count].mean(), b[:count])


def at_rate(curve: Float[np.ndarray, " t"], fps: float) -> Float[np.ndarray, " u"]:
    """Returns a curve at `RATE` samples a second, linear between its frames."""
    if len(curve) < 2:
        return curve.astype(np.float64)
    seconds = np.arange(int((len(curve) - 1) / fps * RATE + 1e-9) + 1) / RATE
    return np.interp(seconds * fps, np.arange(len(curve)), curve)


def opening_of_phones(track: PhoneTrack) -> Float[np.ndarray, " t"]:
    """Returns how open a mouth is that says these phones, in [0, 1], at `RATE`."""
    assert len(_OPENINGS) == len(VISEMES)
    return _moved(track.visemes(RATE) @ np.array(_OPENINGS))


def opening_of_sound(heard: AudioFeatures) -> Float[np.ndarray, " t"]:
    """Returns how open a mouth is that makes this sound, in [0, 1], at `RATE`: loudness and the first formant.

    Another route than phones, so that an avatar that phones drive is not compared with itself. Against the jaw of an
    iPhone capture loudness alone correlates .43, the formant alone .63 at a lag of 0.
    """
    intensity = heard.intensity.astype(np.float64)
    top = np.percentile(intensity, 95) if len(intensity) else 0.0
    loud = ((intensity - top + _RANGE) / _RANGE).clip(0, 1) if top > -60 else np.zeros(len(intensity))
    formant = np.where(heard.f1 > 0, ((heard.f1 - _FORMANT[0]) / _FORMANT[1]).clip(0, 1), 0.25)
    return _moved(loud**2 * (0.35 + 0.65 * formant))


def _moved(curve: np.ndarray) -> np.ndarray:
    reach = round(3 * _SPREAD * RATE)
    window = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (_SPREAD * RATE)) ** 2)
    return np.convolve(curve, window / window.sum(), "same") if len(curve) > 2 * reach else curve


def _correlation(held: np.ndarray, other: np.ndarray) -> float:
    other = other - other.mean()
    norm = float(np.sqrt((held**2).sum() * (other**2).sum()))
    return float((held * other).sum()) / norm if norm > 1e-12 else 0.0
