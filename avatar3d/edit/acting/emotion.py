"""Emotions over a performance: what the face shows besides what it does, by label or valence and arousal, in time.

    emoted(motion, parse("joy:0.7@0-2,anger@2-4"))

Emotions are action units (`data/emotions.json`). Brows, lids and cheeks add up with what the performance does; around
the mouth speech comes first: what rounds stays round, an open vowel is not pressed shut, and lips that met still meet
(`contacts`).
"""

import functools
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from jaxtyping import Float

from avatar3d.core import AvatarError, Motion, first_of
from avatar3d.edit.acting import units
from avatar3d.edit.acting.contacts import bounds_of, in_order, kept, with_weights
from avatar3d.heads import load
from avatar3d.heads.lips import lips

_SPREAD = ("mouthSmile", "mouthStretch", "mouthDimple", "mouthFrown")
"""What pulls the corners, against rounded lips."""
_OPENING = ("jawOpen", "mouthLowerDown", "mouthUpperUp")
_PRESSING = ("mouthPress", "mouthRoll", "mouthShrugLower")
_ROUND = 0.7
"""Share of the pull that fully rounded lips take away; they count as round where funnel and pucker make .6."""
_ROUNDED = 0.6
_TALK, _WIDE = 3.0, 6.0
"""Millimetres: the range of the gap within `_AROUND` seconds of somebody who talks, and a mouth wide open."""
_AROUND = 0.35
_GIVES = 0.6
"""Share of jaw and lip opening that an emotion gives up while somebody talks."""


@dataclass(frozen=True)
class Cue:
    """Emotions in a span of time."""

    mix: Mapping[str, float]
    """Intensity in [0, 1] by label."""
    start: float = 0.0
    """Seconds: where the face begins to change."""
    end: float = math.inf
    """Seconds: where it begins to change back."""


@dataclass(frozen=True)
class EmotionOptions:
    """How emotions come and go."""

    onset: float = 0.3
    """Seconds from none to all."""
    offset: float = 0.6
    """Seconds from all to none."""
    contacts: bool = True
    """Keep the lips together where they were."""


def labels() -> tuple[str, ...]:
    """Returns the emotions there are: the six basic ones, contempt, neutral, and two without much arousal."""
    return tuple(_data())


def label_of(text: str) -> str:
    """Returns the label that a word stands for.

    Raises:
        AvatarError: An unknown word; the nearest are named.

    >>> label_of("Angry")
    'anger'
    """
    known = {alias: name for name, row in _data().items() for alias in (name, *row.get("aliases", ()))}
    word = text.strip().lower()
    if word not in known:
        first_of(tuple(known), word)
    return known[word]


def parse(text: str) -> tuple[Cue, ...]:
    """Returns the cues in a text: emotions with intensities, mixed by "+", each with a span in seconds, between commas.

    "joy", "joy:0.7", "joy:0.5+surprise:0.5", "anger@2-4", "sadness@1:05-", and for valence and arousal in [-1, 1]
    "va:0.6/-0.2@3-5". Without a span an emotion lasts from before the beginning to after the end.

    Raises:
        AvatarError: What cannot be read, with the part it stands in.

    >>> parse("joy:0.7@0-2,angry")[1].mix
    {'anger': 1.0}
    """
    cues = []
    for part in text.split(","):
        if not part.strip():
            raise AvatarError(f"--emotion '{text}': an empty part; write joy:0.7@0-2,anger@2-4")
        what, _, span = part.strip().partition("@")
        start, end = _span(span, part) if span else (-math.inf, math.inf)
        mix: dict[str, float] = {}
        for piece in what.split("+"):
            name, _, amount = piece.partition(":")
            if name.strip().lower() == "va":
                valence, _, arousal = amount.partition("/")
                found = mixture(_number(valence, part), _number(arousal or "0", part))
            else:
                found = {label_of(name): _number(amount, part) if amount else 1.0}
            for label, value in found.items():
                mix[label] = mix.get(label, 0.0) + value
        for label, value in mix.items():
            if not 0 <= value <= 1:
                raise AvatarError(f"--emotion '{part.strip()}': {label} is {value:g}; give an intensity from 0 to 1")
        cues.append(Cue(mix, start, end))
    return tuple(cues)


def mixture(valence: float | int, arousal: float | int) -> dict[str, float]:
    """Returns the emotions at a place of the circumplex: the two nearest by angle, as strong as it is far out.

    Args:
        valence: Unpleasant at -1 to pleasant at 1.
        arousal: Sleepy at -1 to excited at 1.

    Raises:
        AvatarError: A number out of range.
    """
    for name, value in (("valence", valence), ("arousal", arousal)):
        if not -1 <= value <= 1:
            raise AvatarError(f"{name} is {value}; give a number from -1 to 1")
    strength = min(1.0, math.hypot(valence, arousal))
    if strength == 0:
        return {"neutral": 1.0}
    angle = math.degrees(math.atan2(arousal, valence)) % 360
    ring = sorted((row["angle"], name) for name, row in _data().items() if "angle" in row)
    ring = [(ring[-1][0] - 360, ring[-1][1]), *ring, (ring[0][0] + 360, ring[0][1])]
    for (low, one), (high, other) in itertools.pairwise(ring):
        if low <= angle <= high:
            share = (angle - low) / (high - low)
            return {n: v for n, v in ((one, strength * (1 - share)), (other, strength * share)) if v > 0}
    raise AssertionError("the ring has no gaps")


def face(mix: Mapping[str, float | int]) -> dict[str, float]:
    """Returns the ARKit weights that show emotions together.

    Raises:
        AvatarError: An unknown emotion, or an intensity out of range.
    """
    total: dict[str, float] = {}
    for label, strength in mix.items():
        if not 0 <= strength <= 1:
            raise AvatarError(f"{label} is {strength}; give an intensity from 0 to 1")
        for name, value in units.weights(_data()[label_of(label)]["units"]).items():
            total[name] = min(1.0, total.get(name, 0.0) + strength * value)
    return total


def emoted(
    motion: Motion, cues: Sequence[Cue], options: EmotionOptions = EmotionOptions(), head: str = "anny"
) -> Motion:
    """Returns the performance with emotions in it; joints and root stay.

    Args:
        motion: What the face does, such as speech.
        cues: Emotions in spans of time; where spans overlap they mix.
        options: How they come and go.
        head: Name of the head model, on whose mesh lips are measured.

    Raises:
        AvatarError: An unknown emotion, a number out of range, or expressions that are not the head's.
    """
    if not options.onset >= 0 or not options.offset >= 0:
        raise AvatarError(f"emotion: onset {options.onset} s, offset {options.offset} s; give 0 or more")
    if not len(motion) or not cues:
        return motion
    names = tuple(load(head).expressions)
    before = in_order(motion, head)
    times = np.arange(len(motion)) / motion.fps
    shown = np.zeros_like(before)
    for cue in cues:
        asked = face(cue.mix)
        row = np.array([asked.get(name, 0.0) for name in names])
        shown += envelope(times, cue, options)[:, None] * row
    shown = shown.clip(0, 1) * _room(before, names, motion.fps, head)
    after = before + shown * (1 - before)
    out = with_weights(motion, np.where(shown > 0, after, before), head)
    return kept(out, bounds_of(motion, head), motion, head) if options.contacts else out


def envelope(times: Float[np.ndarray, " t"], cue: Cue, options: EmotionOptions) -> Float[np.ndarray, " t"]:
    """Returns how much of a cue shows at times in seconds: onset, apex and offset, smooth."""
    rise = _ease((times - cue.start) / options.onset if options.onset else (times >= cue.start) * 1.0)
    fall = _ease((times - cue.end) / options.offset if options.offset else (times >= cue.end) * 1.0)
    return np.minimum(rise, 1 - fall)


def _room(before: np.ndarray, names: tuple[str, ...], fps: float, head: str) -> np.ndarray:
    """Returns how much of an emotion each expression has room for beside what the face does anyway, in [0, 1]."""
    gap = lips(head).gap(before)
    talk = np.clip(_range(gap, max(1, round(_AROUND * fps))) / _TALK, 0, 1)
    wide = np.clip(gap / _WIDE, 0, 1)
    column = {name: before[:, at] for at, name in enumerate(names)}
    rounded = np.clip((column["mouthFunnel"] + column["mouthPucker"]) / _ROUNDED, 0, 1)
    room = np.ones_like(before)
    for at, name in enumerate(names):
        if name.startswith(("eyeWide", "eyeSquint")):  # closed lids neither open nor go further
            room[:, at] = 1 - column["eyeBlink" + name.removeprefix("eyeWide").removeprefix("eyeSquint")].clip(0, 1)
        elif name.startswith(_SPREAD):
            room[:, at] = 1 - _ROUND * rounded
        elif name.startswith(_OPENING):
            room[:, at] = 1 - _GIVES * talk
        elif name.startswith(_PRESSING):
            room[:, at] = 1 - wide
    return room


def _range(values: np.ndarray, reach: int) -> np.ndarray:
    """Returns highest minus lowest value within `reach` frames, smoothed over as many."""
    padded = np.pad(values, reach, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    spread = np.pad(windows.max(1) - windows.min(1), reach, mode="edge")
    kernel = np.hanning(2 * reach + 3)[1:-1]
    return np.convolve(spread, kernel / kernel.sum(), mode="valid")


def _ease(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def _span(text: str, part: str) -> tuple[float, float]:
    start, dash, end = text.strip().partition("-")
    if not dash:
        raise AvatarError(f"--emotion '{part.strip()}': give a span in seconds, as in @0-2 or @2-")
    a, b = _seconds(start, part) if start.strip() else -math.inf, _seconds(end, part) if end.strip() else math.inf
    if not a < b:
        raise AvatarError(f"--emotion '{part.strip()}': the span ends before it begins")
    return a, b


def _seconds(text: str, part: str) -> float:
    minutes, colon, rest = text.strip().partition(":")
    value = 60 * _number(minutes, part) + _number(rest, part) if colon else _number(minutes, part)
    if value < 0:
        raise AvatarError(f"--emotion '{part.strip()}': times begin at 0")
    return value


def _number(text: str, part: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise AvatarError(f"--emotion '{part.strip()}': '{text.strip()}' is no number; write joy:0.7@0-2,anger@2-4")
    return value


@functools.cache
def _data() -> Mapping[str, Mapping]:
    text = files("avatar3d.edit.acting").joinpath("data/emotions.json").read_text(encoding="utf-8")
    return json.loads(text)["emotions"]
