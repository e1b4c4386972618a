"""A spoken performance cut and put together anew by its transcript: which stretches of what, when.

Words are compared, not letters: what is the same stays where it was, to the bit. New words are taken from the speaker's
own recording if they are said there, else from a `Sayer` (a synthetic voice, or another recording). Stretches are moved
by whole frames, so that sound and pictures keep together and no kept frame has to be interpolated.
"""

import difflib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from avatar3d.core import AvatarError
from avatar3d.speech.phones import Phone, PhoneTrack
from avatar3d.speech.sound import Sound

Sayer = Callable[[tuple[str, ...]], tuple[Sound, PhoneTrack]]
"""Gives the sound of new words and when their phones are spoken in it."""

_REACH = 0.03
"""Seconds beyond a boundary of words, as aligners give it, where the quietest place to cut is looked for."""
_WINDOW = 0.01
"""Seconds over which loudness is taken there."""
_BREATH = 0.02
"""Seconds of sound kept around new words."""
_LOUDNESS = (0.1, 10.0)
"""Factors within which new words are made as loud as the others."""


@dataclass(frozen=True)
class Change:
    """Words `first` to `last` (not included) of the old transcript become `words`."""

    first: int
    last: int
    words: tuple[str, ...]


@dataclass(frozen=True)
class Stretch:
    """A part of the new performance, from one source."""

    start: float
    end: float
    """Seconds of the new performance."""
    source: str
    """kept: the performance where it was; own: another place of it; said: new sound."""
    offset: float
    """Seconds: what is heard at t stands at t - offset in the source."""
    sound: Sound
    """Of the source."""
    phones: tuple[Phone, ...] = ()
    """In seconds of the new performance; `word` counts in the new transcript."""
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Score:
    """A new performance on paper."""

    stretches: tuple[Stretch, ...]
    """In order, without gaps."""
    changes: tuple[Change, ...]
    frames: int
    """By how many frames it is longer."""

    @property
    def phones(self) -> PhoneTrack:
        """What is said when in the new performance."""
        words = [word for s in self.stretches for word in s.words]
        phones: list[Phone] = []
        for s in self.stretches:
            for p in s.phones:
                start = max(p.start, s.start, phones[-1].end if phones else 0.0)
                end = min(p.end, s.end)
                phones += [replace(p, start=start, end=end)] if end - start > 1e-3 else []
        return PhoneTrack(self.stretches[-1].end, tuple(phones), tuple(words), source="transcript")


def spelt(word: str) -> str:
    """Returns what of a word counts: letters and digits, in lower case."""
    return "".join(c for c in word.casefold() if c.isalnum())


def changes(old: Sequence[str], new: Sequence[str]) -> tuple[Change, ...]:
    """Returns what has to be done to the old words to get the new ones, in order.

    >>> changes("ask not what".split(), "Ask what now".split())
    (Change(first=1, last=2, words=()), Change(first=3, last=3, words=('now',)))
    """
    match = difflib.SequenceMatcher(None, [spelt(w) for w in old], [spelt(w) for w in new], autojunk=False)
    return tuple(Change(a, b, tuple(new[c:d])) for kind, a, b, c, d in match.get_opcodes() if kind != "equal")


def scored(sound: Sound, spoken: PhoneTrack, text: str, fps: float, sayer: Sayer) -> Score:
    """Returns how to put a performance together so that it says something else.

    Args:
        sound: What is heard in it.
        spoken: Which words are spoken when (`speech.align`).
        text: What shall be said: the old words with some left out, put in or replaced.
        fps: Frames a second of the performance.
        sayer: Says words that are not in the recording.

    Raises:
        AvatarError: No words, before or after.
    """
    timed = [i for i in range(len(spoken.words)) if any(p.word == i for p in spoken.phones)]
    old, new = [spoken.words[i] for i in timed], [w for w in text.split() if spelt(w)]
    if not old or not new:
        raise AvatarError("say-instead: there are no words " + ("in the transcript" if not old else "to say instead"))
    build = _Build(sound, spoken, timed, fps, sayer)
    found = changes(old, new)
    for change in found:
        build.change(change)
    build.keep_until(len(old), sound.seconds)
    return Score(tuple(build.out), found, build.frames)


class _Build:
    """Stretches put one after the other."""

    def __init__(self, sound: Sound, spoken: PhoneTrack, timed: Sequence[int], fps: float, sayer: Sayer):
        self.out: list[Stretch] = []
        self.frames = 0
        self._sound, self._fps, self._sayer = sound, fps, sayer
        self._names = [spoken.words[i] for i in timed]
        self._phones = [[p for p in spoken.phones if p.word == i] for i in timed]
        self._spelt = [spelt(w) for w in self._names]
        self._at = 0.0  # seconds of the old performance that are done
        self._word = 0  # old words that are done
        self._given = 0  # new words that are done
        self._level = _loudness(sound.mono, sound.rate, [(p[0].start, p[-1].end) for p in self._phones])

    def keep_until(self, word: int, time: float) -> None:
        """Keeps the old performance up to a time, and its words before `word`."""
        shift = self.frames / self._fps
        if time > self._at:
            phones = self._moved(self._word, word, shift)
            names = tuple(self._names[self._word : word])
            self.out.append(Stretch(self._at + shift, time + shift, "kept", shift, self._sound, phones, names))
            self._given += len(names)
        self._at, self._word = max(time, self._at), word

    def change(self, change: Change) -> None:
        """Does one change."""
        a = self._boundary(change.first)
        b = max(a, self._boundary(change.last)) if change.last > change.first else a
        out = max(1, round((b - a) * self._fps))  # frames that go
        if not change.words:  # both cuts move a little, so that they are a whole number
            a = max((a + b - out / self._fps) / 2, self._at)
            b = a + out / self._fps
        a = max(a, self._at)
        self.keep_until(change.first, a)
        shift = self.frames / self._fps
        start = now = a + shift
        for part in self._parts(change.words):
            now = self._say(part, now)
        gained = math.ceil(((now - start) - (b - a)) * self._fps - 1e-6) if change.words else -out
        end = start + (b - a) + gained / self._fps
        if end - now > 1e-6:  # a pause up to the next frame
            still = Sound(np.zeros((self._sound.samples.shape[0], 1), np.float32), self._sound.rate)
            self.out.append(Stretch(now, end, "said", now, still))
        self.frames += gained
        self._at, self._word = b, change.last

    def _say(self, words: tuple[str, ...], now: float) -> float:
        """Adds words, of the same source, and returns when they end."""
        at = self._found(words)
        if at is not None:
            begin, end = self._boundary(at), self._boundary(at + len(words))
            offset, phones = now - begin, self._moved(at, at + len(words), now - begin)
            self.out.append(Stretch(now, now + end - begin, "own", offset, self._sound, phones, words))
        else:
            sound, track = self._sayer(words)
            if not track.phones:
                raise AvatarError(f"say-instead: nothing is heard of '{' '.join(words)}'; record it anew")
            begin = max(0.0, track.phones[0].start - _BREATH)
            end = min(sound.seconds, track.phones[-1].end + _BREATH)
            level = _loudness(sound.mono, sound.rate, [(track.phones[0].start, track.phones[-1].end)])
            sound = _like(sound, self._sound, float(np.clip(self._level / max(level, 1e-6), *_LOUDNESS)))
            offset = now - begin
            phones = tuple(
                replace(p, start=p.start + offset, end=p.end + offset, word=self._given + min(p.word, len(words) - 1))
                for p in track.phones
                if p.word >= 0
            )
            self.out.append(Stretch(now, now + end - begin, "said", offset, sound, phones, words))
        self._given += len(words)
        return now + end - begin

    def _parts(self, words: tuple[str, ...]) -> list[tuple[str, ...]]:
        """Returns new words in as long pieces as the recording has, and what lies between."""
        parts: list[tuple[str, ...]] = []
        at, loose = 0, 0
        while at < len(words):
            length = next((k for k in range(len(words) - at, 0, -1) if self._found(words[at : at + k]) is not None), 0)
            if length:
                parts += [words[loose:at]] if loose < at else []
                parts.append(words[at : at + length])
                loose = at + length
            at += length or 1
        return [*parts, words[loose:]] if loose < len(words) else parts

    def _found(self, words: tuple[str, ...]) -> int | None:
        wanted = [spelt(w) for w in words]
        places = range(len(self._spelt) - len(wanted) + 1)
        return next((at for at in places if self._spelt[at : at + len(wanted)] == wanted), None)

    def _moved(self, first: int, last: int, by: float) -> tuple[Phone, ...]:
        """Returns the phones of old words, moved in time, as those of the next new words."""
        return tuple(
            replace(p, start=p.start + by, end=p.end + by, word=self._given + word - first)
            for word in range(first, last)
            for p in self._phones[word]
        )

    def _boundary(self, word: int) -> float:
        """Returns where to cut before a word: the quietest place between it and the word before."""
        seconds = self._sound.seconds
        end = self._phones[word - 1][-1].end if word else max(0.0, self._phones[0][0].start - 4 * _REACH)
        start = self._phones[word][0].start if word < len(self._phones) else min(seconds, end + 4 * _REACH)
        low, high = max(0.0, end - _REACH), min(seconds, start + _REACH)
        places = np.arange(low, max(high, low + 1e-3), 0.002)
        mono, half = self._sound.mono, int(_WINDOW * self._sound.rate)
        loud = [
            float(np.square(mono[max(0, int(t * self._sound.rate) - half) : int(t * self._sound.rate) + half]).sum())
            for t in places
        ]
        return float(places[int(np.argmin(loud))])


def joined_sound(score: Score, fade: float = 0.015) -> Sound:
    """Returns the sound of the new performance: stretches cross-faded at their joints, samples elsewhere as they were.

    Args:
        score: Of `scored`.
        fade: Seconds of a cross-fade.
    """
    first = score.stretches[0].sound
    rate, channels = first.rate, first.samples.shape[0]
    edges = [round(s.start * rate) for s in score.stretches] + [round(score.stretches[-1].end * rate)]
    out = np.zeros((channels, edges[-1]), np.float32)
    half = max(1, round(fade * rate / 2))
    for s, begin, end in zip(score.stretches, edges, edges[1:], strict=False):
        if end <= begin:
            continue
        left = begin if begin == 0 else max(0, begin - half)
        right = end if end == edges[-1] else min(edges[-1], end + half)
        taken = _taken(s.sound.samples, left - round(s.offset * rate), right - left)
        weight = np.ones(right - left, np.float32)
        t = np.arange(left, right)
        if begin > 0:
            weight *= np.clip((t - (begin - half) + 0.5) / (2 * half), 0, 1).astype(np.float32)
        if end < edges[-1]:
            weight *= np.clip(((end + half) - t - 0.5) / (2 * half), 0, 1).astype(np.float32)
        out[:, left:right] += weight * taken
    return Sound(out, rate)


def _taken(samples: np.ndarray, start: int, count: int) -> np.ndarray:
    """Returns samples from a place on, with silence where there are none."""
    out = np.zeros((samples.shape[0], count), np.float32)
    a, b = max(start, 0), min(start + count, samples.shape[1])
    if b > a:
        out[:, a - start : b - start] = samples[:, a:b]
    return out


def _like(sound: Sound, other: Sound, gain: float) -> Sound:
    """Returns a sound with the rate and the channels of another."""
    brought = Sound(sound.mono[None], sound.rate).at(other.rate)
    return Sound(np.repeat(np.float32(gain) * brought.samples, other.samples.shape[0], 0), other.rate)


def _loudness(mono: np.ndarray, rate: int, spans: Sequence[tuple[float, float]]) -> float:
    """Returns the root mean square of what lies in spans of seconds."""
    parts = [mono[int(a * rate) : int(b * rate)] for a, b in spans]
    heard = np.concatenate(parts) if parts else mono
    return float(np.sqrt(np.mean(np.square(heard, dtype=np.float64)))) if len(heard) else 0.0
