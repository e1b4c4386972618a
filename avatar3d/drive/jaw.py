"""How far the jaw opens, told by the sound alone: a small network over a quarter of a second of mel bands.

Trained by `tools/train_jaw.py` on speech paired with captured jaw curves (`data/jaw.json` is its card). It knows no
phones and no language; loudness is taken relative to the speaker's own, so that the distance to the microphone does
not matter.
"""

import functools
from pathlib import Path

import numpy as np
from jaxtyping import Float
from safetensors.numpy import load_file

TAPS = tuple(range(-20, 9, 2))
"""Frames at 100 a second, relative to its own, that the network sees."""
BANDS = 40
_FLOOR = 9.0
"""Nats below the speaker's peak where a band counts as silent."""
_FADE = 0.0046
"""Nats a frame by which the peak is forgotten: 2 dB a second."""
_FIRST, _LOWEST = 2.0, -4.0
"""Peak before anything was heard, and the lowest: a whisper far away is not made into a shout."""
_GROUP = 8
"""Rows of one matrix product: of a fixed size, so that the bits do not depend on how a stream is cut."""
_FILE = Path(__file__).parent / "data" / "jaw.safetensors"

QUIET = np.float32(-_FLOOR / 6)
"""A silent band, as `Level` gives it."""


class Level:
    """Brings the mel bands of a stream to the speaker's own loudness."""

    def __init__(self) -> None:
        self._peak = _FIRST

    def push(self, mel: Float[np.ndarray, "t 40"]) -> Float[np.ndarray, "t 40"]:
        """Returns bands from about -1.5 (silence) to 1.5 (the loudest)."""
        peaks = np.empty((len(mel), 1), np.float32)
        for i, level in enumerate(mel.max(1).tolist()):
            self._peak = max(self._peak - _FADE, level, _LOWEST)
            peaks[i] = self._peak
        return ((np.logaddexp(mel - peaks, np.float32(-_FLOOR)) + _FLOOR / 2) / 3).astype(np.float32)


def windows(bands: Float[np.ndarray, "t 40"], first: int, count: int, last_tap: int) -> Float[np.ndarray, "c i"]:
    """Returns what the network sees of `count` frames from `first` on; taps after `last_tap` repeat that one."""
    taps = np.minimum(np.array(TAPS), last_tap)
    return bands[np.arange(first, first + count)[:, None] + taps].reshape(count, -1)


def opening(seen: Float[np.ndarray, "t i"]) -> Float[np.ndarray, " t"]:
    """Returns ARKit's jawOpen, 0 to about .4, of each row of `windows`."""
    layers = _layers()
    made = np.empty(len(seen), np.float32)
    for begin in range(0, len(seen), _GROUP):
        x = np.zeros((_GROUP, seen.shape[1]), np.float32)
        part = seen[begin : begin + _GROUP]
        x[: len(part)] = part
        for k, (weight, bias) in enumerate(layers):
            x = x @ weight + bias
            if k + 1 < len(layers):
                x = np.maximum(x, 0)
        made[begin : begin + _GROUP] = x[: len(part), 0]
    return np.clip(made, 0.0, 1.0).astype(np.float64)


@functools.cache
def _layers() -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    found = load_file(_FILE)
    return tuple((found[f"weight{k}"], found[f"bias{k}"]) for k in range(len(found) // 2))
