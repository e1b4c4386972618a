"""Scores listening without a transcript on real speech with known phone times.

    python -m tools.bench_phones ../shared/data/audio                # the development half: tune on this
    python -m tools.bench_phones ../shared/data/audio --half test    # the test half: only for final figures

The halves were fixed before anything was tuned: three readings of a LibriVox speaker and half a minute of spontaneous
speech, both with phone times, divided so that each half has both. `--noise 20` adds white noise 20 dB below the speech.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avatar3d.speech import hmm
from avatar3d.speech.annotations import read_phones
from avatar3d.speech.front import Front
from avatar3d.speech.listen import FPS, listen
from avatar3d.speech.sound import RATE, Sound, read_sound
from avatar3d.speech.visemes import BILABIALS, VISEMES

_CUT = 14.5  # seconds: in the pause in the middle of the long recording
_LONG = ("polyglot_acoustic_corpus.wav", "polyglot_acoustic_corpus.TextGrid")
HALVES: dict[str, tuple[tuple[str, str, float, float], ...]] = {
    "dev": (
        ("librivox_austen_0870.wav", "librivox_austen_0870.phone.json", 0.0, 99.0),
        ("librivox_austen_0890.wav", "librivox_austen_0890.phone.json", 0.0, 99.0),
        (*_LONG, 0.0, _CUT),
    ),
    "test": (
        ("librivox_austen_0880.wav", "librivox_austen_0880.phone.json", 0.0, 99.0),
        ("librivox_austen_0920.wav", "librivox_austen_0920.phone.json", 0.0, 99.0),
        ("librivox_austen_0930.wav", "librivox_austen_0930.phone.json", 0.0, 99.0),
        (*_LONG, _CUT, 99.0),
    ),
}
"""Sound, its phones, and the seconds of it that belong to the half."""
_NEAR = 3  # frames: within 30 ms
_REACH = 4  # frames around a closure that still hit it
CLOSED = 0.14
"""Posterior of PP above which a closure is heard: the lowest with a precision of .6 on the development half."""


@dataclass(frozen=True)
class Case:
    """A piece of speech and what is said in it."""

    sound: np.ndarray
    labels: np.ndarray
    closures: tuple[tuple[float, float], ...]


def cases(folder: Path, half: str) -> list[Case]:
    """Returns the pieces of a half."""
    made = []
    for sound_file, phone_file, begin, end in HALVES[half]:
        sound = read_sound(folder / sound_file).at(RATE).mono
        track = read_phones(folder / phone_file)
        end = min(end, len(sound) / RATE)
        labels = track.visemes(float(FPS)).argmax(1)[round(begin * FPS) : round(end * FPS)]
        lips = [p for p in track.phones if p.phone in BILABIALS and begin <= p.start < end]
        closures = tuple((p.start - begin, p.end - begin) for p in lips)
        made.append(Case(sound[round(begin * RATE) : round(end * RATE)], labels, closures))
    return made


def noisy(sound: np.ndarray, decibels: float, seed: int = 0) -> np.ndarray:
    """Returns the sound with white noise this far below its mean power."""
    level = np.sqrt((sound.astype(np.float64) ** 2).mean()) * 10 ** (-decibels / 20)
    return (sound + np.random.default_rng(seed).normal(0, level, len(sound))).astype(np.float32)


def closure_score(heard: list[np.ndarray], known: list[Case], above: float) -> tuple[float, float]:
    """Returns (recall, precision) of moments with a PP posterior above a threshold."""
    hits = events = right = claims = 0
    for posteriors, case in zip(heard, known, strict=True):
        closed = posteriors[:, VISEMES.index("PP")] > above
        real = np.zeros(len(closed), bool)
        for start, end in case.closures:
            first, last = max(0, round(start * FPS) - _REACH), round(end * FPS) + _REACH + 1
            real[first:last] = True
            hits += bool(closed[first:last].any())
        events += len(case.closures)
        edges = np.diff(np.concatenate([[0], closed.astype(int), [0]]))
        for first, last in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
            claims += 1
            right += bool(real[first:last].any())
    return hits / max(events, 1), right / max(claims, 1)


def score(heard: list[np.ndarray], known: list[Case]) -> dict[str, float]:
    """Returns the figures of posteriors for each case."""
    right = near = speech_right = speech = count = 0
    for posteriors, case in zip(heard, known, strict=True):
        n = min(len(posteriors), len(case.labels))
        said, labels = posteriors[:n].argmax(1), case.labels[:n]
        around = np.pad(labels, _NEAR, mode="edge")
        near += int(np.any([around[d : d + n] == said for d in range(2 * _NEAR + 1)], axis=0).sum())
        right += int((said == labels).sum())
        speech_right += int((said == labels)[labels > 0].sum())
        speech += int((labels > 0).sum())
        count += n
    fixed = closure_score(heard, known, CLOSED)
    curve = [closure_score(heard, known, above) for above in np.arange(0.02, 0.9, 0.02)]
    best = max((pair for pair in curve if pair[1] >= 0.6), default=(0.0, 0.0))
    return {
        "frames": right / count,
        "within_30_ms": near / count,
        "speech_frames": speech_right / speech,
        "closure_recall": fixed[0],
        "closure_precision": fixed[1],
        "closure_recall_at_precision_0.6": best[0],
    }


def loop_alone(denoise: bool, english: float) -> Callable[[np.ndarray], np.ndarray]:
    """Returns the acoustic model and the loop of phones without the network."""

    def run(sound: np.ndarray) -> np.ndarray:
        front, loop = Front(), hmm.Loop(english)
        if not denoise:
            front._denoise = None  # type: ignore[assignment]
        parts = [loop.push(front.push(sound).scores), loop.push(front.flush().scores), loop.flush()]
        return np.concatenate(parts) @ hmm.state_visemes()

    return run


def whole(sound: np.ndarray) -> np.ndarray:
    """Returns what `listen` hears."""
    posteriors = listen(Sound(sound[None], RATE)).posteriors
    assert posteriors is not None
    return posteriors


SYSTEMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "acoustic model and loop": loop_alone(False, 0.0),
    "and noise taken out": loop_alone(True, 0.0),
    "and English pairs": loop_alone(True, 0.8),
    "listen": whole,
}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--half", choices=tuple(HALVES), default="dev")
    parser.add_argument("--noise", type=float, nargs="*", default=[20.0], help="decibels of noise to try beside none")
    given = parser.parse_args()
    known = cases(given.folder, given.half)
    for noise in [None, *given.noise]:
        for name, system in SYSTEMS.items():
            sounds = [case.sound if noise is None else noisy(case.sound, noise) for case in known]
            found = score([system(sound) for sound in sounds], known)
            print(json.dumps({"system": name, "noise_db": noise} | {k: round(v, 3) for k, v in found.items()}))


if __name__ == "__main__":
    main()
