"""What a subject does: ARKit weights and turns of the head by time step, from a file or drawn at random."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from avatar3d import motions
from avatar3d.core import AvatarError
from avatar3d.heads import ARKIT

_MOST = 100_000  # time steps: an hour of a subject is more than any test needs
_HOLD = 8  # time steps from one random face to the next
_AT_ONCE = 6
"""Expressions in a random face."""
_TURN = np.radians((6.0, 10.0, 4.0))
"""Spread of random pitch, yaw and roll."""


@dataclass(frozen=True)
class Performance:
    """Weights in alphabetical ARKit order, and rotation vectors of the head."""

    weights: Float[np.ndarray, "t 52"]
    turns: Float[np.ndarray, "t 3"]
    fps: float

    def __len__(self) -> int:
        return len(self.weights)


def load(motion: str | None) -> Performance:
    """Returns a performance.

    Args:
        motion: None for one moment at rest; `random:120` or `random:120:7` for as many time steps of smooth random
            faces (with a seed); `each:6` or `each:6:7` for one expression after another, six time steps for each, in
            an order drawn by the seed; a track (.a3d); or a motion file (.csv as Live Link Face writes, .json;
            `motions`). Names are matched whatever their case and underscores; others are left out.

    Raises:
        AvatarError: The file is missing, damaged or names no ARKit expression.
    """
    if motion is None:
        return Performance(np.zeros((1, len(ARKIT))), np.zeros((1, 3)), 25.0)
    drawn = re.fullmatch(r"(random|each):(\d+)(?::(\d+))?", motion)
    if drawn:
        return (random if drawn[1] == "random" else each)(int(drawn[2]), int(drawn[3] or 0))
    path = Path(motion)
    if not path.is_file():
        raise AvatarError(f"{motion}: no such motion; give a file (.json, .csv, .a3d), random:STEPS or each:STEPS")
    curves = motions.read_curves(path)
    if len(curves) > _MOST:
        raise AvatarError(f"{path}: {len(curves)} time steps; up to {_MOST} are taken")
    return Performance(curves.weights, curves.head, curves.fps)


def random(steps: int, seed: int) -> Performance:
    """Returns smooth random faces and small turns of the head: a new possible face every few time steps."""
    if not 1 <= steps <= _MOST:
        raise AvatarError(f"random:{steps}: from 1 to {_MOST} time steps are drawn")
    rng = np.random.default_rng(seed)
    count = -(-(steps - 1) // _HOLD) + 1
    keys, turns = faces(count, rng), rng.normal(0, 1, (count, 3)).clip(-1.5, 1.5) * _TURN
    keys[0], turns[0] = 0, 0  # it begins at rest
    at = np.arange(steps) / _HOLD
    low = np.minimum(at.astype(int), max(count - 2, 0))
    part = (0.5 - 0.5 * np.cos(np.pi * (at - low)))[:, None]  # slow at each face, quick between them
    high = np.minimum(low + 1, count - 1)
    return Performance(keys[low] * (1 - part) + keys[high] * part, turns[low] * (1 - part) + turns[high] * part, 25.0)


def each(steps: int, seed: int) -> Performance:
    """Returns one expression after another, from none to full and back, with small turns of the head.

    Both sides of a face act together, eyes look the same way, and lips close on an open jaw.

    Args:
        steps: Time steps for each expression.
        seed: Of their order and of the turns.
    """
    if not 2 <= steps <= _MOST // len(ARKIT):
        raise AvatarError(f"each:{steps}: from 2 to {_MOST // len(ARKIT)} time steps are given to an expression")
    rng = np.random.default_rng(seed)
    shown = rng.permutation(_alone())
    part = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(steps) + 0.5) / steps)
    weights = (shown[:, None] * part[:, None]).reshape(-1, len(ARKIT))
    keys = rng.normal(0, 1, (len(shown) + 1, 3)).clip(-1.5, 1.5) * _TURN
    at = np.arange(len(weights)) / steps
    turns = np.stack([np.interp(at, np.arange(len(keys)), axis) for axis in keys.T], 1)
    return Performance(weights, turns, 25.0)


def _alone() -> Float[np.ndarray, "c 52"]:
    """Returns the faces of which each shows one expression; the tongue, which landmarks do not show, is left out."""
    groups: dict[str, set[str]] = {}
    for name in ARKIT:
        whole = name in ("mouthLeft", "mouthRight", "jawLeft", "jawRight")
        side = "" if whole else next((s for s in ("Left", "Right") if name.endswith(s)), "")
        stem = name.removesuffix(side)
        if stem in ("eyeLookIn", "eyeLookOut"):  # one eye's in is the other's out
            stem = "eyes left" if (stem == "eyeLookOut") == (side == "Left") else "eyes right"
        groups.setdefault(stem, set()).add(name)
    groups["mouthClose"].add("jawOpen")
    del groups["tongueOut"]
    return np.array([[float(name in group) for name in ARKIT] for group in groups.values()])


def faces(count: int, rng: np.random.Generator) -> Float[np.ndarray, "t 52"]:
    """Returns random but possible faces: six expressions at a time, no contradictions, half of them symmetric.

    Expressions are dealt from a shuffled deck, so that nine faces show nearly all of them.
    """
    at = {n: i for i, n in enumerate(ARKIT)}
    out = np.zeros((count, len(ARKIT)))
    deck = np.concatenate([rng.permutation(len(ARKIT)) for _ in range(count * _AT_ONCE // len(ARKIT) + 1)])
    for row, dealt in zip(out, deck[: count * _AT_ONCE].reshape(count, _AT_ONCE), strict=True):
        row[dealt] = rng.uniform(0.2, 1, _AT_ONCE)
        row[at["tongueOut"]] = 0  # the landmark network cannot see it
        for side in ("Left", "Right"):
            for one, other in (("eyeLookUp", "eyeLookDown"), ("eyeLookIn", "eyeLookOut"), ("eyeWide", "eyeBlink")):
                if row[at[one + side]] > 0:
                    row[at[other + side]] = 0
        if rng.random() < 0.5:
            for name in ARKIT:
                if name.endswith("Left") and name.startswith(("mouth", "brow", "eyeBlink")) and name != "mouthLeft":
                    row[at[name[:-4] + "Right"]] = row[at[name]]
        for one, other in (("jawLeft", "jawRight"), ("mouthLeft", "mouthRight")):
            if row[at[one]] > 0:
                row[at[other]] = 0
        row[at["mouthClose"]] = min(row[at["mouthClose"]], row[at["jawOpen"]])
    return out
