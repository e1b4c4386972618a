"""Meshes from OBJ and GLB files, with nothing but numpy: points, triangles, texture."""

import io
import json
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from PIL import Image

from avatar3d.core import AvatarError

_TYPES = {5121: np.uint8, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
_WIDTH = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
_BESIDE = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Mesh:
    """What a file holds."""

    points: Float[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]
    uv: Float[np.ndarray, "f 3 2"] | None
    """v up."""
    texture: Float[np.ndarray, "h w 3"] | None


def read(path: Path) -> Mesh:
    """Returns a mesh from a file.

    Raises:
        AvatarError: The file is of another kind, damaged, or packed in a way that is not read.
    """
    kind = path.suffix.lower()
    if kind not in (".obj", ".glb"):
        raise AvatarError(f"{path}: meshes are read from .obj and .glb files; convert it to one of them")
    try:
        mesh = _obj(path) if kind == ".obj" else _glb(path)
    except (ValueError, KeyError, IndexError, TypeError, struct.error, OSError) as error:
        raise AvatarError(f"{path}: not a mesh that can be read ({error}); export it again") from error
    if not len(mesh.faces) or not np.isfinite(mesh.points).all() or mesh.faces.max() >= len(mesh.points):
        raise AvatarError(f"{path}: no triangles, or points that are not finite; export it again")
    return mesh


def arrays(path: Path, *names: str) -> dict[str, np.ndarray]:
    """Returns named arrays of an npz file.

    Raises:
        AvatarError: The file is missing or lacks one of them.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in names}
    except (OSError, ValueError, KeyError) as error:
        raise AvatarError(f"{path}: cannot be read ({error}); get the file again") from error


def _obj(path: Path) -> Mesh:
    points, places, corners, texture = [], [], [], None
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "v":
            points.append([float(x) for x in rest.split()[:3]])
        elif word == "vt":
            places.append([float(x) for x in rest.split()[:2]])
        elif word == "f":
            ring = [_corner(c, len(points), len(places)) for c in rest.split()]
            corners += [(ring[0], ring[i], ring[i + 1]) for i in range(1, len(ring) - 1)]
        elif word == "mtllib":
            texture = texture or _material(path.parent, rest.strip())
    triangles = np.array(corners, np.int64).reshape(-1, 3, 2)
    textured = bool(places) and bool((triangles[..., 1] >= 0).all())
    if texture is None:
        texture = next((p for s in _BESIDE if (p := path.with_suffix(s)).is_file()), None)
    image = _pixels(texture.read_bytes()) if textured and texture is not None else None
    uv = np.array(places)[triangles[..., 1]] if image is not None else None
    return Mesh(np.array(points, np.float64), triangles[..., 0], uv, image)


def _corner(text: str, points: int, places: int) -> tuple[int, int]:
    """Returns point and texture index of `v`, `v/vt` or `v/vt/vn`; they count from 1, or back from the end."""
    parts = text.split("/")
    at = [int(p) if p else 0 for p in (*parts[:2], "")[:2]]
    return tuple(i - 1 if i > 0 else n + i if i < 0 else -1 for i, n in zip(at, (points, places), strict=True))  # type: ignore[return-value]


def _material(folder: Path, name: str) -> Path | None:
    """Returns the first colour map that a material file names, if it lies beside it."""
    path = folder / Path(name).name
    if not path.is_file():
        return None
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "map_Kd" and (folder / Path(rest.strip().replace("\\", "/")).name).is_file():
            return folder / Path(rest.strip().replace("\\", "/")).name
    return None


def _glb(path: Path) -> Mesh:
    data = path.read_bytes()
    magic, _, _, length, kind = struct.unpack_from("<4sIII4s", data)
    if magic != b"glTF" or kind != b"JSON":
        raise ValueError("no glTF header")
    scene = json.loads(data[20 : 20 + length])
    packed = set(scene.get("extensionsRequired", ())) - {"KHR_texture_transform", "KHR_materials_unlit"}
    if packed:
        raise AvatarError(f"{path}: it needs {', '.join(sorted(packed))}; export it without compression")
    binary = data[28 + length :]

    def view(index: int) -> tuple[bytes, int]:
        v = scene["bufferViews"][index]
        start = v.get("byteOffset", 0)
        return binary[start : start + v["byteLength"]], v.get("byteStride", 0)

    def accessor(index: int) -> np.ndarray:
        a = scene["accessors"][index]
        raw, stride = view(a["bufferView"])
        dtype, width = np.dtype(_TYPES[a["componentType"]]), _WIDTH[a["type"]]
        shape, offset = (a["count"], width), a.get("byteOffset", 0)
        steps = (stride or width * dtype.itemsize, dtype.itemsize)
        if offset + (shape[0] - 1) * steps[0] + width * dtype.itemsize > len(raw):
            raise ValueError("an accessor reaches beyond its buffer")
        return np.ndarray(shape, dtype, raw, offset, steps).copy()

    points, faces, uv, texture, total = [], [], [], None, 0
    for matrix, mesh in _placed(scene):
        for part in scene["meshes"][mesh]["primitives"]:
            if part.get("mode", 4) != 4:
                continue
            at = accessor(part["attributes"]["POSITION"]).astype(np.float64)
            index = accessor(part["indices"])[:, 0] if "indices" in part else np.arange(len(at))
            triangles = index.astype(np.int64).reshape(-1, 3)
            place = part["attributes"].get("TEXCOORD_0")
            coordinates = accessor(place).astype(np.float64) if place is not None else np.zeros((len(at), 2))
            points.append(at @ matrix[:3, :3].T + matrix[:3, 3])
            faces.append(triangles + total)
            uv.append(coordinates[triangles] * [1, -1] + [0, 1])
            total += len(at)
            material = scene.get("materials", [{}])[part.get("material", 0)]
            used = material.get("pbrMetallicRoughness", {}).get("baseColorTexture")
            if texture is None and used is not None:
                image = scene["images"][scene["textures"][used["index"]]["source"]]
                texture = _pixels(view(image["bufferView"])[0])
    whole = np.concatenate(uv) if texture is not None else None
    return Mesh(np.concatenate(points), np.concatenate(faces), whole, texture)


def _placed(scene: dict) -> list[tuple[np.ndarray, int]]:
    """Returns each mesh of the scene with its node's place in the world."""
    from scipy.spatial.transform import Rotation

    nodes, found = scene.get("nodes", []), []
    roots = scene["scenes"][scene.get("scene", 0)]["nodes"] if "scenes" in scene else range(len(nodes))

    def visit(index: int, above: np.ndarray, depth: int) -> None:
        node = nodes[index]
        own = np.eye(4)
        if "matrix" in node:
            own = np.array(node["matrix"], np.float64).reshape(4, 4).T
        else:
            own[:3, :3] = Rotation.from_quat(node.get("rotation", (0, 0, 0, 1))).as_matrix() * node.get("scale", 1.0)
            own[:3, 3] = node.get("translation", 0.0)
        if "mesh" in node:
            found.append((above @ own, node["mesh"]))
        for child in node.get("children", ()):
            if depth > 64:
                raise ValueError("nodes that hold themselves")
            visit(child, above @ own, depth + 1)

    for root in roots:
        visit(root, np.eye(4), 0)
    return found


def _pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) / 255.0
