"""A motion from any file that holds one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from avatar3d import store
from avatar3d.core import AvatarError, Motion, first_of
from avatar3d.heads import ARKIT
from avatar3d.motions import blendjson, livelink
from avatar3d.motions.curves import Curves, to_motion

_BYTES = 2 << 30
SUFFIXES = (".csv", ".json", ".a3d")


def read(path: Path | str, fps: float | None = None, flip: str = "") -> Motion:
    """Returns the motion in a file, on the default head.

    A `.csv` is Live Link Face's, a `.json` ARKit weights in one of several layouts (docs/driving.md), an `.a3d` a track
    or an avatar with the performance it was fitted to. Expressions are all 52, in alphabetical ARKit order. Soft nodes
    are left out: they tell of the clothes and hair of whoever was tracked. A file without a root leaves the head at the
    origin.

    Args:
        path: The file.
        fps: Frames a second, overriding the file's.
        flip: Of a `.csv` that another program wrote: angles that it counts the other way than the app, such as
            `yaw,roll` (the app's yaw is positive to the person's right).

    Raises:
        AvatarError: What is wrong, with the line and column or the frame.

    Example:
        >>> from avatar3d import motions
        >>> motions.read("take.csv").fps  # doctest: +SKIP
        60.0
    """
    path = Path(path)
    if path.suffix.lower() == ".a3d":
        _flips(path, flip)
        motion = _stored(path)
        pose = motion.pose
        if motion.names != ARKIT:
            raise AvatarError(f"{path}: its expressions are not the 52 of ARKit in alphabetical order")
        return replace(motion, pose=replace(pose, soft=None), fps=fps or motion.fps)
    return to_motion(read_curves(path, fps, flip))


def read_curves(path: Path | str, fps: float | None = None, flip: str = "") -> Curves:
    """Returns what `read` does as double-precision arrays, with the head's turn relative to its torso in one piece.

    Raises:
        AvatarError: As `read`.
    """
    path = Path(path)
    if fps is not None and not 0 < fps < 1000:
        raise AvatarError(f"{path}: {fps:g} frames a second; give a rate above 0 and below 1000")
    kind = path.suffix.lower()
    if not path.is_file():
        raise AvatarError(f"{path}: no such motion file; motions are {', '.join(SUFFIXES)} files")
    if kind == ".a3d":
        motion = read(path, fps)
        joints = motion.pose.joints.double()
        weights = motion.pose.expression.double().numpy()
        turn = joints[:, :2].sum(1).numpy()  # neck and head
        return Curves(
            weights, turn, joints[:, 2:4].numpy(), motion.fps, joints.numpy(), motion.pose.root.double().numpy()
        )
    if kind not in SUFFIXES:
        raise AvatarError(f"{path}: motions are read from {', '.join(SUFFIXES)} files")
    if path.stat().st_size > _BYTES:
        raise AvatarError(f"{path}: larger than 2 GB; cut it into shorter takes")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise AvatarError(f"{path}: not a text file that can be read ({error})") from error
    flips = _flips(path, flip)
    return blendjson.parse(path, text, fps) if kind == ".json" else livelink.parse(path, text, fps, flips)


def _flips(path: Path, flip: str) -> tuple[str, ...]:
    """Returns the axes in a list such as `yaw,roll`."""
    wanted = tuple(dict.fromkeys(part.strip() for part in flip.split(",") if part.strip()))
    for axis in wanted:
        first_of(livelink.FLIPS, axis)
    if wanted and path.suffix.lower() != ".csv":
        raise AvatarError(f"{path}: angles to flip are those of .csv files")
    return wanted


def _stored(path: Path) -> Motion:
    """Returns the motion of a track or an avatar."""
    if store.kind_of(path) == "track":
        motion = store.load_track(path).motion
    else:
        held = store.load(path).motion
        if held is None:
            raise AvatarError(f"{path}: an avatar that holds no performance; give a track, .csv or .json")
        motion = held
    if not bool(torch.isfinite(motion.pose.expression).all()) or not np.isfinite(motion.fps):
        raise AvatarError(f"{path}: holds NaN or infinity; make the file again")
    return motion
