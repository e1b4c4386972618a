"""`PhoneTrack`: which phones are spoken when, as segments, as frame posteriors of visemes, or as both."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float

from avatar3d.core import AvatarError
from avatar3d.speech.visemes import PHONES, SILENCE, VISEMES, viseme_parts

_REPRESENTATIVE = dict(
    zip(VISEMES, ("sil", "m", "f", "θ", "d", "k", "ʃ", "s", "n", "ɹ", "a", "ɛ", "i", "ɔ", "u"), strict=True)
)
"""The phone that a viseme becomes where posteriors are turned into segments."""


@dataclass(frozen=True)
class Phone:
    """One segment of speech."""

    phone: str
    """A symbol of `visemes.PHONES`."""
    start: float | int
    end: float | int
    """Seconds."""
    word: int = -1
    """Index in the track's `words`; -1 outside of words or where words are not known."""
    strength: float | int = 1.0
    """How carefully it is articulated: 1 as usual, above with stress, below where reduced."""


@dataclass(frozen=True)
class PhoneTrack:
    """Phones over time, in one of two views or both; `visemes` and `segmented` give either from the other."""

    duration: float | int
    """Seconds of sound that this describes."""
    phones: tuple[Phone, ...] = ()
    """In time order, not overlapping; gaps between them are silence."""
    words: tuple[str, ...] = ()
    posteriors: Float[np.ndarray, "t 15"] | None = None
    """Probabilities of `VISEMES` in each frame, summing to one; frame `i` is centred at `i / rate` seconds."""
    rate: float | int = 0.0
    """Frames of `posteriors` a second."""
    source: str = ""
    """Who says so: "espeak", "alignment", "acoustic", or the name of a file."""
    about: dict = field(default_factory=dict)
    """JSON-able remarks, such as the voice, the language or the aligner's score."""

    def __post_init__(self):
        where = f"phone track{f' {self.source}' if self.source else ''}"
        if not (np.isfinite(self.duration) and self.duration >= 0):
            raise AvatarError(f"{where}: duration is {self.duration}; expected seconds")
        before = 0.0
        for at, p in enumerate(self.phones):
            if p.phone not in PHONES:
                raise AvatarError(f"{where}: phone {at + 1} is '{p.phone}', which is not in the inventory")
            if not (np.isfinite([p.start, p.end, p.strength]).all() and p.end > p.start):
                raise AvatarError(f"{where}: phone {at + 1} ('{p.phone}') runs from {p.start} to {p.end} s")
            if p.start < before - 1e-6 or p.end > self.duration + 1e-6:
                raise AvatarError(
                    f"{where}: phone {at + 1} ('{p.phone}' at {p.start:.3f} s) overlaps another or leaves the "
                    f"{self.duration:.3f} s of sound"
                )
            if not -1 <= p.word < len(self.words):
                raise AvatarError(f"{where}: phone {at + 1} names word {p.word} of {len(self.words)}")
            before = p.end
        if self.posteriors is not None and (self.posteriors.ndim != 2 or self.posteriors.shape[1] != len(VISEMES)):
            raise AvatarError(f"{where}: posteriors have shape {self.posteriors.shape}; expected (frames, 15)")
        if self.posteriors is not None and not self.rate > 0:
            raise AvatarError(f"{where}: posteriors need a frame rate")

    def visemes(self, rate: float | int) -> Float[np.ndarray, "t 15"]:
        """Returns how much each viseme is present in each frame, rows summing to one.

        Posteriors are used where there are any (interpolated in time), else segments: the share of a frame's
        interval that they cover.

        Args:
            rate: Frames a second; frame `i` is centred at `i / rate`. There are `ceil(duration * rate)` of them.
        """
        count = int(np.ceil(self.duration * rate - 1e-6))
        if self.posteriors is not None:
            return _resampled(self.posteriors, self.rate, rate, count)
        spans = [(SILENCE, 0.0, 0.0)]
        spans += [span for p in self.phones for span in viseme_spans(p)]
        covered = np.zeros((count, len(VISEMES)))
        for viseme, start, end in spans:
            first, last = start * rate + 0.5, end * rate + 0.5  # in frames, frame i covers [i, i + 1)
            index = np.arange(max(0, int(first)), min(count, int(np.ceil(last))))
            covered[index, VISEMES.index(viseme)] += np.minimum(index + 1, last) - np.maximum(index, first)
        covered[:, 0] += np.maximum(0.0, 1.0 - covered.sum(1))
        return covered / covered.sum(1, keepdims=True)

    def segmented(self, switch: float = 4.0) -> "PhoneTrack":
        """Returns a track that has segments: this one if it does, else the best path through its posteriors.

        Args:
            switch: Cost of a change of viseme in nats; higher gives fewer and longer segments.
        """
        if self.phones or self.posteriors is None:
            return self
        path = _best_path(np.log(np.maximum(self.posteriors, 1e-6)), switch)
        edges = [0, *(np.flatnonzero(np.diff(path)) + 1).tolist(), len(path)]
        phones = []
        for first, last in itertools.pairwise(edges):
            start, end = max(0.0, (first - 0.5) / self.rate), min(self.duration, (last - 0.5) / self.rate)
            if path[first] != 0 and end > start:
                phones.append(Phone(_REPRESENTATIVE[VISEMES[path[first]]], start, end))
        return replace(self, phones=tuple(phones))

    def shifted(self, seconds: float | int) -> "PhoneTrack":
        """Returns the segments moved later by `seconds` (or earlier); what leaves [0, duration] is cut off."""
        moved = []
        for p in self.phones:
            start, end = max(0.0, p.start + seconds), min(self.duration, p.end + seconds)
            if end > start:
                moved.append(replace(p, start=start, end=end))
        return replace(self, phones=tuple(moved), posteriors=None, rate=0.0)

    def word_times(self) -> tuple[tuple[str, float, float], ...]:
        """Returns each word and the seconds between which its phones lie; words without phones are left out."""
        times: dict[int, tuple[float, float]] = {}
        for p in self.phones:
            if p.word >= 0 and p.phone != SILENCE:
                times[p.word] = (times.get(p.word, (p.start, 0.0))[0], p.end)
        return tuple((self.words[word], *times[word]) for word in sorted(times))


def viseme_spans(phone: Phone) -> tuple[tuple[str, float, float], ...]:
    """Returns (viseme, start, end) of one segment; a diphthong is divided in the middle."""
    parts = viseme_parts(phone.phone)
    edges = np.linspace(phone.start, phone.end, len(parts) + 1).tolist()
    return tuple(zip(parts, edges, edges[1:], strict=False))


def track_of(
    segments: Iterable[tuple[Sequence[str], float, float, int, float]],
    words: Sequence[str],
    duration: float,
    source: str = "",
) -> PhoneTrack:
    """Returns a track from annotation: rows (phones, start, end, word, strength), divided evenly among their phones.

    Silence and rows without length are left out; the words of the rows count from 0.
    """
    phones = []
    for names, start, end, word, strength in segments:
        edges = np.linspace(start, end, len(names) + 1).tolist()
        for name, a, b in zip(names, edges, edges[1:], strict=False):
            if name != SILENCE and b > a:
                phones.append(Phone(name, a, b, word, strength))
    return PhoneTrack(duration, tuple(phones), tuple(words), source=source)


def _resampled(values: np.ndarray, rate: float | int, wanted: float | int, count: int) -> np.ndarray:
    if not len(values):
        silent = np.zeros((count, len(VISEMES)))
        silent[:, 0] = 1.0
        return silent
    at = np.clip(np.arange(count) * (rate / wanted), 0, len(values) - 1)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, len(values) - 1)
    share = (at - low)[:, None]
    return values[low] * (1 - share) + values[high] * share


def _best_path(scores: np.ndarray, switch: float) -> np.ndarray:
    """Viterbi over classes with one cost for any change."""
    if not len(scores):
        return np.zeros(0, int)
    best = scores[0]
    back = np.empty(scores.shape, int)
    stay = np.arange(scores.shape[1])
    for t in range(1, len(scores)):
        leader = int(best.argmax())
        change = best < best[leader] - switch
        back[t] = np.where(change, leader, stay)
        best = np.where(change, best[leader] - switch, best) + scores[t]
    path = np.empty(len(scores), int)
    path[-1] = best.argmax()
    for t in range(len(scores) - 1, 0, -1):
        path[t - 1] = back[t, path[t]]
    return path
