"""Noise taken out of mel bands while they stream in.

The method of CMU Sphinx's `-remove_noise` (Kim and Stern, "Power-normalized cepstral coefficients", 2012): the lower
envelope of each band's smoothed power is its noise; what lies above it is kept, what follows a peak is masked, and the
gain is smoothed over neighbouring bands. The acoustic model was trained on features treated in this way.
"""

import numpy as np
from jaxtyping import Float

_SMOOTH = 0.7  # of the power, from frame to frame
_RISE, _FALL = 0.999, 0.5  # of the lower envelope; Sphinx has 0.995, which takes long vowels for noise
_MASK, _MASKED = 0.85, 0.2  # how slowly a peak is forgotten; what is left of the masked, of that peak
_GAIN = 20.0  # limits of the gain and of the first guess at the noise
_BANDS = 4  # neighbours on each side that share a gain


class Denoiser:
    """Cleans mel power frame by frame."""

    def __init__(self) -> None:
        self._power: np.ndarray | None = None
        self._noise = self._floor = self._peak = np.zeros(0)

    def __call__(self, mel: Float[np.ndarray, "t b"]) -> Float[np.ndarray, "t b"]:
        """Returns further frames without the noise. Powers are on the scale of 16-bit samples."""
        cleaned = np.empty_like(mel)
        for i in range(len(mel)):
            cleaned[i] = self._frame(mel[i].astype(np.float64))
        return cleaned

    def _frame(self, mel: np.ndarray) -> np.ndarray:
        if self._power is None:
            self._power = mel
            self._noise, self._floor, self._peak = mel / _GAIN, mel / _GAIN, np.zeros_like(mel)
        self._power = _SMOOTH * self._power + (1 - _SMOOTH) * mel
        self._noise = _lower(self._noise, self._power)
        signal = np.maximum(self._power - self._noise, 1.0)
        self._floor = _lower(self._floor, signal)
        faded = self._peak * _MASK
        self._peak = np.maximum(faded, signal)
        signal = np.where(signal < _MASK * faded, faded * _MASKED, signal)
        gain = np.clip(np.maximum(signal, self._floor) / np.maximum(self._power, 1e-9), 1 / _GAIN, _GAIN)
        sums = np.concatenate([[0.0], np.cumsum(gain)])
        low = np.maximum(np.arange(len(gain)) - _BANDS, 0)
        high = np.minimum(np.arange(len(gain)) + _BANDS + 1, len(gain))
        return mel * (sums[high] - sums[low]) / (high - low)


def _lower(envelope: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Returns the envelope below values: it rises slowly and falls quickly."""
    rate = np.where(values >= envelope, _RISE, _FALL)
    return rate * envelope + (1 - rate) * values
