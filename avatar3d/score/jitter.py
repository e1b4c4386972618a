"""How much a sequence trembles: what is left above the frequencies of a face that means to move."""

import numpy as np
from jaxtyping import Float
from scipy.signal import butter, sosfiltfilt

_CUT = 6.0
"""Hertz. Lips in speech and lids go up to there; what is above, where the person hardly moves, is noise."""


def tremor(curves: Float[np.ndarray, "t ..."], fps: float) -> float:
    """Returns the root mean square of what is above 6 Hz, in the curves' unit.

    A Butterworth filter of fourth order, forward and backward, so that nothing is shifted in time.

    Args:
        curves: Vertex positions in millimetres, or grey levels of pixels; the first axis is time.
        fps: Frames per second, above 12.

    Raises:
        ValueError: Fewer than 16 frames, or too few a second to hold 6 Hz.
    """
    if len(curves) < 16 or fps <= 2 * _CUT:
        raise ValueError(f"{len(curves)} frames at {fps:g} a second: tremor needs 16 frames and more than 12 a second")
    high = butter(4, _CUT, "highpass", fs=fps, output="sos")
    return float(np.sqrt(np.mean(sosfiltfilt(high, curves.reshape(len(curves), -1), axis=0) ** 2)))


def stillest(points: Float[np.ndarray, "t n 3"], length: int) -> slice:
    """Returns the stretch of `length` frames over which the points move least on the whole."""
    length = min(length, len(points))
    moved = np.linalg.norm(np.diff(points.mean(1), axis=0), axis=-1)
    total = np.convolve(moved, np.ones(max(1, length - 1)), "valid")
    first = int(total.argmin())
    return slice(first, first + length)
