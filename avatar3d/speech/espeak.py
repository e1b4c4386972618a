"""Text to sound and exact phone times by espeak-ng, through the wheel `espeakng-loader` (extra `text`).

espeak-ng is under the GPL, version 3 or later. It is not part of this package, and runs in a process of its own
(`espeak_process.py`) when text is to be spoken.
"""

import difflib
import functools
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from unicodedata import east_asian_width

import numpy as np

from avatar3d.core import AvatarError
from avatar3d.speech.phones import Phone, PhoneTrack
from avatar3d.speech.sound import Sound
from avatar3d.speech.visemes import SILENCE, STOPS, read_label, stress

RATES = (80, 450)
"""Words a minute that espeak-ng accepts."""

_CLOSURE = 0.12
"""Seconds. The silence before a voiceless stop is credited to the sound before it; a closure lasts no longer."""
_QUIET = 0.02
"""Of the loudness: below, a stop's closure. Formant synthesis is exactly 0 there."""
_SHARE = 0.4
"""Of its neighbour's time: what a sonorant without any gets; compared with its formants by ear and by spectrum."""


@dataclass(frozen=True)
class Voice:
    """A way to speak that espeak-ng knows."""

    language: str
    """Such as "en-us": what `say` takes as `voice`."""
    name: str


@dataclass(frozen=True)
class Utterance:
    """A text and how to say it."""

    text: str
    """In the language of the voice."""
    voice: str = "en-us"
    """A language such as "en-us", "de", "fr-fr", "cmn" (see `voices`), with a variant if wanted: "en-us+f3"."""
    rate: int = 170
    """Words a minute, 80 to 450."""
    pitch: int = 50
    """0 to 99."""


@dataclass(frozen=True)
class _Spoken:
    samples: np.ndarray
    rate: int
    events: Sequence[Sequence]
    """(sample, IPA); IPA is empty for a pause."""
    words: Sequence[Sequence]
    """(sample, first letter, letters)."""


@functools.cache
def voices() -> tuple[Voice, ...]:
    """Returns the languages that can be spoken, by name.

    Raises:
        AvatarError: espeak-ng is not installed.
    """
    ((answer, _),) = _answers([{}])
    return tuple(sorted({Voice(language, name) for language, name, _ in answer["voices"]}, key=lambda v: v.language))


def say(text: str, voice: str = "en-us", rate: int = 170, pitch: int = 50) -> tuple[Sound, PhoneTrack]:
    """Returns the spoken text and when each of its phones is spoken, exact to the frame.

    >>> sound, track = say("Mama.")                                            # doctest: +SKIP
    >>> [p.phone for p in track.phones]                                        # doctest: +SKIP
    ['m', 'ɑ', 'm', 'ɐ']

    Args: as the fields of `Utterance`.

    Raises:
        AvatarError: espeak-ng is missing, the voice is unknown, a number is out of range, or nothing can be said.
    """
    return next(iter(say_all([Utterance(text, voice, rate, pitch)])))


def say_all(utterances: Iterable[Utterance]) -> Iterator[tuple[Sound, PhoneTrack]]:
    """Yields each utterance as `say` does, all by one process: quick for many; the same list gives the same bits.

    Raises:
        AvatarError: As `say`, before anything is spoken where it can be known.
    """
    wanted = list(utterances)
    for u in wanted:
        _check(u)
    for u, (answer, raw) in zip(wanted, _answers([asdict(u) for u in wanted]), strict=True):
        if "unknown" in answer:
            raise _unknown(u.voice)
        samples = np.frombuffer(raw, "<i2").astype(np.float32) / 32768
        spoken = _Spoken(samples, answer["rate"], answer["events"], answer["words"])
        track = _track(spoken, u.text)
        if not track.phones:
            raise AvatarError(f"voice '{u.voice}' finds nothing to say in: {u.text.strip()[:60]}")
        about = {"voice": u.voice, "rate": u.rate, "pitch": u.pitch}
        yield Sound(samples[None], spoken.rate), replace(track, source="espeak", about=about)


def _check(u: Utterance) -> None:
    if not u.text.strip():
        raise AvatarError("the text to say is empty")
    if not RATES[0] <= u.rate <= RATES[1]:
        raise AvatarError(f"speaking rate {u.rate}; expected {RATES[0]} to {RATES[1]} words a minute")
    if not 0 <= u.pitch <= 99:
        raise AvatarError(f"pitch {u.pitch}; expected 0 to 99")
    if u.voice.split("+")[0].split("-")[0] == "ja" and any("\u4e00" <= letter <= "\u9fff" for letter in u.text):
        raise AvatarError("espeak-ng does not read kanji; write Japanese in kana")


def _unknown(voice: str) -> AvatarError:
    codes = [v.language for v in voices()]
    near = difflib.get_close_matches(voice.split("+")[0], codes, n=3, cutoff=0.3) or codes[:5]
    return AvatarError(f"no voice '{voice}'; nearest: {', '.join(dict.fromkeys(near))}")


def _answers(requests: Sequence[dict]) -> Iterator[tuple[dict, bytes]]:
    """Yields what the process answers to each request. One is asked at a time, so that neither side fills a pipe."""
    try:
        import espeakng_loader
    except ImportError:
        raise AvatarError(
            "speaking or reading text needs espeak-ng (GPL-3.0-or-later, run as it is): pip install 'avatar3d[text]'"
        ) from None
    program = Path(__file__).with_name("espeak_process.py")
    paths = [str(espeakng_loader.get_library_path()), str(espeakng_loader.get_data_path())]
    command = [sys.executable, "-I", "-S", str(program), *paths]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            for request in requests:
                try:
                    process.stdin.write(json.dumps(request).encode() + b"\n")
                    process.stdin.flush()
                except BrokenPipeError:  # it has ended; its last line may say why
                    pass
                line = process.stdout.readline()
                answer: dict = json.loads(line) if line else {"failed": "it ended without a word"}
                if "failed" in answer:
                    raise AvatarError(f"espeak-ng cannot be run: {answer['failed']}; reinstall espeakng-loader")
                yield answer, process.stdout.read(answer["bytes"])
        finally:
            process.kill() if sys.exc_info()[0] else process.stdin.close()


def _track(spoken: _Spoken, text: str) -> PhoneTrack:
    """Returns phones with times, the two quirks of espeak's events mended."""
    total = len(spoken.samples)
    starts = [min(sample, total) for sample, _ in spoken.events]
    rows: list[tuple[tuple[str, ...], int, float]] = []  # phones, first sample, strength
    for (_, symbol), start, end in zip(spoken.events, starts, [*starts[1:], total], strict=True):
        if not symbol.strip():
            if end > start:
                rows.append(((SILENCE,), start, 1.0))
        elif names := _phones(symbol):
            rows.append((names, start, stress(symbol)))
    edges = [*(row[1] for row in rows), total]
    _give_time(edges, [row[0] for row in rows])
    _reach_back(edges, [row[0][0] for row in rows], spoken)
    words, owner = _words(spoken, text)
    begins = np.array([sample for sample, _, _ in spoken.words])
    phones = []
    for at, (names, old, strength) in enumerate(rows):
        event = int(np.searchsorted(begins, old, side="right")) - 1
        word = owner[event] if event >= 0 else -1
        parts = np.linspace(edges[at], edges[at + 1], len(names) + 1) / spoken.rate
        for name, start, end in zip(names, parts, parts[1:], strict=False):
            if name != SILENCE and end > start:
                phones.append(Phone(name, float(start), float(end), word, strength))
    return PhoneTrack(total / spoken.rate, tuple(phones), tuple(words))


def _words(spoken: _Spoken, text: str) -> tuple[list[str], list[int]]:
    """Returns the words with their punctuation, and for each of espeak's events the word that it belongs to.

    A number has several events, some at wrong places within it; Chinese has one for a word of several letters. Words
    are what stands between spaces, or, in scripts without spaces, between events.
    """
    firsts: list[int] = []
    owner = []
    for _, first, _ in spoken.words:
        at = min(max(first, 0), len(text) - 1)
        if east_asian_width(text[at]) not in "WF":
            while at > 0 and not text[at - 1].isspace() and east_asian_width(text[at - 1]) not in "WF":
                at -= 1
        if not firsts or at > firsts[-1]:
            firsts.append(at)
        owner.append(len(firsts) - 1)
    return [" ".join(text[a:b].split()) for a, b in zip(firsts, [*firsts[1:], len(text)], strict=False)], owner


def _phones(symbol: str) -> tuple[str, ...]:
    """Returns the inventory's phones of an espeak symbol: none for a lone mark or a change of language, "(en)".

    Symbols of voices that have no IPA yet are espeak's own (Kirshenbaum's), which are near to X-SAMPA.
    """
    if symbol.startswith("("):
        return ()
    for notation, text in (("ipa", symbol), ("x-sampa", symbol.rstrip("[#^"))):
        try:
            return tuple(name for name in read_label(text, notation) if name != SILENCE)
        except AvatarError:
            continue
    return ()


def _give_time(edges: list[int], names: list[tuple[str, ...]]) -> None:
    """Gives a phone without time a share of the phone after it, or of the one before it at the end of speech."""
    for at in range(len(names) - 1, -1, -1):
        if names[at] == (SILENCE,) or edges[at + 1] > edges[at]:
            continue
        after = at + 1
        while after < len(names) and edges[after + 1] == edges[after]:
            after += 1
        if after < len(names) and names[after] != (SILENCE,):
            edges[at + 1] = edges[at] + int(_SHARE * (edges[after + 1] - edges[at]))
            for empty in range(at + 2, after + 1):
                edges[empty] = max(edges[empty], edges[at + 1])
        elif at > 0 and names[at - 1] != (SILENCE,):
            edges[at] -= int(_SHARE * (edges[at] - edges[at - 1]))


def _reach_back(edges: list[int], names: list[str], spoken: _Spoken) -> None:
    """Lets a stop begin where the silence of its closure begins."""
    step = spoken.rate // 200
    count = len(spoken.samples) // step
    loudness = np.abs(spoken.samples[: count * step]).reshape(count, step).max(1)
    quiet = loudness < _QUIET * np.percentile(loudness, 95) if count else np.zeros(0, bool)
    for at in range(1, len(names)):
        if names[at] not in STOPS:
            continue
        # At a pause the closure is as long as one within speech: the lips close to speak, not for the whole pause.
        floor = max(edges[at] - int(_CLOSURE * spoken.rate), edges[at - 1])
        if names[at - 1] != SILENCE:
            floor = max(floor, (edges[at - 1] + edges[at]) // 2)
        frame = edges[at] // step
        while frame > 0 and quiet[min(frame - 1, count - 1)] and (frame - 1) * step >= floor:
            frame -= 1
        edges[at] = min(edges[at], max(floor, frame * step))
