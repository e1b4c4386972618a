"""The zip of LAM (Large Avatar Model, He et al., 2025), which its web renderer and OpenAvatarChat show.

One folder with `skin.glb` (a skinned mesh whose vertex i carries splat i, with ARKit morph targets), `offset.ply`
(splat i's offset from that vertex; colours are plain RGB), `animation.glb` (twelve clips of the body for states of a
chat) and `vertex_order.json`. The renderer moves splats by morph targets and by the bone named "head" alone.
"""

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from avatar3d import heads
from avatar3d.core import Avatar, AvatarError, Gaussians
from avatar3d.export import gltf, ply
from avatar3d.export.archives import plainly, write_zip
from avatar3d.export.avatar_glb import credits
from avatar3d.export.driven import NEEDED, on_skull
from avatar3d.export.formats import ExportOptions
from avatar3d.export.skeleton import bones, head_of, linear, shape_splats
from avatar3d.export.splats import C0, as_numpy, check_count, posed_splats
from avatar3d.files import write_bytes
from avatar3d.heads import AnnyHead
from avatar3d.render.path import neutral

_FOLDER = "avatar"
_EYES = np.array([0.0, 1.70, 0.10])
"""Where the renderer's fixed camera (at 1.8 m height, 1 m in front) expects the middle between the eyes, metres."""
_MOST_SPLATS = (4096 * 2048) // 53
"""The renderer keeps all shapes in one texture of that size."""
_MOST_READ = 400_000
_LEAST = 2e-4
_CLIPS = ("hello", "hello", "idle", *("speak",) * 6, *("think",) * 3)
"""What the renderer takes the clips of `animation.glb` for, in this order."""
_SWAY = {"hello": (0.03, 0.0), "idle": (0.015, 0.02), "speak": (0.03, 0.03), "think": (-0.03, 0.05)}
"""How far the head pitches and turns in such a clip, radians."""


def write(avatar: Avatar, path: Path, options: ExportOptions) -> Mapping[str, Any]:
    """Writes the avatar as a LAM asset.

    Raises:
        AvatarError: The avatar has no head, or more splats than the renderer's texture holds.
    """
    head = head_of(avatar, "lam")
    if len(avatar.gaussians) > _MOST_SPLATS:
        raise AvatarError(f"lam: {len(avatar.gaussians)} splats; LAM's renderer holds up to {_MOST_SPLATS}")
    avatar = linear(avatar, head)
    rest = posed_splats(avatar, neutral(head))
    place = _EYES.astype(np.float32)
    files = {
        "skin.glb": _skin(avatar, head, rest, place, options),
        "animation.glb": _animation(),
        "vertex_order.json": json.dumps(np.argsort(as_numpy(rest.means[:, 1]), kind="stable").tolist()).encode(),
        "offset.ply": _offsets(rest),
    }
    data = write_zip([(f"{_FOLDER}/", b""), *((f"{_FOLDER}/{k}", v) for k, v in files.items())], packed=True)
    write_bytes(path, data)
    return {"splats": len(rest), "shapes": len(head.expressions), "bytes": len(data)}


def _skin(avatar: Avatar, head: AnnyHead, rest: Gaussians, place: np.ndarray, options: ExportOptions) -> bytes:
    glb = gltf.Glb()
    n = len(rest)
    names, targets = [], []
    for name, moved in shape_splats(avatar, head, rest):
        options.progress("shapes", len(names) + 1, len(head.expressions))
        names.append(name)
        targets.append({"POSITION": glb.sparse(moved, _LEAST)})
    ones = np.zeros((n, 4), np.float32)
    ones[:, 0] = 1
    which = np.zeros((n, 4), np.uint8)
    which[:, 0] = 2  # the head: what the renderer does, whatever stands here
    attributes = {
        "POSITION": glb.add(as_numpy(rest.means) + place, "VEC3", gltf.VERTICES, bounds=True),
        "JOINTS_0": glb.add(which, "VEC4"),
        "WEIGHTS_0": glb.add(ones, "VEC4"),
    }
    tree = bones(avatar, head)
    at = [place - [0, 0.6, 0.1], *(tree.rest[tree.names.index(name)] + place for name in ("neck", "head"))]
    inverse = np.tile(np.eye(4, dtype=np.float32), (3, 1, 1))
    inverse[:, 3, :3] = -np.array(at)
    # The mesh itself is never drawn: one triangle makes it a valid one.
    triangle = glb.add(np.array([[0], [1], [2]], np.uint16), "SCALAR", gltf.INDICES)
    primitive = {"attributes": attributes, "indices": triangle, "targets": targets}
    steps = [at[0], at[1] - at[0], at[2] - at[1]]
    chain = [
        {"name": name, "translation": np.asarray(step, float).tolist(), **({"children": [i + 2]} if i < 2 else {})}
        for i, (name, step) in enumerate(zip(("hip", "neck", "head"), steps, strict=True))
    ]
    glb.top |= {
        "scene": 0,
        "scenes": [{"nodes": [0, 1]}],
        "nodes": [{"name": "avatar", "mesh": 0, "skin": 0}, *chain],
        "meshes": [{"primitives": [primitive], "weights": [0.0] * len(names), "extras": {"targetNames": names}}],
        "skins": [
            {"joints": [1, 2, 3], "skeleton": 1, "inverseBindMatrices": glb.add(inverse.reshape(-1, 16), "MAT4", None)}
        ],
    }
    glb.top["asset"] |= credits(avatar)
    return glb.to_bytes()


def _animation() -> bytes:
    """Returns twelve clips in which the head sways a little and comes back."""
    glb = gltf.Glb()
    t = np.arange(49) / 12
    times = glb.add(t.astype(np.float32)[:, None], "SCALAR", None, bounds=True)
    animations = []
    for i, state in enumerate(_CLIPS):
        phase = 2 * np.pi * t / t[-1]
        pitch = _SWAY[state][0] * (1 - np.cos(phase)) / 2
        yaw = _SWAY[state][1] * np.sin(phase * (1 + i % 2)) * (-1) ** i
        half = np.column_stack([pitch / 2, yaw / 2, 0 * t])
        quats = np.column_stack([half, np.sqrt(1 - (half**2).sum(1))])
        output = glb.add(quats.astype(np.float32), "VEC4", None)
        sampler = {"input": times, "output": output, "interpolation": "LINEAR"}
        channel = {"sampler": 0, "target": {"node": 2, "path": "rotation"}}
        animations.append({"name": f"{state}_{i}", "samplers": [sampler], "channels": [channel]})
    nodes = [{"name": "hip", "children": [1]}, {"name": "neck", "children": [2]}, {"name": "head"}]
    glb.top |= {"scene": 0, "scenes": [{"nodes": [0]}], "nodes": nodes, "animations": animations}
    return glb.to_bytes()


def _offsets(rest: Gaussians) -> bytes:
    """Returns `offset.ply`: no offset, because each splat has a vertex of its own; colours as plain RGB."""
    plain = Gaussians(torch.zeros_like(rest.means), rest.quats, rest.log_scales, rest.logits, rest.sh[:, :1] * C0 + 0.5)
    return ply.write(plain)


def folder_of(files: Mapping[str, bytes]) -> str | None:
    """Returns the folder inside a zip that holds a LAM asset, or None."""
    for name in files:
        path = PurePosixPath(name)
        if path.name == "offset.ply" and str(path.with_name("skin.glb")) in files:
            return str(path.parent)
    return None


def from_files(files: Mapping[str, bytes], where: str, source: str) -> Avatar:
    """Returns a LAM asset as an avatar that expressions and head poses drive.

    Its splats ride on one triangle at the top of the default head's skull, which no expression moves: they turn with
    the head bone, as in LAM's renderer; its morph targets become splat blendshapes.

    Raises:
        AvatarError: Another kind of zip, splats and vertices that differ in number, or no ARKit shapes.
    """
    folder = folder_of(files)
    if folder is None:
        raise AvatarError(f"{where}: no offset.ply and skin.glb in one folder; not a LAM avatar")
    splats = ply.read(files[str(PurePosixPath(folder) / "offset.ply")], f"{where}: offset.ply")
    skin = files[str(PurePosixPath(folder) / "skin.glb")]
    with plainly(f"{where}: skin.glb"):
        vertices, shapes = _mesh(skin, f"{where}: skin.glb")
    if len(vertices) != len(splats):
        raise AvatarError(f"{where}: {len(splats)} splats for {len(vertices)} vertices; the file is damaged")
    colours = (splats.sh[:, :1] - 0.5) / C0
    found = Gaussians(splats.means + vertices, splats.quats, splats.log_scales, splats.logits, colours)
    return on_skull(found, shapes, source)


def _mesh(data: bytes, where: str) -> tuple[Float[Tensor, "n 3"], dict[str, Float[Tensor, "n 3"]]]:
    """Returns the vertices of `skin.glb` and how far each ARKit shape moves them."""
    top, buffer = gltf.parse(data, where)
    meshes = top.get("meshes")
    mesh = meshes[0] if isinstance(meshes, list) and meshes and isinstance(meshes[0], dict) else {}
    primitives, extras = mesh.get("primitives"), mesh.get("extras")
    primitive = primitives[0] if isinstance(primitives, list) and primitives and isinstance(primitives[0], dict) else {}
    names = extras.get("targetNames") if isinstance(extras, dict) else None
    targets = primitive.get("targets")
    if not isinstance(names, list) or not isinstance(targets, list) or len(names) != len(targets) or len(names) > 500:
        raise AvatarError(f"{where}: no morph targets with names; the file is damaged")

    def points(holder: Any) -> Float[Tensor, "n 3"]:
        if not isinstance(holder, dict) or "POSITION" not in holder:
            raise AvatarError(f"{where}: vertices or a shape without positions")
        table = gltf.array(top, buffer, holder["POSITION"], where)
        if table.shape[1] != 3 or not np.isfinite(table).all():
            raise AvatarError(f"{where}: positions that are not three finite numbers each")
        return torch.from_numpy(np.array(table, np.float32))

    vertices = points(primitive.get("attributes"))
    if check_count(len(vertices), where) > _MOST_READ:
        raise AvatarError(f"{where}: {len(vertices)} vertices; up to {_MOST_READ} can be read")
    shapes = {}
    for name, target in zip(names, targets, strict=True):
        if name in heads.ARKIT:
            shapes[name] = points(target)
            if len(shapes[name]) != len(vertices):
                raise AvatarError(f"{where}: shape '{name}' moves {len(shapes[name])} of {len(vertices)} vertices")
    if not set(NEEDED) <= set(shapes):
        raise AvatarError(f"{where}: no ARKit shapes ({', '.join(NEEDED)}); it cannot be driven")
    return vertices, shapes
