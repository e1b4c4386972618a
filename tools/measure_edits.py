"""Measures edits on rendered pixels: `python tools/measure_edits.py [--avatar A.a3d] [--only nose_width jawOpen]`.

A place on the head is found in a picture by the avatar's own splats there: of those that show before and after, each is
drawn by itself, and the mean of their centres is the place. An edit asks for a move (of the mesh under the place, seen
by the same camera); the pictures before and after say what came of it. Per edit: `gain`
is the measured move over the asked one at half and at full value, `apart` the largest move of a place of another region
over the target's.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from avatar3d import heads, rig, store
from avatar3d.core import Avatar, Camera, Pose
from avatar3d.edit import Edit, edit, setting
from avatar3d.edit.shape_names import NAMES
from avatar3d.ops import mesh, splat
from avatar3d.render.image import world_splats
from avatar3d.render.path import neutral, view
from avatar3d.track import embedding

SIZE, ZOOM = 448, 1.6
YAWS = (0.0, 60.0, 90.0, 180.0)
"""Cameras to choose from, degrees around the head."""
SPLATS, WITHIN, BESIDE = 10, 3.5e-3, 2e-3
"""How many splats show a place; how near they are to the place that shall move, and to others, metres."""
TIED = 8e-3
"""Metres: how near the mesh under such a splat is to the place."""
_DC = 0.28209479177387814
LANDMARKS = {
    "nose": (1, 129, 358),
    "mouth": (61, 291, 0, 17),
    "jaw": (152, 172, 397),
    "eyes": (33, 133, 362, 263),
    "brows": (105, 334),
    "cheeks": (205, 425),
    "forehead": (10,),
    "ears": (),
}
"""Places of each region, landmarks of the network on the head's surface; those of the ears are found on the mesh."""
_MAY: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("nose", "nostrils"), ("nose",)),
    (("mouth_", "lip", "cupids", "philtrum", "laugh"), ("mouth", "cheeks")),
    (("mouth",), ("mouth", "cheeks", "jaw")),
    (("eyeBlink", "eyeSquint", "eyeWide", "eyes", "eye_"), ("eyes",)),
    (("brow", "forehead"), ("brows", "forehead")),
    (("cheek",), ("cheeks", "jaw", "eyes")),
    (("jaw_forward", "jawOpen", "jawForward", "jawLeft", "jawRight"), ("jaw", "mouth", "cheeks")),
    (("jaw", "chin", "double"), ("jaw",)),
    (("ears",), ("ears",)),
    (("head", "gaze"), tuple(LANDMARKS)),
)
"""Regions that an edit may change, by the beginning of its name. A brow lifts its forehead, a cheek the jaw's side, the
lower lip is on the jaw."""


@dataclass(frozen=True)
class Spot:
    """A place on the head."""

    region: str
    vertex: int
    splats: Tensor
    """Indices of the splats that show it."""


def shown(avatar: Avatar, pose: Pose, camera: Camera) -> Tensor:
    """Returns how many pixels' worth of a picture each splat gives: a picture is linear in the splats' colours."""
    seen = world_splats(avatar, pose.map(lambda x: x[None])).map(lambda x: x[0].detach())
    colours = torch.zeros(len(seen), 1, 3, requires_grad=True)
    with torch.enable_grad():
        splat.rasterize(replace(seen, sh=colours), camera, torch.zeros(3)).rgb[..., 0].sum().backward()
    assert colours.grad is not None
    return colours.grad[:, 0, 0] / _DC


def find_spot(avatar: Avatar, region: str, vertex: int, place: Tensor, seen: Tensor) -> Spot | None:
    """Returns the splats of an avatar that show a vertex in a picture; None where there are too few.

    Args:
        avatar: Who.
        region: The spot's.
        vertex: On the mesh.
        place: n 3, where splats are at rest.
        seen: n, pixels that each splat gives to the picture.
    """
    mesh_at = _vertices(avatar, _rest(avatar))
    tied = (_under(avatar, mesh_at) - mesh_at[vertex]).norm(dim=-1) < TIED  # no hair that hangs over it from elsewhere
    away = (place - mesh_at[vertex]).norm(dim=-1) + torch.where((seen > 0.3) & tied, 0.0, 1.0)
    near = away.argsort(stable=True)[: SPLATS if region == "target" else 4]
    near = near[away[near] < (WITHIN if region == "target" else BESIDE)]
    return Spot(region, vertex, near) if len(near) >= (3 if region == "target" else 1) else None


def locate(avatar: Avatar, pose: Pose, camera: Camera, spots: Sequence[Spot]) -> np.ndarray:
    """Returns where places are in a picture, n 2 pixels: the mean of their splats' centres, each drawn by itself.

    Drawn together they would cover each other, less or more as the surface turns, and that is no move.
    """
    posed = world_splats(avatar, pose.map(lambda x: x[None])).map(lambda x: x[0])
    x, y = np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5

    def centre(index: Tensor) -> np.ndarray:
        alpha = splat.rasterize(posed.gather(index[None]), camera, torch.zeros(3)).alpha[..., 0].double().numpy()
        return np.array([alpha.sum(0) @ x, alpha.sum(1) @ y]) / max(alpha.sum(), 1e-9)

    return np.array([np.mean([centre(index) for index in spot.splats], axis=0) for spot in spots])


@dataclass(frozen=True)
class Measured:
    """What an edit did."""

    name: str
    asked_mm: float
    gain: tuple[float, ...]
    """Measured over asked move of the target at each amount."""
    apart: float
    """Largest measured move of a place of another region, over the target's, at the largest amount."""
    where: str
    """That place's region."""

    @property
    def good(self) -> bool:
        """Within 15 %, monotone, other regions below 5 %."""
        moves = [g * (i + 1) for i, g in enumerate(self.gain)]
        return all(abs(g - 1) < 0.15 for g in self.gain) and moves == sorted(moves) and self.apart < 0.05


def measure(avatar: Avatar, name: str, edits: Sequence[Edit], pose: Pose | None = None) -> Measured | None:
    """Returns what edits of growing amounts do to the place that they move most, and to places of other regions.

    Args:
        avatar: Who.
        name: Its first word says which regions it may change.
        edits: The same edit at growing amounts.
        pose: At rest by default.

    Returns:
        None where no camera sees the move.
    """
    pose = pose or _rest(avatar)
    changed = [edit(avatar, one) for one in edits]
    base = _vertices(avatar, pose)
    asked = [_vertices(one, rig.carried(pose, one.bearing)) for one in changed]
    found = _target((avatar, changed[-1]), pose, (base, asked[-1]))
    if found is None:
        return None
    target, camera, seen = found
    others = _places(avatar, name, seen)
    spots = [target, *others]
    pixels = [locate(one, pose, camera, spots) for one in (avatar, changed[-1])]
    pixels[1:1] = [locate(one, pose, camera, spots[:1]) for one in changed[:-1]]
    wanted = [_projected(_under(avatar, v, target.splats), camera).mean(0) for v in (base, *asked)]
    gains = []
    for after, want in zip(pixels[1:], wanted[1:], strict=True):
        way = want - wanted[0]
        gains.append(float((after[0] - pixels[0][0]) @ way / (way @ way)))
    moved = np.linalg.norm(pixels[-1] - pixels[0], axis=1)
    share = np.nan_to_num(moved[1:] / moved[0])
    worst = int(share.argmax()) if len(share) else -1
    return Measured(
        name,
        1e3 * float((asked[-1] - base)[target.vertex].norm()),
        tuple(gains),
        float(share[worst]) if len(share) else 0.0,
        others[worst].region if len(share) else "",
    )


def _rest(avatar: Avatar) -> Pose:
    return neutral(heads.load(avatar.head))


def _vertices(avatar: Avatar, pose: Pose) -> Tensor:
    return heads.of(avatar).vertices(avatar.identity, pose)


def _under(avatar: Avatar, vertices: Tensor, splats: Tensor | slice = slice(None)) -> Tensor:
    """Returns the points of the mesh that carry splats."""
    corners = vertices[heads.load(avatar.head).faces[avatar.binding.face[splats]]]
    return (corners * avatar.binding.bary[splats][..., None]).sum(1)


def _facing(vertices: Tensor, faces: Tensor, camera: Camera) -> Tensor:
    """Returns which vertices a camera sees."""
    face = mesh.rasterize(vertices, faces, camera).face
    out = torch.zeros(len(vertices), dtype=torch.bool)
    out[faces[face[face >= 0].long().unique()].unique()] = True
    return out


def _target(
    avatars: tuple[Avatar, Avatar], pose: Pose, meshes: tuple[Tensor, Tensor]
) -> tuple[Spot, Camera, Tensor] | None:
    """Returns the place that moves most in the picture of a camera that sees it, before and after."""
    avatar, base = avatars[0], meshes[0]
    faces = heads.load(avatar.head).faces
    place = world_splats(avatar, pose.map(lambda x: x[None])).means[0]
    best: list[tuple[float, int, float]] = []
    cameras = {yaw: view(yaw, 0.0, (SIZE, SIZE), ZOOM) for yaw in YAWS}
    for yaw, camera in cameras.items():
        seen = _facing(base, faces, camera) & _facing(meshes[1], faces, camera)
        way = [torch.from_numpy(_projected(v, camera)) for v in meshes]
        moved = (way[1] - way[0]).norm(dim=-1) * seen * (0.8 if yaw else 1.0)
        best += [(float(moved[v]), v, yaw) for v in moved.argsort(descending=True, stable=True)[:4].tolist()]
    weights: dict[float, Tensor] = {}
    for moved, vertex, yaw in sorted(best, reverse=True):
        if yaw not in weights:
            weights[yaw] = torch.minimum(*(shown(one, pose, cameras[yaw]) for one in avatars))
        spot = find_spot(avatar, "target", vertex, place, weights[yaw]) if moved > 0.5 else None
        if spot is not None:
            return spot, cameras[yaw], weights[yaw]
    return None


def _projected(vertices: Tensor, camera: Camera) -> np.ndarray:
    seen = (vertices @ camera.w2c[:3, :3].mT + camera.w2c[:3, 3]) @ camera.K.mT
    return (seen[:, :2] / seen[:, 2:]).double().numpy()


def _places(avatar: Avatar, name: str, seen: Tensor) -> list[Spot]:
    """Returns the places of the regions that an edit shall leave alone."""
    head = heads.load(avatar.head)
    marks, faces = embedding.on(head), head.faces
    pose = _rest(avatar)
    place = world_splats(avatar, pose.map(lambda x: x[None])).means[0]
    rest = _vertices(avatar, pose)
    ears = head.regions["ears"] > 0.9
    mine = next((regions for starts, regions in _MAY if name.startswith(starts)), ())
    out = []
    for region, landmarks in LANDMARKS.items():
        if region in mine:
            continue
        vertices = [int(faces[marks.face[i], int(marks.bary[i].argmax())]) for i in landmarks]
        if region == "ears":
            for side in (1, -1):
                mask = ears & (rest[:, 0] * side > 0)
                vertices += [int(torch.where(mask, rest[:, 1] * way, -9.0).argmax()) for way in (1, -1)]
        spots = [find_spot(avatar, region, v, place, seen) for v in vertices]
        out += [spot for spot in spots if spot is not None]
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--avatar", required=True, help=".a3d")
    parser.add_argument("--only", nargs="*", help="names of settings; by default all shapes of the head")
    parser.add_argument("--json", help="file to write")
    args = parser.parse_args()
    avatar = store.load(args.avatar)
    below = ("torso", "arms", "shoulders")
    names = args.only or [name for name, _, _ in NAMES if not name.startswith(below)]
    rows = []
    for name in names:
        edits = [setting(name, amount) for amount in (0.5, 1.0)]
        found = measure(avatar, name, edits)
        if found is None:
            print(f"{name:<22} no camera sees it")
            continue
        rows.append(found)
        gains = " ".join(f"{g:.2f}" for g in found.gain)
        mark = "" if found.good else "  <--"
        print(
            f"{name:<22} {found.asked_mm:5.1f} mm  gain {gains}  apart {found.apart:.3f} {found.where}{mark}",
            flush=True,
        )
    good = sum(row.good for row in rows)
    gains = [g for row in rows for g in row.gain]
    within = sum(all(abs(g - 1) < 0.15 for g in row.gain) for row in rows)
    print(
        f"{good} of {len(rows)} good; {within} within 15 %; gain {min(gains):.2f} to {max(gains):.2f}, median "
        f"{float(np.median(gains)):.2f}; apart at most {max(row.apart for row in rows):.2f}"
    )
    if args.json:
        plain = [{"name": r.name, "mm": r.asked_mm, "gain": r.gain, "apart": r.apart, "where": r.where} for r in rows]
        Path(args.json).write_text(json.dumps(plain, indent=1))


if __name__ == "__main__":
    main()
