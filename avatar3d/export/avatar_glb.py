"""`avatar.glb`: splats (KHR_gaussian_splatting) with 52 morph targets, a skin and the avatar's own performance.

A renderer that knows the extension shows splats, one that does not shows points. Splats move as vertices do: their
rotations and the part of the avatar's blendshapes that joints drive stay as they are at rest.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avatar3d import heads
from avatar3d.core import Avatar, AvatarError, Gaussians
from avatar3d.export import gltf
from avatar3d.export.archives import plainly
from avatar3d.export.formats import ExportOptions
from avatar3d.export.skeleton import add_bones, add_performance, head_of, linear, shape_splats, splat_skin
from avatar3d.export.splats import C0, as_numpy, check_count, from_arrays, has_face, opacities, posed_splats, rotated
from avatar3d.files import write_bytes
from avatar3d.render.path import neutral

_EXTENSION = "KHR_gaussian_splatting"
_SPACE = {
    "kernel": "ellipse",
    "colorSpace": "srgb_rec709_display",
    "projection": "perspective",
    "sortingMethod": "cameraDistance",
}
_LEAST = 2e-4
"""Metres: a shape leaves out the splats that it moves less. A quarter of a pixel of a head that fills 512."""


def write(avatar: Avatar, path: Path, options: ExportOptions) -> Mapping[str, Any]:
    """Writes the avatar as one binary glTF file; splats without a head as they stand."""
    glb = gltf.Glb()
    if has_face(avatar):
        avatar = linear(avatar, head_of(avatar, "glb"))
    rest = posed_splats(avatar, neutral(heads.load(avatar.head)))
    attributes = _attributes(glb, rest)
    primitive: dict[str, Any] = {"mode": 0, "attributes": attributes, "extensions": {_EXTENSION: _SPACE}}
    mesh: dict[str, Any] = {"primitives": [primitive]}
    top: dict[str, Any] = {"extensionsUsed": [_EXTENSION], "scene": 0, "scenes": [{"nodes": [0]}]}
    nodes: list[dict] = [{"name": "avatar", "mesh": 0}]
    if has_face(avatar):
        head = head_of(avatar, "glb")
        skin = splat_skin(avatar, head)
        attributes["JOINTS_0"] = glb.add(skin.joints.astype(np.uint8), "VEC4")
        attributes["WEIGHTS_0"] = glb.add(skin.weights, "VEC4")
        names = []
        primitive["targets"] = []
        for name, moved in shape_splats(avatar, head, rest):
            options.progress("shapes", len(names) + 1, len(head.expressions))
            names.append(name)
            primitive["targets"].append({"POSITION": glb.sparse(moved, _LEAST)})
        mesh |= {"weights": [0.0] * len(names), "extras": {"targetNames": names}}
        joints, skin_meta = add_bones(glb, avatar, head, len(nodes))
        nodes[0]["skin"] = 0
        nodes += joints
        top |= {"skins": [skin_meta], "scenes": [{"nodes": [0, 1]}]}
        if animations := add_performance(glb, avatar, 0, 1, options.frames):
            top["animations"] = animations
    glb.top |= {**top, "nodes": nodes, "meshes": [mesh]}
    glb.top["asset"] |= credits(avatar)
    data = glb.to_bytes()
    write_bytes(path, data)
    frames = (
        0
        if avatar.motion is None or "animations" not in top
        else len(avatar.motion.pose[slice(0, options.frames)].root)
    )
    return {"splats": len(rest), "shapes": len(primitive.get("targets", [])), "frames": frames, "bytes": len(data)}


def credits(avatar: Avatar) -> dict[str, Any]:
    """Returns what the file says of where the avatar comes from and what may be done with it."""
    said = {name: str(avatar.about[name]) for name in ("consent", "licence") if avatar.about.get(name)}
    told: dict[str, Any] = {"extras": {"made_with": "avatar3d", "digital_head": True, **said}}
    return {**told, "copyright": said["licence"]} if "licence" in said else told


def _attributes(glb: gltf.Glb, g: Gaussians) -> dict[str, int]:
    """Adds the splats' numbers and returns their accessors by name."""
    dc = as_numpy(g.sh[:, 0])
    opacity = opacities(g).astype(np.float32)
    colour = np.clip(np.column_stack([dc * C0 + 0.5, opacity]) * 255 + 0.5, 0, 255).astype(np.uint8)
    found = {
        "POSITION": glb.add(as_numpy(g.means), "VEC3", bounds=True),
        "COLOR_0": glb.add(colour, "VEC4", unit=True),  # what a viewer of points shows
        f"{_EXTENSION}:ROTATION": glb.add(as_numpy(g.quats)[:, [1, 2, 3, 0]], "VEC4"),
        f"{_EXTENSION}:SCALE": glb.add(as_numpy(g.scales), "VEC3"),
        f"{_EXTENSION}:OPACITY": glb.add(opacity[:, None], "SCALAR"),
        f"{_EXTENSION}:SH_DEGREE_0_COEF_0": glb.add(dc, "VEC3"),
    }
    degrees = int(g.sh.shape[1] ** 0.5)
    for degree in range(1, degrees):
        for i in range(2 * degree + 1):
            name = f"{_EXTENSION}:SH_DEGREE_{degree}_COEF_{i}"
            found[name] = glb.add(as_numpy(g.sh[:, degree**2 + i]), "VEC3")
    return found


def read(data: bytes, where: str) -> Gaussians:
    """Returns the splats of a binary glTF file at rest, in the place that their node gives them.

    Raises:
        AvatarError: Not such a file, without splats, damaged, or with NaN.
    """
    top, buffer = gltf.parse(data, where)
    with plainly(where):
        return _read(top, buffer, where)


def _read(top: dict[str, Any], buffer: bytes, where: str) -> Gaussians:
    """Returns the splats in a glTF file's JSON and buffer."""
    meshes = top.get("meshes", [])
    found = []
    for number, mesh in enumerate(meshes if isinstance(meshes, list) else []):
        primitives = mesh.get("primitives", []) if isinstance(mesh, dict) else []
        for primitive in primitives if isinstance(primitives, list) else []:
            if isinstance(primitive, dict) and _EXTENSION in (primitive.get("extensions") or {}):
                found.append((number, primitive))
    if not found:
        raise AvatarError(f"{where}: a glTF file without splats ({_EXTENSION}); meshes cannot be imported")
    parts = [_placed(_primitive(top, buffer, p, where), _place(top, number, where), where) for number, p in found]
    if len({part.sh.shape[1] for part in parts}) > 1:
        raise AvatarError(f"{where}: splats of different degrees in one file")
    fields = ("means", "quats", "log_scales", "logits", "sh")
    return Gaussians(*(torch.cat([getattr(part, name) for part in parts]) for name in fields))


def _primitive(top: dict, buffer: bytes, primitive: dict, where: str) -> Gaussians:
    attributes = primitive.get("attributes", {})

    def values(name: str, width: int) -> np.ndarray:
        if not isinstance(attributes, dict) or name not in attributes:
            raise AvatarError(f"{where}: the splats have no '{name}'")
        table = gltf.array(top, buffer, attributes[name], where)
        if table.shape[1] != width:
            raise AvatarError(f"{where}: '{name}' has {table.shape[1]} columns, not {width}")
        return table.astype(np.float32)

    means = values("POSITION", 3)
    n = check_count(len(means), where)
    parts = {k: values(f"{_EXTENSION}:{k}", w) for k, w in (("ROTATION", 4), ("SCALE", 3), ("OPACITY", 1))}
    sh = []
    for degree in range(4):
        names = [f"{_EXTENSION}:SH_DEGREE_{degree}_COEF_{i}" for i in range(2 * degree + 1)]
        if degree and names[0] not in attributes:
            break
        sh += [values(name, 3) for name in names]
    if any(len(table) != n for table in (*parts.values(), *sh)):
        raise AvatarError(f"{where}: attributes of different lengths; the file is damaged")
    if not (parts["SCALE"] >= 0).all():
        raise AvatarError(f"{where}: a splat with a scale that is no length")
    opacity = np.clip(parts["OPACITY"][:, 0].astype(np.float64), 1e-7, 1 - 1e-7)
    scales = np.log(np.maximum(parts["SCALE"], 1e-12))
    return from_arrays(
        means, parts["ROTATION"][:, [3, 0, 1, 2]], scales, np.log(opacity / (1 - opacity)), np.stack(sh, 1), where
    )


def _place(top: dict, mesh: int, where: str) -> np.ndarray:
    """Returns the 4x4 transform of the first node that shows a mesh."""
    nodes = [node if isinstance(node, dict) else {} for node in top.get("nodes", []) or []]
    number = next((i for i, node in enumerate(nodes) if node.get("mesh") == mesh), None)
    place, seen = np.eye(4), 0
    while number is not None:
        node = nodes[number]
        if "skin" not in node:  # the place of a skinned mesh is where its bones are
            place = _matrix(node, where) @ place
        seen += 1
        if seen > len(nodes):
            raise AvatarError(f"{where}: nodes that hang on themselves; the file is damaged")
        here = number
        number = next((i for i, n in enumerate(nodes) if here in (n.get("children") or [])), None)
    return place


def _matrix(node: dict, where: str) -> np.ndarray:
    try:
        if "matrix" in node:
            found = np.array(node["matrix"], np.float64).reshape(4, 4).T
        else:
            x, y, z, w = np.array(node.get("rotation", (0, 0, 0, 1)), np.float64)
            turn = [
                [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
            ]
            found = np.eye(4)
            found[:3, :3] = np.array(turn) * np.array(node.get("scale", (1, 1, 1)), np.float64).reshape(3)
            found[:3, 3] = np.array(node.get("translation", (0, 0, 0)), np.float64).reshape(3)
    except (TypeError, ValueError) as error:
        raise AvatarError(f"{where}: a node with a damaged transform") from error
    if not np.isfinite(found).all():
        raise AvatarError(f"{where}: a node with NaN or infinity in its transform")
    return found


def _placed(g: Gaussians, place: np.ndarray, where: str) -> Gaussians:
    """Returns splats moved by a transform that keeps angles."""
    size = np.cbrt(max(np.linalg.det(place[:3, :3]), 0.0))
    turn = place[:3, :3] / max(size, 1e-12)
    if size < 1e-9 or np.abs(turn @ turn.T - np.eye(3)).max() > 1e-3:
        raise AvatarError(f"{where}: its splats are stretched or mirrored by their node; such files cannot be read")
    moved = rotated(g, torch.from_numpy(turn).float())
    shift, log_size = torch.from_numpy(place[:3, 3]).float(), float(np.log(size))
    return Gaussians(
        moved.means * float(size) + shift, moved.quats, moved.log_scales + log_size, moved.logits, moved.sh
    )
