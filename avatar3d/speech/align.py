"""Sound and its transcript to phone times, in any language that espeak-ng can read.

    track = align(read_sound("speech.wav"), "what is said in it", "en")

The transcript becomes phones (espeak-ng), each phone the units of the acoustic model that sound most like it, and
Viterbi's algorithm finds when each is said, with silences between words wherever they fit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from avatar3d.core import AvatarError
from avatar3d.speech.acoustic import model, state_scores
from avatar3d.speech.espeak import say
from avatar3d.speech.likeness import units_like
from avatar3d.speech.phones import Phone, PhoneTrack
from avatar3d.speech.sound import Sound
from avatar3d.speech.spectra import FPS
from avatar3d.speech.subtitles import Cue

_VOICES = {"en": "en-us", "zh": "cmn", "no": "nb", "fr": "fr-fr"}
"""Languages whose voice has another name."""
_SCALE = 0.3
"""Of the log densities: neighbouring frames are far from independent."""
_STAY, _GO, _SKIP = np.log(0.6), np.log(0.4), np.log(0.4) - 0.5
_NOISE = 2.0
"""Nats by which noise explains a pause worse than silence does."""
_WINDOW = 4000
"""States (1,300 phones, about 90 s of speech) that are open at a time: bounds memory and time in long recordings."""
_MARGIN = 0.4
"""Seconds by which a subtitle may stand too early or too late."""


def align(sound: Sound, transcript: str | Sequence[Cue], language: str = "en") -> PhoneTrack:
    """Returns when each phone of the transcript is spoken.

    Args:
        sound: The speech, of any rate.
        transcript: What is said, word for word; or subtitles, each of which is aligned within its own time.
        language: As espeak-ng names it ("en", "de", "cmn", ...); `avatar3d.speech.espeak.voices` lists them.

    Raises:
        AvatarError: espeak-ng is missing, the language is unknown, or the transcript is empty or cannot fit into the
            sound.
    """
    if not isinstance(transcript, str):
        return _by_cues(sound, transcript, language)
    if not transcript.strip():
        raise AvatarError("the transcript is empty; give the words that are spoken")
    if sound.seconds < 0.1:
        raise AvatarError(f"the sound lasts {sound.seconds:.2f} s; too short to align a transcript with")
    spoken = say(transcript, voice_of(language))[1]
    return _viterbi(sound, spoken)


def voice_of(language: str) -> str:
    """Returns the voice of espeak-ng that reads a language.

    >>> voice_of("en"), voice_of("de")
    ('en-us', 'de')
    """
    return _VOICES.get(language, language)


@dataclass(frozen=True)
class _States:
    """The states that the sound goes through, in order."""

    columns: tuple[tuple[int, ...], ...]
    """For each state, the columns of the acoustic scores that may stand for it."""
    owner: np.ndarray
    """Index of the phone; -1 for a silence."""
    silent: np.ndarray


def _viterbi(sound: Sound, spoken: PhoneTrack) -> PhoneTrack:
    states = _states(spoken)
    scores = state_scores(sound) * _SCALE
    shortest = int((~states.silent).sum())
    if shortest > len(scores):
        raise AvatarError(
            f"the transcript has {len(spoken.phones)} phones, which do not fit into {sound.seconds:.1f} s of sound; "
            "give the words that are spoken in it"
        )
    path, score = _path(_emissions(scores, states), states.silent)
    owner = states.owner[path]
    phones, begin = [], 0
    for end in [*(np.flatnonzero(np.diff(owner)) + 1).tolist(), len(owner)]:
        if owner[begin] >= 0:
            said = spoken.phones[owner[begin]]
            first, last = max(0.0, (begin - 0.5) / FPS), min(sound.seconds, (end - 0.5) / FPS)
            phones.append(Phone(said.phone, first, max(last, first + 1e-3), said.word, said.strength))
        begin = end
    about = {"aligner": "viterbi", "score": round(score / max(len(path), 1) / _SCALE, 3)}
    return PhoneTrack(sound.seconds, tuple(phones), spoken.words, source="alignment", about=about)


def _states(spoken: PhoneTrack) -> _States:
    """Returns three states for each phone and a silence, which may be left out, between words and at both ends."""
    table = model()
    columns: list[tuple[int, ...]] = []
    owner: list[int] = []
    silent: list[bool] = []

    def pause() -> None:
        columns.append(())
        owner.append(-1)
        silent.append(True)

    pause()
    for at, phone in enumerate(spoken.phones):
        if at and phone.word != spoken.phones[at - 1].word:
            pause()
        units = [table.units.index(unit) for unit in units_like(phone.phone)]
        for state in range(3):
            columns.append(tuple(3 * unit + state for unit in units))
            owner.append(at)
            silent.append(False)
    pause()
    return _States(tuple(columns), np.array(owner), np.array(silent))


@dataclass(frozen=True)
class _Lookup:
    """Scores of many states that share few columns, without writing them all out."""

    table: np.ndarray
    column: np.ndarray

    def __len__(self) -> int:
        return len(self.table)

    def row(self, frame: int, first: int, last: int) -> np.ndarray:
        return self.table[frame, self.column[first:last]]


def _emissions(scores: Float[np.ndarray, "t 126"], states: _States) -> _Lookup:
    """Returns the scores of each state in each frame: the best of the units that may stand for it."""
    units = model().units
    rest, noise = 3 * units.index("SIL"), 3 * units.index("+NSN+")
    pause = np.maximum(scores[:, rest : rest + 3].max(1), scores[:, noise : noise + 3].max(1) - _NOISE)
    distinct = {columns: k for k, columns in enumerate(dict.fromkeys(states.columns))}
    table = np.stack([scores[:, list(c)].max(1) if c else pause for c in distinct], 1)
    return _Lookup(table, np.array([distinct[c] for c in states.columns]))


def _path(emissions: _Lookup, silent: np.ndarray) -> tuple[np.ndarray, float]:
    """Returns the most likely state of each frame, from the first (or second) state to the last (or last but one)."""
    count, frames = len(silent), len(emissions)
    width = min(count, _WINDOW)
    best = np.full(count + 2, -np.inf)  # two more in front: where a state comes from is then never out of range
    best[2] = emissions.row(0, 0, 1)[0]
    if count > 1:
        best[3] = emissions.row(0, 1, 2)[0]
    skips = np.concatenate([[False, False], silent[1:-1]]) if count > 2 else np.zeros(count, bool)  # over a silence
    back = np.zeros((frames, width), np.int8)
    begin = np.zeros(frames, int)
    first = 0
    for t in range(1, frames):
        front = int(np.argmax(best[2 + first : 2 + first + width])) + first
        # Not further than what must still be said allows: the end has to stay in reach.
        first = min(max(first, front - width // 2), count - width)
        last = first + width
        stay = best[2 + first : 2 + last] + _STAY
        go = best[1 + first : 1 + last] + _GO
        skip = np.where(skips[first:last], best[first:last] + _SKIP, -np.inf)
        step = np.where((go > stay) & (go >= skip), 1, np.where(skip > stay, 2, 0))
        back[t], begin[t] = step, first
        best[2 + first : 2 + last] = np.maximum(stay, np.maximum(go, skip)) + emissions.row(t, first, last)
        best[: 2 + first] = -np.inf
    state = count - 1 if best[1 + count] >= best[count] else count - 2
    score = float(best[2 + state])
    if not np.isfinite(score):
        raise AvatarError("the transcript cannot be followed through the sound; give the words that are spoken in it")
    path = np.empty(frames, int)
    for t in range(frames - 1, -1, -1):
        path[t] = state
        state -= int(back[t, state - begin[t]]) if t else 0
    return path, score


def _by_cues(sound: Sound, cues: Sequence[Cue], language: str) -> PhoneTrack:
    """Aligns each subtitle within its own time; where two overlap, the first keeps what it has."""
    phones: list[Phone] = []
    words: list[str] = []
    for at, cue in enumerate(cues):
        begin = max(0.0, cue.start - _MARGIN, phones[-1].end if phones else 0.0)
        end = min(sound.seconds, cue.end + _MARGIN, cues[at + 1].start + _MARGIN if at + 1 < len(cues) else np.inf)
        if end - begin < 0.1 or not any(c.isalnum() for c in cue.text):
            continue
        piece = Sound(sound.samples[:, int(begin * sound.rate) : int(end * sound.rate)], sound.rate)
        try:
            part = align(piece, cue.text, language)
        except AvatarError as error:
            raise AvatarError(f"subtitle at {cue.start:.2f} s: {error}") from None
        for p in part.phones:
            word = p.word + len(words) if p.word >= 0 else -1
            phones.append(replace(p, start=p.start + begin, end=min(p.end + begin, sound.seconds), word=word))
        words += part.words
    if not phones:
        raise AvatarError("no subtitle has words that lie within the sound")
    return PhoneTrack(sound.seconds, tuple(phones), tuple(words), source="alignment", about={"cues": len(cues)})
