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
from avatar3d.perform import at_origin, front
from avatar3d.render import frames
from avatar3d.render.video import write_png

SIZE = 224


def pictures(avatar: Avatar, motion: Motion, frame: int, contacts: bool) -> list[np.ndarray]:
    """Returns pictures of one frame in all emotions, each under its name."""
    found = []
    for label in labels():
        shown = emoted(motion, parse(label), EmotionOptions(contacts=contacts)).pose[frame : frame + 1]
        picture = next(iter(frames(avatar, shown, front(SIZE, 0.0, 0.0, 1.6))))
        line = np.full((24, SIZE, 3), 255, np.uint8)
        cv2.putText(line, label, (8, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
        found.append(np.concatenate([line, picture]))
    return found


def strip(paths: list[Path], audio: Path | None, moments: list[float], columns: int) -> np.ndarray:
    """Returns each avatar at rest and, with speech, in each moment of it, in all emotions."""
    found = []
    for path in paths:
        avatar = at_origin(store.load(path))
        rest = rest_of(avatar)
        pose = Pose(rest.expression.float()[None].clone(), rest.joints.float()[None].clone(), torch.eye(4)[None])
        still = Motion(pose, 25.0, tuple(heads.load(avatar.head).expressions))
        groups = [pictures(avatar, still, 0, contacts=False)]
        if audio is not None:
            spoken = drive(audio, avatar, SpeechOptions(fps=30.0, life=None))
            groups += [pictures(avatar, spoken, min(round(t * 30), len(spoken) - 1), contacts=True) for t in moments]
        for group in groups:
            group += [np.full_like(group[0], 255)] * (-len(group) % columns)
            found += [np.concatenate(group[at : at + columns], 1) for at in range(0, len(group), columns)]
    return np.concatenate(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("avatars", type=Path, nargs="+")
    parser.add_argument("--audio", type=Path)
    parser.add_argument("--at", type=float, nargs="*", default=[1.0])
    parser.add_argument("--columns", type=int, default=len(labels()))
    given = parser.parse_args()
    write_png(given.output, strip(given.avatars, given.audio, given.at, given.columns))


if __name__ == "__main__":
    main()
