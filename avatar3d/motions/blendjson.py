"""ARKit weights in JSON: the layouts of BEAT, LAM and our own, of MediaPipe's results, and of plain lists."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from avatar3d.core import AvatarError
from avatar3d.motions.curves import MOST, Curves, ordered

JSON_FPS = 30.0
"""Assumed of a file that says nothing of its rate."""


def parse(path: Path, text: str, fps: float | None) -> Curves:
    """Returns the curves in a JSON file.

    Layouts: `{"names": [...], "frames": [{"weights": [...], "time": s, "rotation": [x, y, z]}]}` (frames may be plain
    lists of weights; `fps` at the top or in `metadata`); `{"frames": [{"jawOpen": 0.5, ...}]}`; MediaPipe's face
    landmarker, a list of results or `{"frames": [...]}`, each with `faceBlendshapes` or `face_blendshapes`.

    Raises:
        AvatarError: Names the frame and what is wrong in it.
    """
    try:
        data = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise AvatarError(f"{path}: not JSON that can be read ({error})") from error
    frames = data.get("frames") if isinstance(data, dict) else data
    if not isinstance(frames, list) or not 1 <= len(frames) <= MOST:
        raise AvatarError(f"{path}: no list of frames (from 1 to {MOST}); see docs/driving.md for the layouts")
    top: Mapping[str, Any] = data if isinstance(data, dict) else {}
    names, rows = _table(path, top, frames)
    weights = ordered(str(path), names, rows)
    turns = np.stack([_turn(path, i, frame) for i, frame in enumerate(frames)])
    rate = fps or _rate(path, top, frames)
    joints, root = _own(path, top, frames)
    return Curves(weights, turns, np.zeros((len(rows), 2, 3)), rate, joints, root)


def _table(path: Path, top: Mapping, frames: list) -> tuple[list[str], Float[np.ndarray, "t c"]]:
    """Returns names and weights."""
    if "names" in top:
        if not isinstance(top["names"], list):
            raise AvatarError(f"{path}: `names` is not a list")
        names = [str(n) for n in top["names"]]
        rows = [f.get("weights") if isinstance(f, dict) else f for f in frames]
        return names, np.stack([_floats(path, i, row, len(names), "weights") for i, row in enumerate(rows)])
    named = [_named(path, i, frame) for i, frame in enumerate(frames)]
    names = list(dict.fromkeys(name for frame in named for name in frame))
    out = np.zeros((len(frames), len(names)))
    at = {name: i for i, name in enumerate(names)}
    for i, frame in enumerate(named):
        for name, value in frame.items():
            out[i, at[name]] = value
    return names, out


def _named(path: Path, i: int, frame: Any) -> dict[str, float]:
    """Returns one frame's weights by name: MediaPipe's categories, or a plain object."""
    if not isinstance(frame, dict):
        raise AvatarError(f"{path}: frame {i} is a {type(frame).__name__}; without `names` frames are objects")
    found = frame.get("faceBlendshapes", frame.get("face_blendshapes", frame.get("blendshapes", frame)))
    if isinstance(found, list):  # of the first face; a frame without a face has none
        first = found[0] if found else {}
        found = first.get("categories", found) if isinstance(first, dict) else first
    if isinstance(found, dict) and isinstance(found.get("categories"), list):
        found = found["categories"]
    if isinstance(found, list):
        pairs = [(c.get("categoryName", c.get("category_name")), c.get("score")) for c in found if isinstance(c, dict)]
    else:
        pairs = [(n, v) for n, v in found.items() if isinstance(v, int | float) and n not in ("time", "timestamp")]
    out = {}
    for name, value in pairs:
        if not isinstance(name, str) or not isinstance(value, int | float) or isinstance(value, bool):
            raise AvatarError(f"{path}: frame {i}: a blendshape without name and score")
        out[name] = float(value)
    return out


def _floats(path: Path, i: int, row: Any, count: int, what: str) -> np.ndarray:
    if not isinstance(row, Sequence) or isinstance(row, str) or len(row) != count:
        size = len(row) if isinstance(row, list) else type(row).__name__
        raise AvatarError(f"{path}: frame {i}: {what} has {size} values, {count} are wanted")
    try:
        values = np.array([float(x) for x in row])
    except (TypeError, ValueError):
        raise AvatarError(f"{path}: frame {i}: {what} holds something that is not a number") from None
    if not np.isfinite(values).all():
        raise AvatarError(f"{path}: frame {i}: {what} holds NaN or infinity; give finite numbers")
    return values


def _turn(path: Path, i: int, frame: Any) -> Float[np.ndarray, "3"]:
    """Returns the rotation vector of the head in a frame."""
    if not isinstance(frame, dict):
        return np.zeros(3)
    if frame.get("rotation"):
        return _floats(path, i, frame["rotation"], 3, "rotation")
    for name in ("facialTransformationMatrixes", "facial_transformation_matrixes"):
        if frame.get(name):
            first = frame[name][0]
            flat = first.get("data") if isinstance(first, dict) else np.ravel(np.array(first, dtype=object)).tolist()
            matrix = _floats(path, i, flat, 16, name).reshape(4, 4)
            if np.abs(matrix[3, :3]).max() > np.abs(matrix[:3, 3]).max():  # stored by columns
                matrix = matrix.T
            u, s, v = np.linalg.svd(matrix[:3, :3])
            if s.min() < 1e-6 or np.linalg.det(u @ v) < 0:
                raise AvatarError(f"{path}: frame {i}: {name} is not a rotation")
            return Rotation.from_matrix(u @ v).as_rotvec()
    return np.zeros(3)


def _rate(path: Path, top: Mapping, frames: list) -> float:
    metadata = top.get("metadata")
    for source in (top, metadata if isinstance(metadata, dict) else {}):
        for name in ("fps", "frameRate", "frame_rate"):
            if name in source:
                value = source[name]
                if not isinstance(value, int | float) or not 0 < value < 1000:
                    raise AvatarError(f"{path}: {name} is {value!r}; give frames a second, above 0 and below 1000")
                return float(value)
    times = [f.get("time", f.get("timestamp")) for f in frames if isinstance(f, dict)]
    if len(times) == len(frames) > 1 and all(isinstance(x, int | float) for x in times):
        step = float(np.median(np.diff(np.array(times, np.float64))))
        if 1e-3 < step <= 1:
            return round(1 / step, 3)
    return JSON_FPS


def _own(path: Path, top: Mapping, frames: list) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Returns joints and root, which only our own files have."""
    from avatar3d.heads import load

    if not all(isinstance(f, dict) and "joints" in f for f in frames):
        return None, None
    names = load("anny").joints
    if list(top.get("joints", ())) != list(names):
        raise AvatarError(f"{path}: `joints` are not those of the default head: {', '.join(names)}")
    flat = [np.ravel(np.array(f["joints"], dtype=object)).tolist() for f in frames]
    joints = np.stack([_floats(path, i, row, 3 * len(names), "joints") for i, row in enumerate(flat)])
    root = None
    if all("root" in f for f in frames):
        root = np.stack([_floats(path, i, f["root"], 16, "root") for i, f in enumerate(frames)]).reshape(-1, 4, 4)
    return joints.reshape(-1, len(names), 3), root


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
