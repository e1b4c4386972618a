"""How well each phone explains a hundredth of a second of sound: the acoustic model of CMU PocketSphinx in numpy.

42 units (39 English phones, silence, two kinds of noise) of three states each; `UNITS` names them, column 3 k + s of
the scores is state s of unit k. The Gaussians come from the pocketsphinx wheel (tools/bake_acoustic.py; licence beside
the data), so that no model is downloaded and nothing needs to be compiled.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from safetensors import safe_open

from avatar3d.speech import spectra
from avatar3d.speech.denoise import Denoiser
from avatar3d.speech.sound import Sound, mono_blocks

AHEAD = 3
"""Frames after its own that a frame's scores need: the second differences of the cepstra."""
HALF = spectra.SPHINX_WINDOW // 2 + 1
"""Samples on each side of a frame's centre that its cepstra need."""

_FILE = Path(__file__).parent / "data" / "acoustic.safetensors"
_GROUP = 4  # frames scored at a time: the bits then do not depend on how a stream is cut


@dataclass(frozen=True)
class Model:
    """The baked tables."""

    units: tuple[str, ...]
    quadratic: tuple[Float[np.ndarray, "27 g"], ...]
    """For each of the three streams: (x^2, x, 1) times this is the log density of the 42 x 128 Gaussians."""
    weights: tuple[Float[np.ndarray, "42 128 3"], ...]
    """For each stream: mixture weights of the three states of each unit."""
    moves: Float[np.ndarray, "42 3 4"]
    """Odds of going from a state to each of the three and out of the unit."""
    pairs: Float[np.ndarray, "42 42"]
    """How often one unit follows another in English, summing to one."""


@functools.cache
def model() -> Model:
    """Returns the tables, read once a process."""
    with safe_open(str(_FILE), "numpy") as file:
        units = tuple(file.metadata()["units"].split())
        mean, log_variance = (file.get_tensor(name).astype(np.float64) for name in ("mean", "log_variance"))
        weight = file.get_tensor("log_weight").astype(np.float64)
        moves, pairs = file.get_tensor("moves"), file.get_tensor("pairs")
    inverse = np.exp(-log_variance)
    constant = -0.5 * (np.log(2 * np.pi) * mean.shape[-1] + log_variance.sum(-1) + (mean * mean * inverse).sum(-1))
    terms = np.concatenate([-0.5 * inverse, mean * inverse, constant[..., None]], -1).astype(np.float32)
    count = len(units)
    quadratic = tuple(np.ascontiguousarray(terms[:, s].reshape(count * 128, 27).T) for s in range(3))
    return Model(units, quadratic, tuple(np.exp(weight[:, s]).astype(np.float32) for s in range(3)), moves, pairs)


def scores(normal: Float[np.ndarray, "t 3 13"]) -> Float[np.ndarray, "t 126"]:
    """Returns log densities of all states for normalised cepstra and their first and second differences."""
    table = model()
    count = len(normal)
    padded = np.zeros((-(-count // _GROUP) * _GROUP, 3, 13), np.float32)
    padded[:count] = normal
    made = np.empty((len(padded), 3 * len(table.units)), np.float32)
    for begin in range(0, len(padded), _GROUP):
        total = np.zeros((len(table.units), _GROUP, 3), np.float32)
        for s in range(3):
            x = padded[begin : begin + _GROUP, s]
            terms = np.concatenate([x * x, x, np.ones((_GROUP, 1), np.float32)], 1)
            density = (terms @ table.quadratic[s]).reshape(_GROUP, len(table.units), 128).transpose(1, 0, 2)
            top = density.max(2, keepdims=True)
            mixed = np.exp(density - top) @ table.weights[s]
            total += np.log(mixed + np.float32(1e-30)) + top
        made[begin : begin + _GROUP] = total.transpose(1, 0, 2).reshape(_GROUP, -1)
    return made[:count]


def with_differences(cepstra: Float[np.ndarray, "t 13"]) -> Float[np.ndarray, "u 3 13"]:
    """Returns cepstra with their differences over 40 ms and the differences of those, for all frames but the first and
    last three."""
    at = lambda shift: cepstra[AHEAD + shift : len(cepstra) - AHEAD + shift]  # noqa: E731
    return np.stack([at(0), at(2) - at(-2), (at(3) - at(-1)) - (at(1) - at(-3))], 1)


def state_scores(sound: Sound) -> Float[np.ndarray, "t 126"]:
    """Returns log densities of all states for a whole sound, 100 frames a second, normalised by its own mean.

    For alignment, which knows the whole sound; `avatar3d.speech.listen` scores streams.
    """
    windows, denoise = spectra.Windows(HALF), Denoiser()
    parts = [spectra.cepstra(windows.push(block), denoise) for block in mono_blocks(sound)]
    cepstra = np.concatenate([*parts, spectra.cepstra(windows.flush(), denoise)])
    if not len(cepstra):
        return np.zeros((0, 3 * len(model().units)), np.float32)
    padded = np.pad(cepstra - cepstra.mean(0), ((AHEAD, AHEAD), (0, 0)), "edge")
    return scores(with_differences(padded))
