"""Motion files for other tools, written piece by piece: a long motion never has to be whole in memory."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from avatar3d.core import AvatarError, Motion
from avatar3d.files import replacing
from avatar3d.heads import ARKIT, load
from avatar3d.motions import livelink
from avatar3d.motions.curves import to_curves

SUFFIXES = (".csv", ".json")


class MotionWriter:
    """Takes a motion in pieces. Use `MotionWriter.open(path, fps)` as a context."""

    def __init__(self, file: IO[str], kind: str, fps: float) -> None:
        self._file, self._kind, self._fps = file, kind, fps
        self.frames = 0

    @staticmethod
    @contextlib.contextmanager
    def open(path: Path | str, fps: float) -> "Iterator[MotionWriter]":
        """Gives a writer; the file appears at `path` when the block succeeds.

        Args:
            path: `.csv` for Live Link Face's columns, `.json` for names and frames (with joints and root).
            fps: Frames a second.

        Raises:
            AvatarError: Another suffix or rate, a folder that cannot be written, or no frames.
        """
        path = Path(path)
        kind = path.suffix.lower()
        if kind not in SUFFIXES:
            raise AvatarError(f"{path}: motions are written as {' or '.join(SUFFIXES)}")
        if not 0 < fps < 1000:
            raise AvatarError(f"{path}: {fps:g} frames a second; give a rate above 0 and below 1000")
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            writer = MotionWriter(file, kind, fps)
            writer._begin()
            yield writer
            if writer.frames == 0:
                raise AvatarError(f"{path}: a motion without frames is not written")
            if kind == ".json":
                file.write("\n]}\n")

    def add(self, motion: Motion) -> None:
        """Appends the frames of a motion at this writer's rate.

        Raises:
            AvatarError: Another rate, or joints that are not the default head's.
        """
        if abs(motion.fps - self._fps) > 1e-6 * self._fps:
            raise AvatarError(f"motion: {motion.fps:g} frames a second in a file of {self._fps:g}; resample it first")
        curves = to_curves(motion)
        if self._kind == ".csv":
            angles = livelink.angles_of(curves)
            rows = zip(curves.weights, angles, strict=True)
            lines = [livelink.row(self.frames + i, self._fps, w, a) for i, (w, a) in enumerate(rows)]
            self._file.write("".join(f"{line}\n" for line in lines))
        else:
            assert curves.joints is not None and curves.root is not None
            frames = zip(curves.weights, curves.head, curves.joints, curves.root, strict=True)
            for i, (weights, turn, joints, root) in enumerate(frames):
                at = self.frames + i
                parts = {
                    "time": f"{at / self._fps:.6f}",
                    "weights": _list(weights),
                    "rotation": _list(turn),
                    "joints": f"[{','.join(_list(j) for j in joints)}]",
                    "root": _list(root.reshape(-1)),
                }
                text = ",".join(f'"{name}":{value}' for name, value in parts.items())
                self._file.write(f"{',' if at else ''}\n{{{text}}}")
        self.frames += len(motion)

    def _begin(self) -> None:
        if self._kind == ".csv":
            self._file.write(livelink.HEADER + "\n")
            return
        head = {
            "names": list(ARKIT),
            "fps": self._fps,
            "metadata": {"fps": self._fps, "made_with": "avatar3d"},
            "joints": list(load("anny").joints),
        }
        self._file.write(json.dumps(head)[:-1] + ', "frames": [')


def write(motion: Motion, path: Path | str) -> None:
    """Writes a motion for other tools: Live Link Face's CSV, or JSON with ARKit names.

    CSV keeps weights, the head's turn (the torso's included) and the eyes' turns; JSON keeps everything but soft nodes.

    Raises:
        AvatarError: As `MotionWriter.open` and `add`.
    """
    with MotionWriter.open(path, motion.fps) as writer:
        writer.add(motion)


def _list(values: np.ndarray) -> str:
    """Returns a JSON list; nine digits keep every float32."""
    return f"[{','.join(f'{x:.9g}' for x in values)}]"
