"""Splats in glTF files (KHR_gaussian_splatting): scenes, and heads whose morph targets are ARKit's."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from avatar3d import geometry, heads
from avatar3d.core import Avatar, AvatarError, Binding, Gaussians, Motion, Pose
from avatar3d.export import gltf
from avatar3d.export.archives import field, plainly
from avatar3d.export.avatar_glb import BARYCENTRIC, EXTENSION, NOTE, TRIANGLE
from avatar3d.export.driven import NEEDED, on_mesh, on_skull
from avatar3d.export.splats import check_count, from_arrays, rotated, scene
from avatar3d.heads import ARKIT

_MOST = 400_000
"""Splats of a head; each has 52 shifts in memory."""


def read_avatar(data: bytes, where: str, source: str) -> Avatar:
    """Returns a binary glTF file's splats: as an avatar that poses drive if they have ARKit's morph targets, else as a
    scene.

    Raises:
        AvatarError: As `read`.
    """
    top, buffer = gltf.parse(data, where)
    with plainly(where):
        face = _face(top)
        if face is None:
            return scene(_read(top, buffer, where), source)
        number, primitive, names = face
        place = _place(top, number, where)
        splats = _placed(_primitive(top, buffer, primitive, where), place, where)
        if len(splats) > _MOST:
            raise AvatarError(f"{where}: a head of {len(splats)} splats; up to {_MOST} can be driven")
        shapes = _shapes(top, buffer, (primitive["targets"], names), place, where)
        body = _body(top, buffer, (number, primitive), splats, where)
        made = on_skull(splats, shapes, source) if body is None else on_mesh(splats, shapes, body, source)
    return made


def _face(top: Mapping[str, Any]) -> tuple[int, dict, list[str]] | None:
    """Returns the one group of splats with a face's morph targets: its mesh, its primitive and the targets' names."""
    found = [
        (number, primitive, mesh["extras"]["targetNames"])
        for number, mesh, primitive in _groups(top)
        if isinstance(mesh.get("extras"), dict)
        and isinstance(mesh["extras"].get("targetNames"), list)
        and set(NEEDED) <= {x for x in mesh["extras"]["targetNames"] if isinstance(x, str)}
        and isinstance(primitive.get("targets"), list)
    ]
    return found[0] if len(found) == 1 else None


def _shapes(
    top: dict, buffer: bytes, targets: tuple[list, list], place: np.ndarray, where: str
) -> dict[str, Float[Tensor, "n 3"]]:
    """Returns how far each ARKit shape moves the splats."""
    held, names = targets
    if len(held) != len(names) or len(names) > 500:
        raise AvatarError(f"{where}: {len(held)} morph targets with {len(names)} names; the file is damaged")
    turn = torch.from_numpy(place[:3, :3].T).float()
    shapes = {}
    for name, target in zip(names, held, strict=True):
        if name in ARKIT:
            table = gltf.array(top, buffer, field(target, "POSITION", where=where), where)
            if table.shape[1] != 3 or not np.isfinite(table).all() or np.abs(table).max(initial=0) > 1e3:
                raise AvatarError(f"{where}: shape '{name}' does not move splats by three finite numbers each")
            shapes[name] = torch.from_numpy(np.array(table, np.float32)) @ turn
    if len({len(x) for x in shapes.values()}) > 1:
        raise AvatarError(f"{where}: shapes of different numbers of splats; the file is damaged")
    return shapes


def _body(top: dict, buffer: bytes, group: tuple[int, dict], splats: Gaussians, where: str) -> Avatar | None:
    """Returns the avatar that our own exporter wrote, without blendshapes; None for a file of others."""
    number, primitive = group
    note, attributes = top["meshes"][number]["extras"].get(NOTE), primitive["attributes"]
    if not isinstance(note, dict) or TRIANGLE not in attributes or BARYCENTRIC not in attributes:
        return None
    name, numbers = note["head"], note["identity"]
    head = heads.load(name if isinstance(name, str) else "")
    if not isinstance(head, heads.AnnyHead) or len(numbers) != len(head.identities):
        raise AvatarError(f"{where}: made with another version of the head; export it again")
    identity = torch.tensor([float(x) for x in numbers])
    face = gltf.array(top, buffer, attributes[TRIANGLE], where).astype(np.float64)[:, 0]
    bary = gltf.array(top, buffer, attributes[BARYCENTRIC], where).astype(np.float32)
    shape = gltf.array(top, buffer, note["shape"], where) if "shape" in note else None
    parts = [identity.numpy(), face, bary, np.zeros(1) if shape is None else shape]
    good = all(np.isfinite(x).all() and np.abs(x).max() < 1e6 for x in parts)
    if not good or len(face) != len(splats) or bary.shape != (len(splats), 2) or np.abs(bary).max() > 100:
        raise AvatarError(f"{where}: splats that are bound to nothing; the file is damaged")
    if (
        face.min() < 0
        or face.max() >= len(head.faces)
        or (shape is not None and shape.shape != (len(head.template), 3))
    ):
        raise AvatarError(f"{where}: bound to a face that its head does not have; the file is damaged")
    third = 1 - bary.sum(1, keepdims=True)
    binding = Binding(torch.from_numpy(face.astype(np.int64)), torch.from_numpy(np.concatenate([bary, third], 1)))
    asset = top.get("asset", {}).get("extras", {})
    about = {x: asset[x] for x in ("consent", "licence") if isinstance(asset.get(x), str)}
    moved = None if shape is None else torch.from_numpy(np.array(shape, np.float32))
    motion = _performance(top, buffer, head, where)
    return Avatar(head.name, identity, splats, binding, about=about, motion=motion, shape=moved)


def _performance(top: dict, buffer: bytes, head: heads.AnnyHead, where: str) -> Motion | None:
    """Returns the animation of our own exporter as a motion."""
    found = [x for x in top.get("animations", []) if x.get("name") == "performance"]
    if not found:
        return None
    names = {str(node.get("name")): i for i, node in enumerate(top["nodes"])}
    tracks, times = {}, np.zeros((0, 1))
    for channel in found[0]["channels"]:
        sampler = found[0]["samplers"][channel["sampler"]]
        times = gltf.array(top, buffer, sampler["input"], where)
        target = channel["target"]
        tracks[target["node"], target["path"]] = gltf.array(top, buffer, sampler["output"], where)
    t, span = len(times), float(times[-1, 0] - times[0, 0])
    if not 2 <= t <= 1_000_000 or not np.isfinite(times).all() or not span > 0:
        raise AvatarError(f"{where}: an animation of {t} frames in {span:g} seconds; the file is damaged")
    quats = [tracks[names[bone], "rotation"] for bone in ("torso", *head.joints)]
    weights = tracks[names["avatar"], "weights"].reshape(t, -1)
    shifts = tracks[names["torso"], "translation"]
    if weights.shape[1] != len(head.expressions) or any(x.shape != (t, 4) for x in quats) or shifts.shape != (t, 3):
        raise AvatarError(f"{where}: an animation of other bones and shapes than the head's")
    if not all(np.isfinite(x).all() for x in (*quats, weights, shifts)):
        raise AvatarError(f"{where}: an animation with NaN or infinity")
    turns = geometry.quat_to_matrix(torch.from_numpy(np.stack(quats, 1)[..., [3, 0, 1, 2]]).float())
    root = torch.eye(4).repeat(t, 1, 1)
    root[:, :3, :3], root[:, :3, 3] = turns[:, 0], torch.from_numpy(shifts.astype(np.float32))
    pose = Pose(torch.from_numpy(weights.astype(np.float32)).clamp(0, 1), geometry.matrix_to_rotvec(turns[:, 1:]), root)
    return Motion(pose, round((t - 1) / span, 4), tuple(head.expressions))


def _groups(top: Mapping[str, Any]) -> list[tuple[int, dict, dict]]:
    """Returns every group of splats, with its mesh and the mesh's number."""
    meshes = top.get("meshes", [])
    found = []
    for number, mesh in enumerate(meshes if isinstance(meshes, list) else []):
        primitives = mesh.get("primitives", []) if isinstance(mesh, dict) else []
        for primitive in primitives if isinstance(primitives, list) else []:
            if isinstance(primitive, dict) and EXTENSION in (primitive.get("extensions") or {}):
                found.append((number, mesh, primitive))
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
    found = [(number, primitive) for number, _, primitive in _groups(top)]
    if not found:
        raise AvatarError(f"{where}: a glTF file without splats ({EXTENSION}); meshes cannot be imported")
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
    parts = {k: values(f"{EXTENSION}:{k}", w) for k, w in (("ROTATION", 4), ("SCALE", 3), ("OPACITY", 1))}
    sh = []
    for degree in range(4):
        names = [f"{EXTENSION}:SH_DEGREE_{degree}_COEF_{i}" for i in range(2 * degree + 1)]
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
