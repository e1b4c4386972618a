"""Verbs joined for transcript edits: a spoken performance says something else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from avatar3d.core import AvatarError, Motion
from avatar3d.drive import drive
from avatar3d.drive.mouth import MouthOptions
from avatar3d.drive.personal import learn
from avatar3d.drive.stream import SpeechOptions
from avatar3d.edit.acting.splice import spliced
from avatar3d.edit.acting.transcript import Sayer, joined_sound, scored
from avatar3d.motions.neutral import neutral_of
from avatar3d.speech.align import align, voice_of
from avatar3d.speech.phones import Phone, PhoneTrack
from avatar3d.speech.sound import Sound, read_sound

_RATES = (100, 320)
"""Words a minute within which the synthetic voice takes the speaker's pace."""
_LEARN = 4.0
"""Seconds of a performance from which a person's own mouth is learnt."""


@dataclass(frozen=True)
class RetellOptions:
    """How new words are said."""

    language: str = "en"
    """Of both transcripts, as espeak-ng names it."""
    voice: str | None = None
    """Of espeak-ng; by default that of the language."""
    recording: Path | None = None
    """Somebody (best the same person) who says the new words, in order; they are then not synthesised."""
    own: bool = True
    """The motion is a person's: look for new phones in it, and learn the mouth. Else it came from speech."""


@dataclass(frozen=True)
class Retold:
    """A performance that says something else."""

    motion: Motion
    sound: Sound
    phones: PhoneTrack
    about: Mapping[str, Any] = field(default_factory=dict)
    """JSON-able: `changes`, each with old and new words, frames of its window, and where sound and mouth came from."""


def retold(
    motion: Motion, sound: Sound, spoken: PhoneTrack, text: str, options: RetellOptions = RetellOptions()
) -> Retold:
    """Returns a spoken performance in which other words are said; all that does not change keeps its bits.

    Args:
        motion: The performance, on the default head.
        sound: What is heard in it, from its first frame on.
        spoken: Which words are spoken when (`speech.align`).
        text: What shall be said.
        options: How new words are said.

    Raises:
        AvatarError: No words, nothing left of the performance, or a voice or recording that cannot be used.
    """
    if options.recording is not None:
        asked = _asked(sound, spoken, text, motion.fps)
        sayer: Sayer = _Recording(options.recording, asked, options.language)
    else:
        sayer = _speaker(spoken, options)
    score = scored(sound, spoken, text, motion.fps, sayer)
    if not score.changes:
        return Retold(motion, sound, spoken, {"changes": []})
    heard, phones = joined_sound(score), score.phones
    general = _general(motion, sound, heard, phones, options)
    done = spliced(motion, score, spoken, general, options.own)
    old = [w for i, w in enumerate(spoken.words) if any(p.word == i for p in spoken.phones)]
    new = [s for s in score.stretches if s.source != "kept" and s.words]
    rows = []
    for change, window, found in zip(score.changes, done.windows, done.found, strict=True):
        parts, left = [], len(change.words)
        while left > 0:
            part = new.pop(0)
            parts.append({"words": " ".join(part.words), "sound": part.source})
            left -= len(part.words)
        rows.append(
            {
                "old": " ".join(old[change.first : change.last]),
                "new": " ".join(change.words),
                "frames": list(window),
                "parts": parts,
                "own_phones": round(found, 3),
            }
        )
    return Retold(done.motion, heard, phones, {"changes": rows})


def _general(motion: Motion, old: Sound, new: Sound, phones: PhoneTrack, options: RetellOptions) -> Motion:
    """Returns a mouth that says the new transcript: the person's as it was learnt, or the general one."""
    voice = None
    if options.own and len(motion) >= _LEARN * motion.fps:
        rest = neutral_of(motion).expression.double().numpy()
        count = min(len(motion), int(old.seconds * motion.fps))
        try:
            voice = learn(motion, old, rest, np.arange(len(motion)) < count)
        except AvatarError:
            voice = None  # hardly any speech: the general mouth will do
    speech = SpeechOptions(fps=motion.fps, mouth=MouthOptions(), prosody=None, voice=voice, life=None)
    return drive(new, None, speech, phones)


def _speaker(spoken: PhoneTrack, options: RetellOptions) -> Sayer:
    """Returns what says new words: a synthetic voice at the speaker's pace."""
    pace = _pace(spoken)

    def speak(words: tuple[str, ...]) -> tuple[Sound, PhoneTrack]:
        from avatar3d.speech.espeak import say

        voice = options.voice or voice_of(options.language)
        text = " ".join(words)
        first = say(text, voice)
        rate = int(np.clip(170 * pace / max(_pace(first[1]), 1e-3), *_RATES)) if pace else 170
        return say(text, voice, rate)

    return speak


class _Recording:
    """New words from one recording of them all, in order."""

    def __init__(self, path: Path, words: Sequence[tuple[str, ...]], language: str):
        if not words:
            raise AvatarError(f"{path}: no word is new to the performance; leave --recording out")
        self._sound = read_sound(path)
        self._track = align(self._sound, " ".join(word for part in words for word in part), language)
        self._at = 0

    def __call__(self, words: tuple[str, ...]) -> tuple[Sound, PhoneTrack]:
        first, last = self._at, self._at + len(words)
        self._at = last
        phones = tuple(replace(p, word=p.word - first) for p in self._track.phones if first <= p.word < last)
        return self._sound, replace(self._track, phones=phones, words=words)


def _asked(sound: Sound, spoken: PhoneTrack, text: str, fps: float) -> list[tuple[str, ...]]:
    """Returns the words that have to be said anew, piece by piece."""
    asked: list[tuple[str, ...]] = []

    def note(words: tuple[str, ...]) -> tuple[Sound, PhoneTrack]:
        asked.append(words)
        return Sound(np.zeros((1, sound.rate), np.float32), sound.rate), PhoneTrack(
            1.0, (Phone("a", 0.1, 0.9, 0),), words
        )

    scored(sound, spoken, text, fps, note)
    return asked


def _pace(spoken: PhoneTrack) -> float:
    """Returns phones a second, without pauses."""
    times = [p.end - p.start for p in spoken.phones]
    return len(times) / sum(times) if times else 0.0
