"""Live Link Face's CSV: a header, then a time code, a count, 52 weights and 9 angles in each row."""

import csv
import io
import logging
import re
from pathlib import Path

import numpy as np
from jaxtyping import Float

from avatar3d.core import AvatarError
from avatar3d.heads import ARKIT
from avatar3d.motions.curves import (
    MOST,
    Curves,
    angles_to_rotvec,
    even,
    gaze,
    key,
    ordered,
    rotvec_to_angles,
)

_log = logging.getLogger(__name__)

APP_FPS = 60.0
"""What the app records at, and what is assumed of a file whose times do not tell."""
_NOMINAL = (24, 25, 30, 48, 50, 60, 90, 100, 120, 240)  # rates that time codes count in
_AGAINST = -0.5  # correlation; the app's own files have 0.9 and more
_COMMON = (24000 / 1001, 24, 25, 30000 / 1001, 30, 48, 50, 60000 / 1001, 60, 90, 100, 120)
_TIME = re.compile(r"(\d+):(\d+):(\d+)[:;](\d+(?:\.\d*)?)$")
_ANGLES = tuple(f"{part}{axis}" for part in ("Head", "LeftEye", "RightEye") for axis in ("Yaw", "Pitch", "Roll"))

_EYE = ("eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp", "eyeSquint", "eyeWide")
_JAW = ("jawForward", "jawRight", "jawLeft", "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker", "mouthRight")
_LIPS = ("mouthLeft", "mouthSmile", "mouthFrown", "mouthDimple", "mouthStretch", "mouthRollLower", "mouthRollUpper")
_MORE = ("mouthShrugLower", "mouthShrugUpper", "mouthPress", "mouthLowerDown", "mouthUpperUp", "browDown")
_REST = ("browInnerUp", "browOuterUp", "cheekPuff", "cheekSquint", "noseSneer", "tongueOut")
NAMES: tuple[str, ...] = tuple(
    [f"{name}{side}" for side in ("Left", "Right") for name in _EYE]
    + [
        full
        for name in (*_JAW, *_LIPS, *_MORE, *_REST)
        for full in ((name,) if name in ARKIT else (f"{name}Left", f"{name}Right"))
    ]
)
"""ARKit's names in the order of the app's columns."""
HEADER = ",".join(("Timecode", "BlendShapeCount", *(n[0].upper() + n[1:] for n in NAMES), *_ANGLES))
FLIPS = ("yaw", "pitch", "roll")
_COUNT = len(NAMES) + len(_ANGLES)


def parse(path: Path, text: str, fps: float | None, flip: tuple[str, ...] = ()) -> Curves:
    """Returns the curves in a CSV; columns are found by name, whatever their order, case and underscores.

    Args:
        path: The file, for messages.
        text: Its contents.
        fps: Frames a second, overriding what the time codes say.
        flip: Which of `FLIPS` the file counts the other way than the app does.

    Raises:
        AvatarError: Names the line and column that is wrong.
    """
    rows = list(csv.reader(io.StringIO(text)))
    while rows and not any(cell.strip() for cell in rows[-1]):
        rows.pop()
    if not rows:
        raise AvatarError(f"{path}: the file is empty; a motion CSV begins with a line of column names")
    names, rows = [cell.strip() for cell in rows[0]], rows[1:]
    if not 1 <= len(rows) <= MOST:
        raise AvatarError(f"{path}: {len(rows)} frames; a motion has from 1 to {MOST}")
    columns = {key(name): i for i, name in enumerate(names)}
    wanted = [i for n in (*ARKIT, *_ANGLES) if (i := columns.get(key(n))) is not None]
    ordered(str(path), names, np.zeros((0, len(names))))  # said before the numbers are read
    lost = _without_face(names, rows)
    values = np.zeros((len(rows), len(names)))
    values[:, wanted] = _numbers(path, names, rows, wanted, lost)
    if lost.all():
        raise AvatarError(f"{path}: no face in any of {len(rows)} frames (BlendShapeCount is 0 throughout)")
    if lost.any():
        _log.warning("%s: no face in %d of %d frames; they are bridged", path, lost.sum(), len(rows))
        seen = np.flatnonzero(~lost)
        for column in wanted:
            values[:, column] = np.interp(np.arange(len(rows)), seen, values[seen, column])
    weights = ordered(str(path), names, values)
    angles = np.zeros((len(rows), 3, 3))
    for i, name in enumerate(_ANGLES):
        if key(name) in columns:
            angles[:, i // 3, i % 3] = values[:, columns[key(name)]]
    if np.abs(angles).max() > np.pi:
        _log.warning("%s: its angles go to %.0f: taken as degrees", path, np.abs(angles).max())
        angles = np.radians(angles)
    angles[..., [FLIPS.index(axis) for axis in flip]] *= -1
    _doubt(str(path), weights, angles)
    turns = angles_to_rotvec(angles)
    rate, times = _rate(names, rows, fps)
    curves = Curves(weights, turns[:, 0], _eyes(weights, turns[:, 1:]), rate)
    return curves if times is None else even(curves, times)


def row(frame: int, fps: float, weights: Float[np.ndarray, "52"], angles: Float[np.ndarray, "3 3"]) -> str:
    """Returns one line of a CSV; see `angles_of`."""
    at = {name: i for i, name in enumerate(ARKIT)}
    numbers = [*(weights[at[name]] for name in NAMES), *angles.reshape(-1)]
    return ",".join((timecode(frame, fps), str(_COUNT), *(f"{x:.10f}" for x in numbers)))


def angles_of(curves: Curves) -> Float[np.ndarray, "t 3 3"]:
    """Returns (yaw, pitch, roll) of head, left and right eye; the eyes' whole turn, what the weights say included."""
    turns = np.concatenate([curves.head[:, None], curves.eyes + gaze(curves.weights)], 1)
    return rotvec_to_angles(turns)


def timecode(frame: int, fps: float) -> str:
    """Returns HH:MM:SS:FF.sub of a frame.

    >>> timecode(90, 60.0)
    '00:00:01:30.000'
    """
    nominal = next((n for n in _NOMINAL if n >= fps - 0.01), _NOMINAL[-1])
    second, part = divmod(frame / fps + 1e-9, 1.0)
    minute, second = divmod(int(second), 60)
    thousandths = int(part * nominal * 1000 + 1e-3)
    return f"{minute // 60:02d}:{minute % 60:02d}:{second:02d}:{thousandths // 1000:02d}.{thousandths % 1000:03d}"


def _without_face(names: list[str], rows: list[list[str]]) -> np.ndarray:
    """Returns the rows in which the app lost the face: a count of 0, with weights missing or not."""
    column = next((i for i, name in enumerate(names) if key(name) == "blendshapecount"), None)
    if column is None:
        return np.zeros(len(rows), bool)
    return np.array([len(row) > column and row[column].strip() == "0" for row in rows])


def _numbers(
    path: Path, names: list[str], rows: list[list[str]], wanted: list[int], skipped: np.ndarray
) -> Float[np.ndarray, "t c"]:
    out = np.zeros((len(rows), len(wanted)))
    for i, row in enumerate(rows):
        if skipped[i]:
            continue
        if len(row) != len(names):
            raise AvatarError(f"{path}: line {i + 2} has {len(row)} columns, the header names {len(names)}")
        try:
            out[i] = [float(row[c]) for c in wanted]
        except ValueError:
            column = next(c for c in wanted if not _is_number(row[c]))
            raise AvatarError(
                f"{path}: line {i + 2}, column {names[column]}: '{row[column][:30]}' is not a number"
            ) from None
    bad = np.argwhere(~np.isfinite(out))
    if len(bad):
        line, column = int(bad[0, 0]) + 2, names[wanted[int(bad[0, 1])]]
        raise AvatarError(f"{path}: line {line}, column {column}: NaN or infinity; give finite numbers")
    return out


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _doubt(where: str, weights: np.ndarray, angles: Float[np.ndarray, "t 3 3"]) -> None:
    """Warns where the eyes' angles turn against their weights: then the head's may be of another sign, too."""
    said = rotvec_to_angles(gaze(weights))
    for axis in (0, 1):
        told, shown = angles[:, 1:, axis], said[..., axis]
        size = float(np.sqrt((told**2).sum() * (shown**2).sum()))
        if size > 1e-3 and float((told * shown).sum()) < _AGAINST * size:
            _log.warning(
                "%s: %s of the eyes goes against their weights, so another program than the app wrote it; if the head "
                "turns the wrong way, flip %s", where, FLIPS[axis], "yaw and roll" if axis == 0 else "pitch",
            )  # fmt: skip


def _eyes(weights: np.ndarray, turns: Float[np.ndarray, "t 2 3"]) -> Float[np.ndarray, "t 2 3"]:
    """Returns what the angles add to the weights' gaze; nothing where tools disagree with the app about signs."""
    said = gaze(weights)
    if not np.abs(turns).max() > 0 or ((said * turns).sum() <= 0 and np.abs(said).max() > 1e-6):
        return np.zeros_like(turns)
    return turns - said


def _rate(names: list[str], rows: list[list[str]], fps: float | None) -> tuple[float, np.ndarray | None]:
    """Returns frames a second and each frame's time in seconds, or None where there is no usable time code."""
    if fps is not None:
        return fps, None
    column = next((i for i, name in enumerate(names) if key(name) == "timecode"), None)
    cells = [] if column is None else [row[column] if len(row) > column else "" for row in rows]
    found = [_TIME.match(cell.strip()) for cell in cells]
    if len(found) < 2 or not all(found):
        return APP_FPS, None
    parts = np.array([[float(x) for x in m.groups()] for m in found if m])
    if len(np.unique(parts[:, 2])) < 2:
        return APP_FPS, None  # less than a second: nothing says how many frames make one
    nominal = next((n for n in _NOMINAL if n > parts[:, 3].max()), _NOMINAL[-1])
    times = parts[:, 0] * 3600 + parts[:, 1] * 60 + parts[:, 2] + parts[:, 3] / nominal
    times = np.unwrap(times, period=86400.0)  # past midnight
    step = float(np.median(np.diff(times)))
    if not step > 1e-4 or (np.diff(times) <= 0).any():
        return APP_FPS, None
    frames = np.round((times - times[0]) / step)
    rate = frames[-1] / (times[-1] - times[0])
    near = min(_COMMON, key=lambda common: abs(common / rate - 1))
    if abs(near / rate - 1) * frames[-1] < 0.5:  # of a frame over the whole file: nobody could tell
        rate = near
    return float(rate), times
