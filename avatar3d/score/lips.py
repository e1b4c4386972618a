"""Lip by lip: what a mouth does against what is said, on the curves of a motion or of landmarks.

- A closure is due in each p, b and m. It is made if the lips are closed at some time from 40 ms before to 40 ms after.
  Recall: share of the due ones that are made. Precision: share of the closures made (runs of frames with closed lips,
  less those in pauses and on f and v) of which at least half falls on p, b or m.
- Contact of lower lip and upper teeth is due in each f and v, in the same sense.
- Offset: see `lags`. Jitter: the standard deviation of white noise that would tremble as much. Blinks a minute.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from avatar3d.core import AvatarError, Motion, first_of
from avatar3d.heads import load
from avatar3d.heads.lips import lips
from avatar3d.score.lags import MOST, SHORTEST, Lag, at_rate, correlation, lag, opening_of_phones, opening_of_sound
from avatar3d.speech.features import AudioFeatures
from avatar3d.speech.phones import PhoneTrack
from avatar3d.speech.visemes import BILABIALS, LABIODENTALS

_SLACK = 0.04
"""Seconds by which a closure may be early or late: phone boundaries of aligners are no better."""
_TOUCHING, _SHARE = 0.7, 0.12
"""Closed lips: millimetres of gap on the mesh, or share of a wide opening (90th percentile); trackers see some gap."""
_CONTACT = -0.5
"""Millimetres that the lower lip may stay below the teeth's edge in f and v."""
_PAUSE = 0.05
"""Seconds without a phone that make a pause."""
_SHUT, _OPEN = 0.5, 0.3
"""Closure of the lids at which a blink begins, and below which the next may."""
_FOURTH = np.sqrt(70.0)
"""A fourth difference of white noise has this many times its standard deviation: 1 + 16 + 36 + 16 + 1 = 70."""


@dataclass(frozen=True)
class Mouth:
    """The curves of one mouth, from a motion or from landmarks."""

    fps: float
    opening: Float[np.ndarray, " t"]
    """How far the lips are apart: millimetres on the mesh, or shares of the eyes' distance in a picture."""
    closed: float
    """Opening at which they count as closed."""
    blink: Float[np.ndarray, " t"]
    """Closure of the lids, 0 to 1."""
    trembling: Float[np.ndarray, "t c"]
    """Coordinates of the lips, in the unit of `opening`."""
    contact: Bool[np.ndarray, " t"] | None = None
    """Whether the lower lip meets the upper teeth; None where that cannot be seen."""

    @property
    def seconds(self) -> float:
        """Time of the last frame's end."""
        return len(self.opening) / self.fps


@dataclass(frozen=True)
class LipScore:
    """The figures; None where there was nothing to measure, `notes` says why."""

    values: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def as_json(self) -> dict[str, Any]:
        """Returns the fields for `--json`."""
        return {**self.values, "notes": list(self.notes)}


def mouth_of(motion: Motion, head: str = "anny") -> Mouth:
    """Returns the curves of a motion's mouth, measured on the head's mesh before joints turn it.

    Raises:
        AvatarError: The motion has no frames, or lacks an expression of the head.
    """
    if not len(motion):
        raise AvatarError("score lips: the motion has no frames")
    names = load(head).expressions
    weights = motion.pose.expression.double().numpy()[:, [first_of(motion.names, name) for name in names]]
    measure = lips(head)
    gap = measure.gap(weights)
    blink = weights[:, [first_of(names, name) for name in ("eyeBlinkLeft", "eyeBlinkRight")]].mean(1)
    closed = max(_TOUCHING, _SHARE * float(np.percentile(gap, 90)))
    points = measure.points(weights).reshape(len(weights), -1)
    return Mouth(motion.fps, gap, closed, blink, points, measure.over_teeth(weights) >= _CONTACT)


def score_mouth(mouth: Mouth, phones: PhoneTrack | None = None, heard: AudioFeatures | None = None) -> LipScore:
    """Returns how well a mouth says what is said.

    Args:
        mouth: Its curves.
        phones: What is said when: gives closures, contact and an offset.
        heard: The sound: gives the offset against loudness and formant, which then is `offset_ms`.
    """
    values: dict[str, Any] = {"frames": len(mouth.opening), "fps": mouth.fps, "seconds": mouth.seconds}
    notes: list[str] = []
    if phones is not None:
        values |= _closures(mouth, phones, notes)
        curve = at_rate(mouth.opening, mouth.fps)
        _offset(values, lag(curve, opening_of_phones(phones)), "phones", notes)
    if heard is not None:
        if phones is not None:
            values["phone_offset_ms"] = values["offset_ms"]
        _offset(values, lag(at_rate(mouth.opening, mouth.fps), opening_of_sound(heard)), "sound", notes)
    values["jitter"] = jitter(mouth.trembling)
    values["blink_rate"] = 60 * blinks(mouth.blink) / mouth.seconds
    if mouth.seconds < 20:
        notes.append(f"blinks a minute from {mouth.seconds:.1f} s only")
    return LipScore(values, tuple(notes))


def compare_mouths(mouth: Mouth, reference: Mouth) -> dict[str, float | None]:
    """Returns how one mouth moves against another that should do the same: correlation of openings, and offset."""
    a, b = (at_rate(m.opening, m.fps) for m in (mouth, reference))
    found = lag(a, b)
    return {
        "opening_correlation": correlation(a, b),
        "offset_ms": None if found is None else found.ms,
        "offset_confidence": None if found is None else found.confidence,
    }


def lip_distance(motion: Motion, reference: Motion, head: str = "anny") -> float:
    """Returns the mean distance in millimetres between the lips' vertices of two motions, in head space.

    Frames are paired by time over the common length; the second motion is interpolated.
    """
    a, b = mouth_of(motion, head), mouth_of(reference, head)
    count = min(len(a.opening), int((len(b.opening) - 1) / b.fps * a.fps + 1e-6) + 1)
    at = np.arange(count) * (b.fps / a.fps)
    low = np.minimum(at.astype(int), len(b.opening) - 1)
    high = np.minimum(low + 1, len(b.opening) - 1)
    paired = b.trembling[low] + (at - low)[:, None] * (b.trembling[high] - b.trembling[low])
    away = (a.trembling[:count] - paired).reshape(count, -1, 3)
    return float(np.linalg.norm(away, axis=-1).mean())


def jitter(curves: Float[np.ndarray, "t c"]) -> float | None:
    """Returns the standard deviation of the white noise in curves, rms over them, in their unit; None below 12 frames.

    The median of fourth differences sees the noise of most frames and not the few in which something moves quickly.
    """
    if len(curves) < 12:
        return None
    fourth = np.abs(np.diff(curves, n=4, axis=0))
    return float(np.sqrt(np.mean((1.4826 * np.median(fourth, axis=0) / _FOURTH) ** 2)))


def blinks(closure: Float[np.ndarray, " t"]) -> int:
    """Returns how many blinks there are in a curve of lid closure."""
    count, shut = 0, False
    for value in closure.tolist():
        if not shut and value >= _SHUT:
            count, shut = count + 1, True
        elif value < _OPEN:
            shut = False
    return count


def closures(mouth: Mouth) -> list[tuple[float, float]]:
    """Returns the runs of frames with closed lips, as seconds of the first and the last frame."""
    shut = np.concatenate([[False], mouth.opening <= mouth.closed, [False]])
    edges = np.flatnonzero(np.diff(shut.astype(int)))
    return [
        (a / mouth.fps, (b - 1) / mouth.fps) for a, b in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    ]


def segments(phones: PhoneTrack, kind: Set[str]) -> list[tuple[float, float]]:
    """Returns the (start, end) in seconds of the phones of a kind, such as `visemes.BILABIALS`."""
    return [(p.start, p.end) for p in phones.segmented().phones if p.phone in kind]


def _closures(mouth: Mouth, phones: PhoneTrack, notes: list[str]) -> dict[str, Any]:
    bilabial, labiodental = (
        [s for s in segments(phones, v) if s[0] < mouth.seconds] for v in (BILABIALS, LABIODENTALS)
    )
    made = closures(mouth)
    hits = [any(_touch(run, due) for run in made) for due in bilabial]
    right = _right(mouth, phones, bilabial, labiodental)
    if not bilabial:
        notes.append("no p, b or m is said: recall is null")
    if not right:
        notes.append("the lips never close while somebody speaks: precision is null")
    contact = None
    if mouth.contact is None:
        notes.append("contact of lip and teeth cannot be seen in landmarks")
    elif labiodental:
        times = np.arange(len(mouth.opening)) / mouth.fps
        contact = _share([bool(mouth.contact[_within(times, [due])].any()) for due in labiodental])
    return {
        "closure_recall": _share(hits),
        "closure_precision": _share(right),
        "closures_due": len(bilabial),
        "closures_made": len(right),
        "labiodental_contact": contact,
        "labiodentals": len(labiodental),
    }


def _right(
    mouth: Mouth, phones: PhoneTrack, bilabial: list[tuple[float, float]], labiodental: list[tuple[float, float]]
) -> list[bool]:
    """Returns for each closure made in speech whether at least half of its frames fall on p, b or m.

    Half: a mouth that never opens would otherwise be right all the time.
    """
    times = np.arange(len(mouth.opening)) / mouth.fps
    due = _within(times, bilabial)
    counts = ~_silent(times, phones) & (due | ~_within(times, labiodental))
    runs = [(times >= a - 1e-9) & (times <= b + 1e-9) & counts for a, b in closures(mouth)]
    return [bool(due[run].mean() >= 0.5) for run in runs if run.any()]


def _within(times: Float[np.ndarray, " t"], spans: list[tuple[float, float]]) -> Bool[np.ndarray, " t"]:
    inside = np.zeros(len(times), bool)
    for start, end in spans:
        inside |= (times >= start - _SLACK) & (times <= end + _SLACK)
    return inside


def _silent(times: Float[np.ndarray, " t"], phones: PhoneTrack) -> Bool[np.ndarray, " t"]:
    """Returns the times in pauses: there a mouth may close as it likes."""
    edges = [0.0]
    for p in phones.segmented().phones:
        edges += [p.start, p.end]
    edges.append(float("inf"))
    silent = np.zeros(len(times), bool)
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if end - start >= _PAUSE:
            silent |= (times >= start) & (times < end)
    return silent


def _share(truths: list[bool]) -> float | None:
    return sum(truths) / len(truths) if truths else None


def _touch(run: tuple[float, float], due: tuple[float, float]) -> bool:
    return run[0] <= due[1] + _SLACK and run[1] >= due[0] - _SLACK


def _offset(values: dict[str, Any], found: Lag | None, against: str, notes: list[str]) -> None:
    if found is None:
        notes.append(f"offset is null: the mouth has to move for {SHORTEST:g} s or more")
    elif abs(found.ms) > 1000 * MOST - 1:
        notes.append(f"offset against {against} is none: the match only grows towards {found.ms:.0f} ms")
    elif found.confidence < 0.2:
        notes.append(f"offset against {against} is a guess: confidence {found.confidence:.2f}")
    values["offset_against"] = against
    for name, key in (("ms", "offset_ms"), ("correlation", "offset_correlation"), ("confidence", "offset_confidence")):
        values[key] = None if found is None else getattr(found, name)
