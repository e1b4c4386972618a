"""Draws what the mouth shows in p, b, m, f, v, o, i, a and th of real speech.

    python -m tools.film_strip ../shared/data/audio strip.png                    # the default head
    python -m tools.film_strip ../shared/data/audio strip.png --avatar me.a3d    # an avatar

FOLDER holds recordings beside their phones (.TextGrid, .phone.json). Of each sound the longest one is taken, in its
middle; the mouth is moved by sound and phones together.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from avatar3d import geometry
from avatar3d.core import Avatar, AvatarError, Pose
from avatar3d.drive.mouth import MouthOptions, mouth
from avatar3d.heads.anny import load as anny
from avatar3d.render import render
from avatar3d.render.shade import shade
from avatar3d.render.video import write_png
from avatar3d.speech.annotations import read_phones
from avatar3d.speech.features import features
from avatar3d.speech.sound import read_sound
from avatar3d.store import load

WANTED = {
    "p": "p",
    "b": "b",
    "m": "m",
    "f": "f",
    "v": "v",
    "o": "ɔ o oʊ",
    "i": "i",
    "a": "ɑ a æ",
    "th": "θ ð",
}
"""Captions and the phones that may stand for them, the best first."""
SIZE = (220, 200)
BACKDROP = 0.45
FPS = 50.0


@dataclass(frozen=True)
class Frame:
    """One moment of speech."""

    caption: str
    pose: Pose
    seconds: float
    where: str


def recordings(folder: Path) -> list[tuple[Path, Path]]:
    """Returns (sound, phones) of every recording that has both."""
    found = []
    for phones in sorted([*folder.glob("*.TextGrid"), *folder.glob("*.phone.json")]):
        stem = phones.name.removesuffix(".TextGrid").removesuffix(".phone.json")
        sound = next((p for p in (folder / f"{stem}{s}" for s in (".wav", ".flac", ".mp3")) if p.is_file()), None)
        if sound is not None:
            found.append((sound, phones))
    if not found:
        raise AvatarError(f"{folder}: no recording beside its phones; expected x.wav with x.TextGrid or x.phone.json")
    return found


def frames(folder: Path) -> list[Frame]:
    """Returns the frames of the strip."""
    said = []
    for sound_file, phone_file in recordings(folder):
        track = read_phones(phone_file)
        motion = mouth(track, features(read_sound(sound_file)), MouthOptions(fps=FPS))
        said += [(p, track, motion, sound_file.stem) for p in track.phones if p.end - p.start < 0.4]
    strip = []
    for caption, phones in WANTED.items():
        for phone in phones.split():
            of_it = [entry for entry in said if entry[0].phone == phone]
            if of_it:
                p, track, motion, name = max(of_it, key=lambda entry: entry[0].end - entry[0].start)
                middle = (p.start + p.end) / 2
                word = track.words[p.word] if p.word >= 0 else "?"
                strip.append(Frame(f"{caption}: {word}", motion.pose[round(middle * FPS)], middle, name))
                break
        else:
            print(f"no {caption} in these recordings")
    return strip


def picture(frame: Frame, yaw: float, avatar: Avatar | None) -> np.ndarray:
    """Returns the mouth of the frame, seen from `yaw` radians to its side."""
    camera = geometry.orbit(torch.tensor([yaw]), distance=0.26, target=(0.0, -0.072, 0.0), size=SIZE)
    if avatar is None:
        head = anny()
        vertices = head.vertices(torch.zeros(len(head.identities)), frame.pose)
        seen = shade(vertices[None], head.faces, camera, head.colours)
        image = (seen.rgb + (1 - seen.alpha) * BACKDROP)[0]
    else:
        image = render(avatar, frame.pose, camera.at(0), torch.full((3,), BACKDROP)).rgb
        image = image[0] if image.dim() == 4 else image
    return np.ascontiguousarray((image.clamp(0, 1) * 255).round().byte().numpy())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="recordings beside their phones")
    parser.add_argument("out", type=Path, help="the picture, .png")
    parser.add_argument("--avatar", type=Path, help="an avatar; else the default head")
    arguments = parser.parse_args()
    avatar = load(arguments.avatar) if arguments.avatar else None
    columns = []
    for frame in frames(arguments.folder):
        views = [picture(frame, yaw, avatar) for yaw in (0.0, 0.75)]
        views[0] = cv2.putText(
            views[0], frame.caption, (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA
        )
        columns.append(np.concatenate(views))
        print(f"{frame.caption:16} {frame.where} at {frame.seconds:.2f} s")
    write_png(arguments.out, np.concatenate(columns, 1))


if __name__ == "__main__":
    main()
