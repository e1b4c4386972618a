"""What a subject does: ARKit weights and turns of the head by time step, from a file or drawn at random."""

import csv
import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from avatar3d.core import AvatarError
from avatar3d.heads import ARKIT

_MOST = 100_000  # time steps: an hour of a subject is more than any test needs
_HOLD = 8  # time steps from one random face to the next
_AT_ONCE = 6
"""Expressions in a random face."""
_TURN = np.radians((6.0, 10.0, 4.0))
"""Spread of random pitch, yaw and roll."""
_ANGLES = ("headPitch", "headYaw", "headRoll")


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
            faces (with a seed); a track (.a3d); JSON `{"names": [...], "fps": 30, "frames": [{"weights": [...],
            "rotation": [x, y, z]}]}` (rotation vector in radians, optional); or CSV with a column for each name, as
            Live Link Face writes. Names are matched whatever their case and underscores; others are left out.

    Raises:
        AvatarError: The file is missing, damaged or names no ARKit expression.
    """
    if motion is None:
        return Performance(np.zeros((1, len(ARKIT))), np.zeros((1, 3)), 25.0)
    drawn = re.fullmatch(r"random:(\d+)(?::(\d+))?", motion)
    if drawn:
        return random(int(drawn[1]), int(drawn[2] or 0))
    path = Path(motion)
    if not path.is_file():
        raise AvatarError(f"{motion}: no such motion; give a file (.json, .csv, .a3d) or random:STEPS")
    kind = path.suffix.lower()
    if kind == ".a3d":
        found = _track(path)
    elif kind in (".json", ".csv"):
        try:
            text = path.read_text(encoding="utf-8-sig")
            found = _json(path, json.loads(text)) if kind == ".json" else _csv(path, text)
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            raise AvatarError(f"{path}: not a motion that can be read ({error}); see docs/captures.md") from error
    else:
        raise AvatarError(f"{path}: motion is read from .json, .csv and .a3d files")
    if not 1 <= len(found) <= _MOST or not (np.isfinite(found.weights).all() and np.isfinite(found.turns).all()):
        raise AvatarError(
            f"{path}: {len(found)} time steps, or values that are not finite; from 1 to {_MOST} are taken"
        )
    return found


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


def _key(name: str) -> str:
    """Returns a name without case, underscores and short sides: `eyeBlink_L` and `EyeBlinkLeft` are one."""
    for short, full in (("_L", "Left"), ("_R", "Right")):
        if name.endswith(short):
            name = name[: -len(short)] + full
    return re.sub(r"[\s_.-]", "", name).lower()


def _ordered(path: Path, names: list[str], values: np.ndarray) -> np.ndarray:
    """Returns columns in ARKit order, clipped to [0, 1]; names that are missing stay at 0."""
    columns = {_key(n): i for i, n in enumerate(names)}
    out = np.zeros((len(values), len(ARKIT)))
    known = [(i, columns[_key(n)]) for i, n in enumerate(ARKIT) if _key(n) in columns]
    if not known:
        raise AvatarError(f"{path}: names none of the 52 ARKit expressions, such as jawOpen; check its columns")
    for i, column in known:
        out[:, i] = values[:, column]
    return out.clip(0, 1)


def _json(path: Path, data: dict) -> Performance:
    names = [str(n) for n in data["names"]]
    rows = [f["weights"] if isinstance(f, dict) else f for f in data["frames"]]
    values = np.array(rows, np.float64)
    if values.shape != (len(rows), len(names)):
        raise ValueError(f"frames of shape {values.shape} for {len(names)} names")
    turns = [(f.get("rotation") or (0, 0, 0)) if isinstance(f, dict) else (0, 0, 0) for f in data["frames"]]
    return Performance(_ordered(path, names, values), np.array(turns, np.float64), float(data.get("fps", 30.0)))


def _csv(path: Path, text: str) -> Performance:
    rows = list(csv.reader(text.splitlines()))
    names = [n.strip() for n in rows[0]]
    columns = {_key(n): i for i, n in enumerate(names)}
    wanted = [i for n in (*ARKIT, *_ANGLES) if (i := columns.get(_key(n))) is not None]
    values = np.zeros((len(rows) - 1, len(names)))
    for values_row, row in zip(values, rows[1:], strict=True):
        values_row[wanted] = [float(row[i]) for i in wanted]
    angles = np.zeros((len(values), 3))
    for axis, name in enumerate(_ANGLES):  # Live Link Face gives them in radians
        if _key(name) in columns:
            angles[:, axis] = values[:, columns[_key(name)]]
    turns = Rotation.from_euler("yxz", angles[:, [1, 0, 2]]).as_rotvec() if len(angles) else angles
    return Performance(_ordered(path, names, values), turns, 60.0)


def _track(path: Path) -> Performance:
    from avatar3d.store import load_track

    motion = load_track(path).motion
    weights = _ordered(path, list(motion.names), motion.pose.expression.double().numpy())
    return Performance(weights, motion.pose.joints[:, :2].sum(1).double().numpy(), motion.fps)
