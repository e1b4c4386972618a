"""The small causal network that hears visemes: convolutions in numpy, frame by frame of a stream.

It runs at 50 steps a second on two frames at a time and answers `AHEAD` steps later. Trained by tools/train_phones.py;
data/visemes.json says on what, how well it does, and where it does not.
"""

import functools
from pathlib import Path

import numpy as np
from jaxtyping import Float
from safetensors.numpy import load_file

from avatar3d.speech.spectra import grouped

KERNEL, DILATIONS = 5, (1, 2, 4, 8, 1, 2)
AHEAD = 3
"""Steps of 20 ms that the network waits for before it answers."""

_FILE = Path(__file__).parent / "data" / "visemes.safetensors"
_FIRST = 3  # steps that the first layer sees


@functools.cache
def weights() -> dict[str, np.ndarray]:
    """Returns the tables, read once a process."""
    return {name: value.astype(np.float32) for name, value in load_file(_FILE).items()}


class Net:
    """The network's memory of a stream."""

    def __init__(self) -> None:
        self._w = weights()
        width = len(self._w["first.b"])
        self._odd = np.zeros((0, len(self._w["first.w"]) // (2 * _FIRST)), np.float32)
        self._inputs = np.zeros((_FIRST - 1, len(self._w["first.w"]) // _FIRST), np.float32)
        self._past = [np.zeros(((KERNEL - 1) * d, width), np.float32) for d in DILATIONS]

    def push(self, inputs: Float[np.ndarray, "t i"]) -> Float[np.ndarray, "u 15"]:
        """Returns log odds of the visemes for further pairs of frames: a stream's u-th is that of pair u - `AHEAD`."""
        rows = np.concatenate([self._odd, inputs])
        self._odd = rows[len(rows) // 2 * 2 :]
        pairs = rows[: len(rows) // 2 * 2].reshape(-1, self._inputs.shape[1])
        if not len(pairs):
            return np.zeros((0, len(self._w["last.b"])), np.float32)
        held = np.concatenate([self._inputs, pairs])
        self._inputs = held[len(pairs) :]
        w = self._w
        x = grouped(np.concatenate([held[i : i + len(pairs)] for i in range(_FIRST)], 1), w["first.w"]) + w["first.b"]
        for i, dilation in enumerate(DILATIONS):
            x = x + self._block(i, dilation, x)
        return grouped(np.maximum(x, 0), w["last.w"]) + w["last.b"]

    def _block(self, i: int, dilation: int, x: np.ndarray) -> np.ndarray:
        w, count = self._w, len(x)
        held = np.concatenate([self._past[i], x * w[f"{i}.scale"] + w[f"{i}.shift"]])
        self._past[i] = held[count:]
        y = np.repeat(w[f"{i}.along.b"][None], count, 0)
        for tap in range(KERNEL):
            y += held[tap * dilation : tap * dilation + count] * w[f"{i}.along.w"][tap]
        y = grouped(y, w[f"{i}.across.w"]) + w[f"{i}.across.b"]
        a, b = np.split(y, 2, 1)
        gated = np.tanh(a) / (1 + np.exp(-b.clip(-30, 30)))
        return grouped(gated.astype(np.float32), w[f"{i}.back.w"]) + w[f"{i}.back.b"]
