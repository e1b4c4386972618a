"""What the phone recogniser is fed with, frame by frame of a stream: scores of the acoustic model and network inputs.

Means are learnt as the sound goes on, from a guess at its first frame: a recording that begins with silence and one
that begins in a word are both right within a second, whatever their level. A stream and a file give the same bits.
"""

import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from avatar3d.speech import acoustic, spectra
from avatar3d.speech.denoise import Denoiser
from avatar3d.speech.sound import RATE

INPUTS = spectra.MELS + 42
"""Numbers that the network sees of a frame: normalised log-mel bands and posteriors of the acoustic model's units."""
DELAY = (acoustic.HALF + acoustic.AHEAD * spectra.HOP) / RATE
"""Seconds of sound after a frame's centre that the frame needs: 43 ms."""

_WARM, _MEMORY = 30, 300  # frames that the first guess at a mean counts for; over which a mean is taken
# Mean cepstra of speech (cmninit of the en-us model) but for the first, the level, which the first frame tells.
_USUAL = np.array([0, -5.29, -0.12, 5.09, 2.48, -4.07, -1.37, -1.78, -5.08, -2.05, -6.45, -1.42, 1.17])
_FIRST = 0.3  # share of the first frame in the guess
_ABOVE = 10.0  # how far the mean level is above the first frame's (9 dB)
_BELOW, _FADE = 18.0, 0.01  # how far it is at most below the peak (16 dB); forgetting of the peak a frame

_DITHER = 1 / 32768  # rms of a noise added to all sound: where samples are exactly 0 anything would be as likely

_FLOOR = 1e-3  # of the peak power: a recording's own noise is not heard
_PEAK_FADE = 0.9995  # a frame
_MEL_ABOVE = 3.0  # mean log power over the first frame's
_UNIT_SCALE = 0.3  # of the acoustic model's log densities, which are too sure of themselves


@dataclass(frozen=True)
class Heard:
    """Frames of a stream."""

    scores: Float[np.ndarray, "t 126"]
    """Log densities of the acoustic model's states."""
    inputs: Float[np.ndarray, "t 82"]
    """For the network, about -2 to 2."""

    def __len__(self) -> int:
        return len(self.scores)


class Front:
    """Turns blocks of sound at 16 kHz into frames; each frame comes `DELAY` after its centre."""

    def __init__(self) -> None:
        self._windows = spectra.Windows(acoustic.HALF)
        self._read = 0
        self._denoise = Denoiser()
        self._mean: np.ndarray | None = None
        self._count, self._top = float(_WARM), -np.inf
        self._mel_mean: np.ndarray | None = None
        self._mel_count, self._peak = float(_WARM), 0.0
        self._cepstra = np.zeros((0, spectra.CEPSTRA), np.float32)
        self._mel = np.zeros((0, spectra.MELS), np.float32)

    def push(self, block: Float[np.ndarray, " a"]) -> Heard:
        """Returns the frames that are complete with this block of samples in [-1, 1]."""
        hiss = _hiss()[np.arange(self._read, self._read + len(block)) % RATE]
        self._read += len(block)
        self._take(self._windows.push(np.asarray(block, np.float32) + hiss))
        return self._give()

    def flush(self) -> Heard:
        """Returns the frames of the end."""
        self._take(self._windows.flush())
        if len(self._cepstra):
            self._cepstra = np.concatenate([self._cepstra, np.repeat(self._cepstra[-1:], acoustic.AHEAD, 0)])
        return self._give()

    def _take(self, windows: np.ndarray) -> None:
        if not len(windows):
            return
        cepstra = self._normal(spectra.cepstra(windows, self._denoise))
        if not len(self._cepstra):
            cepstra = np.concatenate([np.repeat(cepstra[:1], acoustic.AHEAD, 0), cepstra])
        self._cepstra = np.concatenate([self._cepstra, cepstra])
        self._mel = np.concatenate([self._mel, self._normal_mel(spectra.log_mel(windows))])

    def _give(self) -> Heard:
        count = max(len(self._cepstra) - 2 * acoustic.AHEAD, 0)
        if not count:
            return Heard(np.zeros((0, 126), np.float32), np.zeros((0, INPUTS), np.float32))
        scores = acoustic.scores(acoustic.with_differences(self._cepstra))
        inputs = np.concatenate([self._mel[:count], _units(scores)], 1)
        self._cepstra, self._mel = self._cepstra[count:], self._mel[count:]
        return Heard(scores, inputs)

    def _normal(self, cepstra: np.ndarray) -> np.ndarray:
        normal = np.empty_like(cepstra)
        for i, row in enumerate(cepstra.astype(np.float64)):
            mean = self._mean
            if mean is None:
                mean = (1 - _FIRST) * _USUAL + _FIRST * row
                mean[0] = row[0] + _ABOVE
            self._count = min(self._count + 1, _MEMORY)
            mean = mean + (row - mean) / self._count
            self._top = max(self._top - _FADE, row[0])
            mean[0] = max(mean[0], self._top - _BELOW)
            normal[i] = row - mean
            self._mean = mean
        return normal

    def _normal_mel(self, mel: np.ndarray) -> np.ndarray:
        power = np.exp(mel.astype(np.float64))
        normal = np.empty_like(mel)
        for i, row in enumerate(power):
            self._peak = max(self._peak * _PEAK_FADE, row.mean())
            level = np.log(row + _FLOOR * self._peak)
            if self._mel_mean is None:
                self._mel_mean = level + _MEL_ABOVE
            self._mel_count = min(self._mel_count + 1, _MEMORY)
            self._mel_mean = self._mel_mean + (level - self._mel_mean) / self._mel_count
            normal[i] = (level - self._mel_mean) / 3
        return normal.clip(-3, 3)


@functools.cache
def _hiss() -> np.ndarray:
    """A second of noise, the same for all sound."""
    return (np.random.default_rng(0).normal(size=RATE) * _DITHER).astype(np.float32)


def _units(scores: Float[np.ndarray, "t 126"]) -> Float[np.ndarray, "t 42"]:
    """Returns log posteriors of the units, frame for frame, scaled to about -1 to 1."""
    best = _UNIT_SCALE * scores.reshape(len(scores), -1, 3).max(2)
    best -= best.max(1, keepdims=True)
    best -= np.log(np.exp(best).sum(1, keepdims=True))
    return np.maximum(best, -8) / 4 + 1
