"""`baked`: base mesh, splats on its triangles, and the mesh's shift in each frame, in one PLY.

The layout of CAP4D's animations for the web (Taubner et al., 2025): tables `faces`, `base_vertex`, `vertex` (splats in
the frames of their triangles, `binding` names the triangle), and for each frame `meta_delta_min_#`, `meta_delta_max_#`
and `delta_vertex_#` in [0, 1] between them. A reader needs no head model, no bones and no shapes. What splats do beyond
riding on triangles (the avatar's blendshapes) is left out: they keep their place at the performance's mean.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatar3d import rig
from avatar3d.core import Avatar, AvatarError, Binding, Gaussians, Pose
from avatar3d.export import ply
from avatar3d.export.formats import ExportOptions
from avatar3d.export.skeleton import head_of, performance
from avatar3d.export.splats import as_numpy, mirrored_sh
from avatar3d.files import write_bytes
from avatar3d.heads import AnnyHead
from avatar3d.render.path import neutral
from avatar3d.rig.frames import anchors, face_frames

_MOST_FRAMES = 20_000


@dataclass(frozen=True)
class Baked:
    """What such a file holds."""

    faces: Int[Tensor, "f 3"]
    base: Float[Tensor, "v 3"]
    """The mesh at rest, metres."""
    splats: Gaussians
    """In the frames of their triangles, about the triangle's middle."""
    binding: Binding
    frames: Float[Tensor, "t v 3"]
    """The mesh in each frame, metres."""

    def posed(self, vertices: Float[Tensor, "v 3"]) -> Gaussians:
        """Returns the splats on a mesh, in the world."""
        still = Pose(torch.zeros(0), torch.zeros(0, 3), torch.eye(4))
        return rig.pose(self.splats, self.binding, None, vertices, self.faces, still)


def write(avatar: Avatar, path: Path, options: ExportOptions) -> Mapping[str, Any]:
    """Writes the avatar's own performance; without one, the pose asked for as a single frame.

    Raises:
        AvatarError: The avatar has no head.
    """
    head = head_of(avatar, "baked")
    pose = performance(avatar, options.frames)
    if pose is None or options.pose is not None:
        pose = (options.pose or neutral(head)).map(lambda x: x[None])
    pose = rig.carried(pose, avatar.bearing)
    splats = _at_middles(avatar, head, pose)
    with torch.no_grad():
        base = head.vertices(avatar.identity, neutral(head))
        posed = [head.vertices(avatar.identity, pose[i]) for i in range(len(pose.root))]
    if options.axes != "y-up":  # triangles carry their splats along when the mesh turns
        signs = torch.tensor([1.0, -1.0, -1.0])
        base, posed, splats = base * signs, [x * signs for x in posed], replace(splats, sh=mirrored_sh(splats.sh))
    tables = {"faces": _table(as_numpy(head.faces.double()), "index", "<u4"), "base_vertex": _points(base)}
    body = ply.table(splats)
    with_face = np.zeros(len(splats), [*body.dtype.descr, ("binding", "<u4")])
    for name in body.dtype.names or ():
        with_face[name] = body[name]
    with_face["binding"] = avatar.binding.face.numpy()
    tables["vertex"] = with_face
    for i, vertices in enumerate(posed):
        delta = vertices - base
        low, high = delta.min(0).values, delta.max(0).values
        tables[f"meta_delta_min_{i:05d}"], tables[f"meta_delta_max_{i:05d}"] = _points(low[None]), _points(high[None])
        tables[f"delta_vertex_{i:05d}"] = _points((delta - low) / (high - low).clamp_min(1e-12))
        options.progress("frames", i + 1, len(posed))
    fps = avatar.motion.fps if avatar.motion is not None else 25.0
    data = ply.pack(tables, (f"fps {fps:g}", "made with avatar3d"))
    write_bytes(path, data)
    return {"splats": len(splats), "frames": len(posed), "bytes": len(data)}


def _at_middles(avatar: Avatar, head: AnnyHead, pose: Pose) -> Gaussians:
    """Returns the splats about the middles of their triangles, with the blendshapes' mean over the poses."""
    g = avatar.gaussians
    if avatar.basis is not None:
        weights = rig.basis_weights(avatar.basis, pose).mean(0)
        means = g.means + torch.einsum("k,knc->nc", weights, avatar.basis.means)
        quats = g.quats + torch.einsum("k,knc->nc", weights, avatar.basis.quats)
        sh = g.sh.clone()
        sh[:, 0] += torch.einsum("k,knc->nc", weights, avatar.basis.sh)
        g = replace(g, means=means, quats=quats, sh=sh)
    vertices, face = head.vertices(avatar.identity, neutral(head)), avatar.binding.face
    frames = face_frames(vertices, head.faces)
    away = anchors(vertices, head.faces, avatar.binding) - vertices[head.faces[face]].mean(1)
    shift = (frames.rotation[face].mT @ away[..., None])[..., 0] / frames.scale[face][:, None]
    return replace(g, means=g.means + shift)


def is_baked(tables: Mapping[str, np.ndarray]) -> bool:
    """Returns whether a PLY file's tables are of this form."""
    return "base_vertex" in tables and "faces" in tables and "vertex" in tables


def from_tables(tables: dict[str, np.ndarray], where: str) -> Baked:
    """Returns what the tables of a PLY file hold.

    Raises:
        AvatarError: A splat on a triangle, or a triangle on a vertex, that does not exist; frames of another mesh; NaN.
    """
    if not is_baked(tables):
        raise AvatarError(f"{where}: a PLY file without a baked animation")
    splats = ply.from_table(tables, where)
    base = _read_points(tables["base_vertex"], where)
    faces = _indices(tables["faces"], ("index_0", "index_1", "index_2"), len(base), where)
    face = _indices(tables["vertex"], ("binding",), len(faces), where)[:, 0]
    frames = []
    for i in range(_MOST_FRAMES):
        names = [f"{part}_{i:05d}" for part in ("meta_delta_min", "meta_delta_max", "delta_vertex")]
        if names[2] not in tables:
            break
        counts = dict(zip(names, (1, 1, len(base)), strict=True))
        if any(name not in tables or len(tables[name]) != count for name, count in counts.items()):
            raise AvatarError(f"{where}: frame {i} does not fit the mesh; the file is damaged")
        low, high, share = (_read_points(tables[name], where) for name in names)
        if tables[names[2]].dtype["x"].kind == "u":
            share = share / 255
        frames.append(base + low + share * (high - low))
    middle = torch.full((len(splats), 3), 1 / 3)
    moved = torch.stack(frames) if frames else base[None]
    return Baked(faces, base, splats, Binding(face, middle), moved)


def _indices(table: np.ndarray, names: tuple[str, ...], below: int, where: str) -> Int[Tensor, "n c"]:
    if any(name not in (table.dtype.names or ()) or table.dtype[name].kind not in "iu" for name in names):
        raise AvatarError(f"{where}: no whole numbers in '{names[0]}'")
    found = np.column_stack([table[name].astype(np.int64) for name in names])
    if found.size and not 0 <= found.min() <= found.max() < below:
        raise AvatarError(f"{where}: '{names[0]}' names number {found.max()} of {below}; the file is damaged")
    return torch.from_numpy(found)


def _read_points(table: np.ndarray, where: str) -> Float[Tensor, "n 3"]:
    if any(name not in (table.dtype.names or ()) for name in "xyz"):
        raise AvatarError(f"{where}: a table of points without x, y and z")
    points = ply.stack(table, *"xyz")
    if not np.isfinite(points).all():
        raise AvatarError(f"{where}: NaN or infinity in a table of points")
    return torch.from_numpy(points)


def _points(points: Tensor) -> np.ndarray:
    return _table(as_numpy(points), "xyz", "<f4")


def _table(values: np.ndarray, names: str, dtype: str) -> np.ndarray:
    """Returns columns as a structured array: `xyz` names each by a letter, other names are numbered."""
    columns = list(names) if names == "xyz" else [f"{names}_{i}" for i in range(values.shape[1])]
    table = np.zeros(len(values), [(name, dtype) for name in columns])
    for name, column in zip(columns, values.T, strict=True):
        table[name] = column
    return table
