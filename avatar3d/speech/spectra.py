"""Windows of a sound and what is read off their spectra: 100 frames a second, the same numbers for any blocks.

Frame i is centred on the time i / 100 s. Matrix products are made in groups of a fixed number of rows, because a BLAS
library may add in another order for another number of rows: frames then have the same bits in a stream and in a file.
"""

import functools

import numpy as np
from jaxtyping import Float

from avatar3d.speech.sound import RATE

FPS = 100
HOP = RATE // FPS
MELS, CEPSTRA = 40, 13
_GROUP = 16  # rows of a matrix product
_FFT = 512

_MEL_RANGE = (60.0, 7600.0)  # Hz
_MEL_FLOOR = 1e-7  # power; full scale is about 1e4: 110 dB below

# The front end of CMU Sphinx (its feat.params), whose acoustic model we use.
SPHINX_WINDOW = 410  # samples
_SPHINX_EMPHASIS, _SPHINX_BANDS, _SPHINX_RANGE, _SPHINX_LIFTER, _SPHINX_FLOOR = 0.97, 25, (130.0, 6800.0), 22, 1e-4


class Windows:
    """Cuts a stream of samples at 16 kHz into overlapping windows around each frame's centre."""

    def __init__(self, half: int):
        """Args:
        half: Samples on each side of the centre; before the sound and after its end there is silence.
        """
        self.half = half
        self._held = np.zeros(half, np.float32)
        self._read = 0
        self._frames = 0

    def push(self, block: Float[np.ndarray, " a"]) -> Float[np.ndarray, "t w"]:
        """Returns the windows that are complete with this block, `w = 2 half` samples each (a view: do not write)."""
        self._read += len(block)
        self._held = np.concatenate([self._held, np.asarray(block, np.float32)])
        return self._cut(max((self._read - self.half) // HOP + 1, self._frames))

    def flush(self) -> Float[np.ndarray, "t w"]:
        """Returns the windows of the end: ceil(samples / HOP) in all."""
        self._held = np.concatenate([self._held, np.zeros(self.half + HOP, np.float32)])
        return self._cut(max(-(-self._read // HOP), self._frames))

    def _cut(self, end: int) -> np.ndarray:
        count = end - self._frames
        width = 2 * self.half
        if count <= 0:
            return np.zeros((0, width), np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(self._held, width)[: count * HOP : HOP]
        self._held = self._held[count * HOP :]
        self._frames = end
        return windows


def grouped(rows: Float[np.ndarray, "t i"], matrix: Float[np.ndarray, "i o"]) -> Float[np.ndarray, "t o"]:
    """Returns `rows @ matrix` with bits that do not depend on the number of rows."""
    count = len(rows)
    made = np.empty((count, matrix.shape[1]), np.result_type(rows, matrix))
    block = np.zeros((_GROUP, rows.shape[1]), rows.dtype)
    for begin in range(0, count, _GROUP):
        some = rows[begin : begin + _GROUP]
        if len(some) == _GROUP:
            made[begin : begin + _GROUP] = some @ matrix
        else:
            block[: len(some)] = some
            made[begin:] = (block @ matrix)[: len(some)]
    return made


def log_mel(windows: Float[np.ndarray, "t w"]) -> Float[np.ndarray, "t 40"]:
    """Returns the natural logarithm of the power in 40 mel bands from 60 to 7600 Hz (triangles of height 1, HTK's mel
    formula), through a Hann window of 25 ms. At least log(1e-7); a full-scale sine has about 9."""
    power = _power(_middle(windows, 400) * _hann(400))
    return np.log(np.maximum(grouped(power, mel_filters()), _MEL_FLOOR)).astype(np.float32)


def cepstra(windows: Float[np.ndarray, "t w"], noise=None) -> Float[np.ndarray, "t 13"]:
    """Returns liftered mel cepstra as CMU Sphinx makes them (`-lowerf 130 -upperf 6800 -nfilt 25 -transform dct
    -lifter 22`, pre-emphasis 0.97, Hamming window of 25.6 ms, 16-bit scale), before any normalisation.

    Args:
        windows: At least 411 samples wide.
        noise: Called with the mel power (t 25) before the logarithm, returns it cleaned; None: as it is.
    """
    wide = _middle(windows, SPHINX_WINDOW + 2)  # one sample more on the left for the pre-emphasis
    emphasised = wide[:, 1:-1] - np.float32(_SPHINX_EMPHASIS) * wide[:, :-2]
    power = _power(emphasised * (_hamming(SPHINX_WINDOW) * np.float32(32768)))
    mel = grouped(power, _sphinx_filters())
    if noise is not None:
        mel = noise(mel)
    return grouped(np.log(np.maximum(mel, _SPHINX_FLOOR)).astype(np.float32), _sphinx_cosines())


def _power(windowed: Float[np.ndarray, "t w"], size: int = _FFT) -> Float[np.ndarray, "t k"]:
    spectrum = np.fft.rfft(windowed, size)
    return (spectrum.real**2 + spectrum.imag**2).astype(np.float32)


def _middle(windows: np.ndarray, width: int) -> np.ndarray:
    skipped = (windows.shape[1] - width) // 2
    return windows[:, skipped : skipped + width]


@functools.cache
def _hann(width: int) -> np.ndarray:
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(width) / width)).astype(np.float32)


@functools.cache
def _hamming(width: int) -> np.ndarray:
    return (0.54 - 0.46 * np.cos(2 * np.pi * np.arange(width) / (width - 1))).astype(np.float32)


def _to_mel(hertz):
    return 2595 * np.log10(1 + hertz / 700)


def _from_mel(mel):
    return 700 * (10 ** (mel / 2595) - 1)


def triangles(edges: Float[np.ndarray, " e"]) -> Float[np.ndarray, "k b"]:
    """Returns weights of spectrum lines (16 kHz, 512 points) in triangular bands of height 1 between edges in Hz."""
    lines = np.arange(_FFT // 2 + 1)[:, None] * RATE / _FFT
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    rise, fall = (lines - left) / (centre - left), (right - lines) / (right - centre)
    return np.maximum(0, np.minimum(rise, fall))


@functools.cache
def mel_filters() -> Float[np.ndarray, "k b"]:
    """Returns the weights of `log_mel`'s bands; `librosa.filters.mel(sr=16000, n_fft=512, n_mels=40, fmin=60,
    fmax=7600, htk=True, norm=None)` transposed."""
    low, high = _to_mel(np.array(_MEL_RANGE))
    return triangles(_from_mel(np.linspace(low, high, MELS + 2))).astype(np.float32)


@functools.cache
def _sphinx_filters() -> np.ndarray:
    """Bands of area one whose edges are rounded to spectrum lines."""
    low, high = _to_mel(np.array(_SPHINX_RANGE))
    line = RATE / _FFT
    edges = np.floor(_from_mel(np.linspace(low, high, _SPHINX_BANDS + 2)) / line + 0.5) * line
    return (triangles(edges) * 2 / (edges[2:] - edges[:-2])).astype(np.float32)


@functools.cache
def _sphinx_cosines() -> np.ndarray:
    """The orthonormal cosine transform and the lifter in one matrix."""
    order = np.arange(CEPSTRA)
    cosines = np.cos(np.pi * order * (np.arange(_SPHINX_BANDS)[:, None] + 0.5) / _SPHINX_BANDS)
    cosines *= np.sqrt(2 / _SPHINX_BANDS)
    cosines[:, 0] /= np.sqrt(2)
    return (cosines * (1 + _SPHINX_LIFTER / 2 * np.sin(order * np.pi / _SPHINX_LIFTER))).astype(np.float32)
