"""Measures edits of shape as a stranger would: `python tools/measure_landmarks.py --avatar A.a3d`.

The landmark network looks at pictures before and after an edit, from three sides; distances between its landmarks, in
units of the distance of landmarks that the edit leaves alone, are compared with the same distances on the mesh. The
network has seen people, not sliders: it draws what is unusual towards the usual, and so falls short at the ends.
"""

import argparse

import numpy as np

from avatar3d import heads, store
from avatar3d.capture.landmarks import Landmarker
from avatar3d.core import Avatar
from avatar3d.edit import edit, setting
from avatar3d.render import frames
from avatar3d.render.path import neutral, view
from avatar3d.track import embedding

PAIRS: dict[str, tuple[int, int]] = {
    "nose_width": (129, 358),
    "nose_length": (168, 2),
    "mouth_width": (61, 291),
    "chin_length": (17, 152),
    "chin_width": (148, 377),
    "jaw_width": (172, 397),
    "eyes_distance": (133, 362),
    "eyes_opening": (159, 145),
    "brows_height": (105, 33),
    "cheeks_fullness": (205, 425),
    "lip_lower_height": (14, 17),
    "nose_height": (1, 168),
}
"""The distance that each slider changes."""
_YAWS, _SIZE, _ZOOM = (-10.0, 0.0, 10.0), 512, 1.6
AMOUNTS = (-1.0, -0.5, 0.5, 1.0)


def seen(avatar: Avatar, pair: tuple[int, int], finder: Landmarker) -> float:
    """Returns the mean distance of two landmarks in pictures of an avatar at rest, pixels."""
    pose = neutral(heads.of(avatar)).map(lambda x: x[None])
    found = []
    for yaw in _YAWS:
        picture = next(frames(avatar, pose, view(yaw, 0.0, (_SIZE, _SIZE), _ZOOM), (0.5, 0.5, 0.5)))
        marks = finder.find(picture)[0].landmarks[:, :2]
        found.append(np.linalg.norm(marks[pair[0]] - marks[pair[1]]))
    return float(np.mean(found))


def true(avatar: Avatar, pair: tuple[int, int]) -> float:
    """Returns the same on the mesh."""
    head = heads.of(avatar)
    marks = embedding.place(
        head.vertices(avatar.identity, neutral(head)).double().numpy(), head.faces.numpy(), embedding.on(head)
    )
    found = []
    for yaw in _YAWS:
        camera = view(yaw, 0.0, (_SIZE, _SIZE), _ZOOM)
        at = marks[list(pair)] @ camera.w2c[:3, :3].double().numpy().T + camera.w2c[:3, 3].double().numpy()
        at = at @ camera.K.double().numpy().T
        found.append(np.linalg.norm(at[0, :2] / at[0, 2] - at[1, :2] / at[1, 2]))
    return float(np.mean(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--avatar", required=True, help=".a3d")
    args = parser.parse_args()
    avatar, finder = store.load(args.avatar), Landmarker()
    print(f"{'':<18}{'asked: change of the distance, pixels':<34}seen by the network")
    for name, pair in PAIRS.items():
        edited = [edit(avatar, setting(name, amount)) for amount in AMOUNTS]
        start, asked = true(avatar, pair), []
        asked = [true(one, pair) - start for one in edited]
        begin = seen(avatar, pair, finder)
        got = [seen(one, pair, finder) - begin for one in edited]
        gain = float(np.dot(got, asked) / np.dot(asked, asked))
        order = bool((np.diff([*got[:2], 0.0, *got[2:]]) * np.sign(asked[-1]) > 0).all())
        shown = " ".join(f"{x:7.2f}" for x in asked), " ".join(f"{x:7.2f}" for x in got)
        print(f"{name:<18}{shown[0]:<34}{shown[1]:<34}gain {gain:.2f}{'' if order else ' not monotone'}", flush=True)


if __name__ == "__main__":
    main()
