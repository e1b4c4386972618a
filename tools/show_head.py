"""Draws the default head as a shaded mesh: `python -m tools.show_head [OUT_FOLDER]`, to be looked at after every bake.

Writes `head.png` (from all around, and turned by its joints), `expressions.png` (each of the 52 at 1),
`people.png` (ten random identities) and `regions.png`.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from avatar3d import geometry, heads
from avatar3d.core import Camera
from avatar3d.heads import AnnyHead
from avatar3d.heads.anny import load
from avatar3d.render.shade import shade
from avatar3d.render.video import write_png

BACKDROP = 0.45
DEGREE = torch.pi / 180


def _camera(yaw: float, distance: float = 0.62, size: tuple[int, int] = (240, 280), low: float = -0.035) -> Camera:
    return geometry.orbit(torch.tensor([yaw * DEGREE]), distance=distance, target=(0.0, low, -0.03), size=size)


def _picture(head: AnnyHead, vertices: Tensor, camera: Camera, caption: str = "", colours: Tensor | None = None):
    seen = shade(vertices, head.faces, camera, head.colours if colours is None else colours)
    image = (seen.rgb + (1 - seen.alpha) * BACKDROP).clamp(0, 1)[0]
    pixels = np.ascontiguousarray((image * 255).round().byte().numpy())
    return cv2.putText(pixels, caption, (5, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1, cv2.LINE_AA)


def _sheet(path: Path, pictures: list[np.ndarray], columns: int) -> None:
    blank = np.full_like(pictures[0], round(BACKDROP * 255))
    padded = pictures + [blank] * (-len(pictures) % columns)
    rows = [np.concatenate(padded[i : i + columns], 1) for i in range(0, len(padded), columns)]
    write_png(path, np.concatenate(rows))


def _around(head: AnnyHead) -> list[np.ndarray]:
    nobody = torch.zeros(len(head.identities))
    rest = head.rest(nobody)
    wide = {"distance": 1.5, "size": (300, 300), "low": -0.16}
    out = [_picture(head, rest, _camera(yaw, **wide), f"yaw {yaw}") for yaw in (0, 45, 90, 180)]
    for name, turn in {
        "yaw 45": (0, 45, 0),
        "yaw -45": (0, -45, 0),
        "down 30": (30, 0, 0),
        "tilt 25": (0, 0, 25),
    }.items():
        pose = head.neutral()
        pose.joints[:2] = torch.tensor(turn) * DEGREE / 2  # half by the neck, half by the head
        out.append(_picture(head, head.vertices(nobody, pose), _camera(0, 1.1, (300, 300), -0.1), name))
    return out


def main() -> None:
    """Writes the sheets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", nargs="?", type=Path, default=Path("out/head"))
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    head = load()
    nobody = torch.zeros(len(head.identities))
    _sheet(folder / "head.png", _around(head), 4)
    faces = []
    for i, name in enumerate(heads.ARKIT):
        pose = head.neutral()
        pose.expression[i] = 1.0
        if name == "mouthClose":  # closes an open jaw; means nothing alone
            pose.expression[heads.ARKIT.index("jawOpen")] = 1.0
        faces.append(_picture(head, head.vertices(nobody, pose), _camera(15, 0.5), name))
    _sheet(folder / "expressions.png", faces, 9)
    generator = torch.Generator().manual_seed(0)
    people = [head.rest(torch.randn(len(head.identities), generator=generator)) for _ in range(10)]
    _sheet(folder / "people.png", [_picture(head, p, _camera((-20, 20)[i % 2])) for i, p in enumerate(people)], 5)
    painted = []
    for name, weight in head.regions.items():
        colours = 0.75 - 0.6 * weight[:, None] * torch.tensor([0.0, 1.0, 1.0])
        painted.append(_picture(head, head.rest(nobody), _camera(25, 0.9, (200, 220), -0.08), name, colours))
    _sheet(folder / "regions.png", painted, 10)
    print(f"{folder}: head.png expressions.png people.png regions.png")


if __name__ == "__main__":
    main()
