"""Learns to read rotation and expression off the landmark network's output: `python -m tools.learn_reading`.

Takes portraits of the default head (see `tools.portraits`), runs the network on them, and adds two linear maps to
`avatar3d/heads/data/landmarks.safetensors`; see `avatar3d.track.reading`. Run it after `tools.calibrate_landmarks`.
Five to ten minutes on two cores; `--portraits FILE` keeps or reuses what the network saw.
"""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save
from scipy.spatial.transform import Rotation

from avatar3d.heads import ARKIT
from avatar3d.store import replacing
from avatar3d.track.embedding import load
from avatar3d.track.reading import Reader, angles, features
from tools.calibrate_landmarks import OUTPUT
from tools.portraits import Seen, seen

_PART = 3000
"""Portraits of one seed, so that any number of processes takes the same ones."""
_MODES = 300
"""Principal components of the landmarks' shape that are read; more gain nothing on people left out."""
_RIDGE = 0.03
_NOISE = 3e-4
"""Metres added to each component's deviation: smaller ones are the network's numerical noise."""
_TURN = 20.0
"""Of the rotation vector among the answers, so that a degree weighs about as much as a weight of a third."""
_LEAST = 1e-3
"""Added to the deviations of what is read: tongueOut never is."""
_SCALE = np.array([4.0] * 52 + [3.0] * 8)
"""Of coefficients and angles, to the spread of the components."""


def learn(data: Seen) -> Reader:
    """Returns the maps: `between` from portraits as they are, `within` from what identity does not explain of them."""
    embedding = load()
    blank = np.zeros((data.points.shape[1], 3))
    x, rough = features(embedding, data.points, data.coefficients, 1 / data.focal, blank)
    answers = np.concatenate(
        [_TURN * Rotation.from_matrix(rough.swapaxes(1, 2) @ data.rotation).as_rotvec(), data.weights], 1
    )
    count = 3 * len(blank)
    mean = x[:, :count].mean(0)
    x[:, :count] -= mean
    _, _, modes = np.linalg.svd(x[:, :count], full_matrices=False)
    modes = modes[:_MODES].T / ((x[:, :count] @ modes[:_MODES].T).std(0) + _NOISE)
    shown = np.concatenate([x[:, :count] @ modes, x[:, count:] * _SCALE], 1)
    both = np.concatenate([shown, answers], 1)
    turn = angles(data.rotation)
    causes = np.concatenate(
        [data.identity, data.weights, turn, turn**2, turn[:, :1] * turn[:, 1:2], np.ones((len(turn), 1))], 1
    )
    effect = np.linalg.solve(causes.T @ causes + 3 * np.eye(causes.shape[1]), causes.T @ both)
    personal = data.identity @ effect[: data.identity.shape[1]]
    split = shown.shape[1]
    between, offset = _ridge(shown, answers)
    within, _ = _ridge((both - personal)[:, :split], (both - personal)[:, split:])

    def raw(m: np.ndarray) -> np.ndarray:
        """Returns a map from features instead of components, its rotation in radians."""
        out = np.concatenate([modes @ m[:_MODES], m[_MODES:] * _SCALE[:, None]])
        return out / np.array([_TURN] * 3 + [1.0] * 52)

    unit = np.array([_TURN] * 3 + [1.0] * 52)
    read = (shown @ between + offset) / unit
    usual = np.stack([read.mean(0), read.std(0) + _LEAST])
    return Reader(mean.reshape(-1, 3), raw(between), offset / unit, raw(within), usual)


def _ridge(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns map and offset that predict y from x."""
    x0, y0 = x.mean(0), y.mean(0)
    a = (x - x0).T @ (x - x0) + _RIDGE * len(x) * np.eye(x.shape[1])
    m = np.linalg.solve(a, (x - x0).T @ (y - y0))
    return m, y0 - x0 @ m


def _gathered(parts: int) -> Seen:
    with ProcessPoolExecutor(2) as pool:
        found = list(pool.map(_part, range(parts)))
    return Seen(*(np.concatenate([getattr(part, f.name) for part in found]) for f in fields(Seen)))


def _part(seed: int) -> Seen:
    torch.set_num_threads(1)
    return seen(_PART, seed + 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT, help="file of tools.calibrate_landmarks")
    parser.add_argument("--count", type=int, default=6000)
    parser.add_argument("--portraits", type=Path, help="npz file that is read, or written if it is not there")
    options = parser.parse_args()
    torch.set_num_threads(1)
    kept = options.portraits
    if kept and kept.is_file():
        with np.load(kept) as file:
            data = Seen(**dict(file))
    else:
        data = _gathered(options.count // _PART)
        if kept:
            np.savez(kept, **vars(data))
    reader = learn(data)
    with safe_open(str(options.output), "numpy") as file:
        tensors, about = {n: file.get_tensor(n) for n in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    tensors |= {
        "reading_mean": reader.mean.astype(np.float32),
        "reading_between": reader.between.astype(np.float16),
        "reading_offset": reader.offset.astype(np.float32),
        "reading_within": reader.within.astype(np.float16),
        "reading_usual": reader.usual.astype(np.float32),
    }
    said = json.loads(about.get("about", "{}"))
    said["reading"] = f"tools/learn_reading.py, {len(data.points)} renders of the head"
    with replacing(options.output) as temporary:
        temporary.write_bytes(save(tensors, about | {"about": json.dumps(said)}))
    print(f"{options.output}: read from {len(data.points)} portraits, weights of {', '.join(ARKIT[:2])}, ...")


if __name__ == "__main__":
    main()
