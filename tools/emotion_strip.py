"""Draws avatars in all emotions: at rest, and while they speak.

python -m tools.emotion_strip strip.png me.a3d
python -m tools.emotion_strip strip.png me.a3d --audio hello.wav --at 1.2 2.4    # one row for each moment of speech
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch

from avatar3d import heads, store
from avatar3d.core import Avatar, Motion, Pose
from avatar3d.drive import drive
from avatar3d.drive.retarget import rest_of
from avatar3d.drive.stream import SpeechOptions
from avatar3d.edit.acting.emotion import EmotionOptions, emoted, labels, parse
from avatar3d.perform import at_origin, front, steadied
from avatar3d.render import frames
from avatar3d.render.video import write_png

SIZE = 224


def row(avatar: Avatar, motion: Motion, frame: int, contacts: bool) -> np.ndarray:
    """Returns pictures of one frame in all emotions, side by side."""
    pictures = []
    for label in labels():
        shown = emoted(motion, parse(label), EmotionOptions(contacts=contacts)).pose[frame : frame + 1]
        pictures.append(next(iter(frames(avatar, shown, front(SIZE, 0.0, 0.0, 1.6)))))
    return np.concatenate(pictures, 1)


def captions() -> np.ndarray:
    """Returns a line with the names."""
    line = np.full((24, SIZE * len(labels()), 3), 255, np.uint8)
    for at, label in enumerate(labels()):
        cv2.putText(line, label, (at * SIZE + 8, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return line


def strip(paths: list[Path], audio: Path | None, moments: list[float]) -> np.ndarray:
    """Returns a row for each avatar at rest and, with speech, for each moment of it."""
    rows = [captions()]
    for path in paths:
        avatar = steadied(at_origin(store.load(path)))
        rest = rest_of(avatar)
        pose = Pose(rest.expression.float()[None].clone(), rest.joints.float()[None].clone(), torch.eye(4)[None])
        still = Motion(pose, 25.0, tuple(heads.load(avatar.head).expressions))
        rows.append(row(avatar, still, 0, contacts=False))
        if audio is not None:
            spoken = drive(audio, avatar, SpeechOptions(fps=30.0, life=None))
            rows += [row(avatar, spoken, min(round(t * 30), len(spoken) - 1), contacts=True) for t in moments]
    return np.concatenate(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("avatars", type=Path, nargs="+")
    parser.add_argument("--audio", type=Path)
    parser.add_argument("--at", type=float, nargs="*", default=[1.0])
    given = parser.parse_args()
    write_png(given.output, strip(given.avatars, given.audio, given.at))


if __name__ == "__main__":
    main()
