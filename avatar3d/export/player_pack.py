"""An avatar as the player reads it: one small block of numbers, quantised and gzipped, with the head it rides on.

Layout before gzip: `A3DP`, the length of a JSON header (u32, little-endian), the header padded to 8 bytes, the arrays.
Each array has a form (docs/player.md): raw numbers, or integers in steps, split into a plane of low and one of high
bytes, so that gzip finds the high ones empty. The player needs no head model of its own and no network.
"""

import gzip
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from avatar3d import heads, rig
from avatar3d.core import Avatar, AvatarError, Motion, Pose
from avatar3d.export.player_basis import turned
from avatar3d.render.path import TURNS

MAGIC, VERSION = b"A3DP", 1

REGIONS = {
    "hair": "scalp",
    "brows": "brows",
    "skin": "skin",
    "lips": "lips",
    "irises": "iris",
    "eyes": "eyes",
    "teeth": "teeth",
    "tongue": "tongue",
    "ears": "ears",
    "neck": "neck",
    "clothes": "torso",
}
"""What the player can recolour and show by id, and the head's own region of each."""

# Steps of quantisation: half a step is the error. Lengths of splats are in units of their triangle (about 5 mm).
_MEANS, _QUATS, _LOG_SCALES, _COLOURS, _SH = 1 / 256, 1 / 512, 1 / 64, 1 / 512, 1 / 256
_METRES, _DELTAS = 2e-6, 2e-6
_SEEN = 1 / 255
"""Splats of a lower opacity are never drawn, by any of our renderers."""


@dataclass(frozen=True)
class PackOptions:
    """What goes into the player's file."""

    motion: bool = True
    """The performance the avatar was fitted to."""
    before: bool = True
    """What an edited avatar was before: the page can show both. Only what differs takes room."""
    basis_step: float = 1.0
    """Coarseness of the splat blendshapes: 2 gives smaller files, 0.5 finer ones."""
    name: str = ""
    """Title; by default the source's."""


class _Block:
    """Arrays that are written one behind the other."""

    def __init__(self) -> None:
        self.table: dict[str, Any] = {}
        self.parts: list[bytes] = []
        self.at = 0

    def raw(self, name: str, values: Any, kind: str) -> None:
        """Adds numbers as they are: `f32`, `u16` or `u8`."""
        array = np.ascontiguousarray(np.asarray(values), {"f32": "<f4", "u16": "<u2", "u8": "u1"}[kind])
        self.add(name, array.tobytes(), {"form": kind, "shape": list(array.shape)})

    def steps(self, name: str, values: Any, step: float) -> None:
        """Adds numbers as multiples of `step`: zigzag, then a plane of low and a plane of high bytes."""
        array = np.asarray(values, np.float64)
        whole = np.rint(array / step).clip(-32767, 32767).astype(np.int32)
        self._planes(name, array.shape, whole, {"form": "step", "step": step})

    def running(self, name: str, values: Any) -> None:
        """Adds indices below 65536 as differences, each to the one before it."""
        array = np.asarray(values, np.int64)
        flat = np.diff(array.reshape(-1), prepend=0)
        wrapped = (flat + 32768) % 65536 - 32768
        self._planes(name, array.shape, wrapped.astype(np.int32), {"form": "running"})

    def holds(self, name: str, entry: Mapping[str, Any], data: bytes) -> bool:
        """Whether an array is here with the same numbers."""
        if name not in self.table or {**self.table[name], "at": 0} != {**entry, "at": 0}:
            return False
        return self.parts[list(self.table).index(name)] == data

    def _planes(self, name: str, shape: tuple[int, ...], whole: np.ndarray, entry: dict[str, Any]) -> None:
        flat = whole.reshape(-1)
        folded = np.where(flat >= 0, 2 * flat, -2 * flat - 1).astype("<u2")
        data = (folded & 255).astype(np.uint8).tobytes() + (folded >> 8).astype(np.uint8).tobytes()
        self.add(name, data, {**entry, "shape": list(shape)})

    def add(self, name: str, data: bytes, entry: Mapping[str, Any]) -> None:
        data += b"\0" * (-len(data) % 8)
        self.table[name] = {**entry, "at": self.at}
        self.parts.append(data)
        self.at += len(data)


def pack(avatar: Avatar, options: PackOptions | None = None) -> bytes:
    """Returns the player's file of an avatar.

    Args:
        avatar: Who; identity is baked into the mesh.
        options: What to leave out, how finely to quantise.

    Raises:
        AvatarError: The avatar has no visible splat, or its head has too many vertices for the format.
    """
    options = options or PackOptions()
    head = heads.of(avatar)
    if len(head.faces) > 65535:
        raise AvatarError(f"head '{avatar.head}' has {len(head.faces)} faces; the player's format holds 65535")
    block, poses = _Block(), _typical(avatar)
    before = None
    with torch.no_grad():
        _pack_head(block, head, avatar)
        seen = _pack_splats(block, avatar, options, poses)
        if options.before and avatar.original is not None:
            before = _pack_before(block, avatar.original, options, poses)
        motion = _pack_motion(block, avatar.motion) if options.motion else None
    header = {
        "version": VERSION,
        "kind": "avatar",
        "name": options.name or str(avatar.about.get("source", "avatar")),
        "about": _told(avatar.about),
        "head": avatar.head,
        "splats": seen,
        "expressions": list(head.expressions),
        "joints": list(head.joints),
        "turns": {
            name: {"joints": dict(x.joints), "axis": list(x.axis), "limit": x.limit} for name, x in TURNS.items()
        },
        "regions": list(REGIONS),
        "bearing": _bearing(avatar),
        "edits": [dict(edit) for edit in avatar.edits],
        "before": before,
        "motion": motion,
        "arrays": block.table,
    }
    text = json.dumps(header, allow_nan=False).encode()
    text += b" " * (-(len(text) + 8) % 8)
    data = MAGIC + struct.pack("<I", len(text)) + text + b"".join(block.parts)
    return gzip.compress(data, 9, mtime=0)


def _bearing(avatar: Avatar) -> dict[str, list[float]] | None:
    """Returns what the avatar does to every pose; None for nothing."""
    if avatar.bearing is None:
        return None
    parts = {name: getattr(avatar.bearing, name) for name in ("gain", "offset", "swing", "turn")}
    return {name: [round(float(x), 6) for x in part.reshape(-1)] for name, part in parts.items()}


def _pack_before(block: _Block, original: Avatar, options: PackOptions, poses: Pose) -> dict[str, Any] | None:
    """Adds the arrays of the avatar before its edits that are not what they are now, as `before:NAME`."""
    other = _Block()
    _pack_head(other, heads.of(original), original)
    try:
        seen = _pack_splats(other, original, options, poses)
    except AvatarError:  # nothing to be seen then: nothing to compare with
        return None
    for name, data in zip(other.table, other.parts, strict=True):
        if not block.holds(name, other.table[name], data):
            block.add(f"before:{name}", data, other.table[name])
    return {"splats": seen, "bearing": _bearing(original)}


def _told(about: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what the player shows of an avatar's origin."""
    kept = ("source", "camera", "made_with", "consent", "licence", "license", "synthetic", "preset")
    return {name: about[name] for name in kept if name in about}


def _pack_head(block: _Block, head: Any, avatar: Avatar) -> None:
    """Adds the mesh of this identity with its expressions, joints, skinning weights and regions."""
    block.running("faces", head.faces)
    rest = head.rest(avatar.identity)
    block.raw("rest", rest, "f32")
    block.raw("pivots", head.rest_joints(avatar.identity), "f32")
    moves = (head.deltas != 0).any(-1)
    block.raw("delta_counts", moves.sum(1), "u16")
    block.running("delta_vertices", torch.cat([row.nonzero()[:, 0] for row in moves]))
    moved = torch.cat([shape[row] for shape, row in zip(head.deltas, moves, strict=True)])
    block.steps("deltas", moved.T, _DELTAS)
    block.raw("gaze", head.gaze, "f32")
    block.steps("skin", head.weights.T, 1 / 4096)
    block.raw("regions", torch.stack([head.regions[x] for x in REGIONS.values()]).mul(255).round(), "u8")


def _pack_splats(block: _Block, avatar: Avatar, options: PackOptions, poses: Pose) -> int:
    """Adds the splats in the order of their faces; returns how many."""
    g = avatar.gaussians
    kept = (g.opacities > _SEEN).nonzero()[:, 0]
    if not len(kept):
        raise AvatarError("the avatar has no splat that could be seen; fit it again")
    order = kept[torch.argsort(avatar.binding.face[kept], stable=True)]
    g, binding = g.gather(order), avatar.binding.gather(order)
    block.running("face", binding.face)
    block.steps("bary", binding.bary[:, :2].T, 1 / 1024)
    block.steps("means", g.means.T, _MEANS)
    quats = torch.nn.functional.normalize(g.quats, dim=-1)
    block.steps("quats", (quats * torch.where(quats[:, :1] < 0, -1.0, 1.0)).T, _QUATS)
    block.steps("log_scales", g.log_scales.T, _LOG_SCALES)
    block.raw("opacities", (g.opacities * 255).round(), "u8")
    block.steps("colours", g.sh[:, 0].T, _COLOURS)
    if g.sh.shape[1] > 1:
        block.steps("sh", g.sh[:, 1:].permute(1, 2, 0), _SH)
    if avatar.basis is not None:
        _pack_basis(block, avatar, order, options.basis_step, poses)
    return len(order)


def _pack_basis(block: _Block, avatar: Avatar, order: Tensor, step: float, poses: Pose) -> None:
    """Adds the splat blendshapes of the splats that have any, in principal components."""
    assert avatar.basis is not None
    basis = avatar.basis.gather(order)
    found = turned(basis, rig.basis_weights(basis, poses), step)
    block.running("basis_splats", found.splats)
    block.steps("basis", found.values, 1.0)
    block.raw("basis_steps", found.steps, "f32")
    layers = [*basis.weights[:-2], found.turn @ basis.weights[-2], found.turn @ basis.weights[-1]]
    for i, layer in enumerate(layers):
        block.raw(f"layer{i}", layer, "f32")


def _typical(avatar: Avatar) -> Pose:
    """Returns poses that the player will show: each expression alone, and the avatar's own motion."""
    head = heads.of(avatar)
    e, j = len(head.expressions), len(head.joints)
    joints = torch.zeros(e, j, 3)
    poses = [Pose(torch.eye(e), joints, torch.eye(4).expand(e, 4, 4))]
    if avatar.motion is not None:
        poses.append(avatar.motion.pose)
    every = Pose(*(torch.cat([getattr(x, name) for x in poses]) for name in ("expression", "joints", "root")))
    return rig.carried(every, avatar.bearing)


def _pack_motion(block: _Block, motion: Motion | None) -> dict[str, Any] | None:
    """Adds a performance; returns what the header says of it."""
    if motion is None or not len(motion):
        return None
    pose = motion.pose
    block.steps("motion_expression", pose.expression.T, 1 / 4096)
    block.steps("motion_joints", pose.joints.flatten(1).T, 1 / 8192)
    block.raw("motion_root", pose.root, "f32")
    if pose.soft is not None:
        block.steps("motion_soft", pose.soft.flatten(1).T, 2e-5)
        nodes = heads.load("anny").soft if pose.soft.shape[1] == heads.load("anny").soft.shape[1] else None
        if nodes is not None:
            block.steps("soft", nodes.T, 1 / 1024)
    return {"fps": motion.fps, "frames": len(motion), "names": list(motion.names)}
