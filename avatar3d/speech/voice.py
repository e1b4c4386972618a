"""What the voice does: pitch, voicing, loudness, the first formant, and whether anybody speaks.

Every frame is computed from its own window, so that a stream and a file give the same bits; only `Activity` remembers.
"""

import functools
from collections import deque

import numpy as np
from jaxtyping import Bool, Float

from avatar3d.speech.sound import RATE
from avatar3d.speech.spectra import FPS

HALF = 320
"""Samples on each side of a frame that pitch needs: 20 ms."""

_LOWEST, _HIGHEST = 75.0, 500.0  # Hz
_VOICED = 0.45  # of the normalised autocorrelation, as in Praat's defaults
_OCTAVE_COST = 0.02  # of two equal peaks the higher pitch (Praat: 0.01, with a path search behind it)
_QUIET = -60.0  # dB: below there is no pitch

_BAND = 5000.0  # Hz: formants are looked for below
_ORDER = 10  # of linear prediction: two for each formant below 5 kHz
_FORMANT_RANGE = (200.0, 1100.0)  # Hz
_FORMANT_WIDTH = 500.0  # Hz: wider resonances are no formants


def intensity(windows: Float[np.ndarray, "t w"]) -> Float[np.ndarray, " t"]:
    """Returns the level of each window's middle 25 ms in dB, -100 to 0."""
    skipped = (windows.shape[1] - 400) // 2
    middle = windows[:, skipped : skipped + 400]
    power = (middle * middle).sum(1) / 400
    return np.maximum(10 * np.log10(np.maximum(power, 1e-10)), -100).astype(np.float32)


def pitch(windows: Float[np.ndarray, "t 640"]) -> tuple[Float[np.ndarray, " t"], Float[np.ndarray, " t"]]:
    """Returns pitch in Hz (0 where unvoiced) and voicing in [0, 1].

    The autocorrelation of the Hann-windowed sound divided by that of the window (Boersma 1993), without his path
    search, which would have to know the future.
    """
    if not len(windows):
        return np.zeros(0, np.float32), np.zeros(0, np.float32)
    centred = (windows - windows.mean(1, keepdims=True)) * _window()
    spectrum = np.fft.rfft(centred, 2048)
    correlation = np.fft.irfft(spectrum.real**2 + spectrum.imag**2)[:, : _lags()[1] + 2]
    zero = correlation[:, :1]
    r = correlation / np.maximum(zero, 1e-12) / _window_correlation()
    low, high = _lags()
    left, middle, right = r[:, low - 1 : high], r[:, low : high + 1], r[:, low + 1 : high + 2]
    bend = np.maximum(2 * middle - left - right, 1e-9)
    peak = (middle >= left) & (middle >= right)
    # The top of the parabola through three lags: with whole lags, twice a short period would win.
    top = np.where(peak, middle + (right - left) ** 2 / (8 * bend), -1)
    cost = _OCTAVE_COST * np.log2(_LOWEST * np.arange(low, high + 1) / RATE)
    strength = top - cost
    best = strength.argmax(1)
    row = np.arange(len(r))
    shift = (0.5 * (right - left) / bend)[row, best]
    middle = top[row, best]
    voicing = np.clip(middle, 0, 1)
    voicing = np.where(intensity(windows) > _QUIET, voicing, 0)
    f0 = np.where(voicing > _VOICED, RATE / (best + low + np.clip(shift, -0.5, 0.5)), 0)
    return f0.astype(np.float32), voicing.astype(np.float32)


def first_formant(windows: Float[np.ndarray, "t w"], voiced: Bool[np.ndarray, " t"]) -> Float[np.ndarray, " t"]:
    """Returns the lowest resonance of the voiced windows in Hz, 0 for the others.

    Linear prediction of the spectrum below 5 kHz (selective linear prediction, Makhoul 1975): its autocorrelation is
    the inverse transform of that part of the power spectrum.
    """
    found = np.zeros(len(windows), np.float32)
    chosen = np.flatnonzero(voiced)
    if not len(chosen):
        return found
    skipped = (windows.shape[1] - 512) // 2
    middle = windows[chosen, skipped : skipped + 512]
    emphasised = np.diff(middle, axis=1, prepend=middle[:, :1])
    spectrum = np.fft.rfft(emphasised * np.hanning(512).astype(np.float32), 512)
    lines = round(_BAND / RATE * 512)
    power = spectrum.real[:, : lines + 1] ** 2 + spectrum.imag[:, : lines + 1] ** 2
    r = np.fft.irfft(power)[:, : _ORDER + 1]
    r[:, 0] = r[:, 0] * 1.0001 + 1e-12  # keeps the recursion stable
    companion = np.zeros((len(r), _ORDER, _ORDER))
    companion[:, 0] = -_levinson(r)
    companion[:, np.arange(1, _ORDER), np.arange(_ORDER - 1)] = 1
    roots = np.linalg.eigvals(companion)
    rate = 2 * lines * RATE / 512
    hertz = np.angle(roots) * rate / (2 * np.pi)
    width = -np.log(np.maximum(np.abs(roots), 1e-6)) * rate / np.pi
    inside = (hertz > _FORMANT_RANGE[0]) & (hertz < _FORMANT_RANGE[1])
    lowest = np.where(inside & (width < _FORMANT_WIDTH), hertz, np.inf).min(1)
    narrowest = np.take_along_axis(hertz, np.where(inside, width, np.inf).argmin(1)[:, None], 1)[:, 0]
    found[chosen] = np.where(np.isfinite(lowest), lowest, np.where(inside.any(1), narrowest, 0))
    return found


def _levinson(r: Float[np.ndarray, "t k"]) -> Float[np.ndarray, "t o"]:
    """Returns the prediction coefficients a_1..a_o of autocorrelations r_0..r_o (Levinson's recursion)."""
    a = np.zeros_like(r)
    a[:, 0] = 1
    error = r[:, 0].copy()
    for i in range(1, r.shape[1]):
        k = -(a[:, :i] * r[:, i:0:-1]).sum(1) / error
        a[:, 1 : i + 1] += k[:, None] * a[:, i - 1 :: -1][:, :i]
        error *= 1 - k * k
    return a[:, 1:]


class Activity:
    """Whether somebody speaks: the level in the speech bands above a floor that is learnt as the sound goes on.

    The floor is the lowest smoothed level of the last seconds; periodic sound counts more than noise. Speech lights up
    within a frame and dies away over 150 ms, so that the closures of stops do not count as pauses.
    """

    _MEMORY = 4 * FPS  # frames over which the floor is the minimum
    _MARGIN, _SLOPE = 12.0, 3.0  # dB above the floor for one half, and its width
    _FLOOR = -75.0  # dB: silence is not less

    def __init__(self) -> None:
        self._smooth = -100.0
        self._lowest: deque[tuple[int, float]] = deque()
        self._held = 0.0
        self._at = 0

    def push(
        self, level: Float[np.ndarray, " t"], voicing: Float[np.ndarray, " t"], mel: Float[np.ndarray, "t 40"]
    ) -> Float[np.ndarray, " t"]:
        """Returns the activity of further frames, in [0, 1]."""
        made = np.zeros(len(level), np.float32)
        # Speech bands against the whole: rumble and hiss raise the level, but not these.
        speech = np.log(np.exp(mel[:, 3:30].astype(np.float64)).mean(1) + 1e-7) * (10 / np.log(10)) - 40
        for i in range(len(level)):
            now = max(min(float(speech[i]), float(level[i]) + 10), -100.0)
            self._smooth = now if self._at == 0 else self._smooth + 0.2 * (now - self._smooth)
            floor = max(self._remember(self._smooth), self._FLOOR)
            above = now - floor - self._MARGIN + 8 * (float(voicing[i]) - 0.5)
            sure = 1 / (1 + np.exp(-np.clip(above / self._SLOPE, -30, 30)))
            self._held = max(sure, self._held - 1 / (0.15 * FPS) * max(self._held, 0.3))
            made[i] = self._held
        return made

    def _remember(self, level: float) -> float:
        while self._lowest and self._lowest[-1][1] >= level:
            self._lowest.pop()
        self._lowest.append((self._at, level))
        if self._lowest[0][0] <= self._at - self._MEMORY:
            self._lowest.popleft()
        self._at += 1
        return self._lowest[0][1]


@functools.cache
def _window() -> np.ndarray:
    return np.hanning(2 * HALF).astype(np.float32)


@functools.cache
def _lags() -> tuple[int, int]:
    return round(RATE / _HIGHEST), round(RATE / _LOWEST)


@functools.cache
def _window_correlation() -> np.ndarray:
    window = np.hanning(2 * HALF)
    full = np.correlate(window, window, "full")[2 * HALF - 1 :]
    return full[: _lags()[1] + 2] / full[0]
