"""glTF 2.0 in one binary file: building it, and reading it with distrust (Khronos' specification)."""

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from avatar3d.core import AvatarError
from avatar3d.export.archives import field, read_json
from avatar3d.export.splats import MOST

_MAGIC, _JSON, _BIN = 0x46546C67, 0x4E4F534A, 0x004E4942
_HEAD, _CHUNK = struct.Struct("<III"), struct.Struct("<II")
_CODES = {"f4": 5126, "u4": 5125, "u2": 5123, "i2": 5122, "u1": 5121, "i1": 5120}
_TYPES = {code: f"<{name}" for name, code in _CODES.items()}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
VERTICES, INDICES = 34962, 34963
"""What a buffer view is for: the `target` of vertex attributes and of indices."""


class Glb:
    """A glTF file that grows: accessors are added, then nodes and meshes are written into `top`."""

    def __init__(self) -> None:
        self.top: dict[str, Any] = {"asset": {"version": "2.0", "generator": "avatar3d"}}
        self._bytes = bytearray()
        self._views: list[dict[str, Any]] = []
        self._accessors: list[dict[str, Any]] = []

    def view(self, data: bytes, target: int | None = None) -> int:
        """Adds bytes and returns the number of their buffer view."""
        self._bytes += b"\0" * (-len(self._bytes) % 4)
        view = {"buffer": 0, "byteOffset": len(self._bytes), "byteLength": len(data)}
        self._views.append(view if target is None else {**view, "target": target})
        self._bytes += data
        return len(self._views) - 1

    def add(
        self, array: np.ndarray, kind: str, target: int | None = VERTICES, bounds: bool = False, unit: bool = False
    ) -> int:
        """Adds an array (n c) and returns the number of its accessor.

        Args:
            array: Of the number type to be stored.
            kind: `SCALAR`, `VEC3`, ...
            target: What the buffer view is for; None for animation data.
            bounds: Whether to store the least and greatest of each column, as positions and times need.
            unit: Whether whole numbers stand for 0 to 1.
        """
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        accessor: dict[str, Any] = {
            "bufferView": self.view(little.tobytes(), target),
            "componentType": _CODES[little.dtype.str[1:]],
            "count": little.size // _WIDTHS[kind],
            "type": kind,
        }
        if unit:
            accessor["normalized"] = True
        if bounds:
            accessor |= _bounds(little.reshape(accessor["count"], -1))
        self._accessors.append(accessor)
        return len(self._accessors) - 1

    def sparse(self, array: np.ndarray, least: float) -> int:
        """Adds an array (n 3, float32) of which only rows longer than `least` are stored, and returns its accessor."""
        rows = np.flatnonzero((array**2).sum(1) > least**2)
        if len(rows) == 0:
            rows = np.array([0])  # a sparse accessor must have an entry
        kept = array[rows].astype("<f4")
        if np.linalg.norm(kept, axis=1).max() <= least:
            kept[:] = 0
        full = np.zeros((len(array), 3), np.float32)
        full[rows] = kept
        index = rows.astype("<u2" if len(array) <= 1 << 16 else "<u4")
        self._accessors.append(
            {
                "componentType": _CODES["f4"],
                "count": len(array),
                "type": "VEC3",
                **_bounds(full),
                "sparse": {
                    "count": len(rows),
                    "indices": {
                        "bufferView": self.view(index.tobytes()),
                        "componentType": _CODES[index.dtype.str[1:]],
                    },
                    "values": {"bufferView": self.view(kept.tobytes())},
                },
            }
        )
        return len(self._accessors) - 1

    def to_bytes(self) -> bytes:
        """Returns the whole file."""
        data = bytes(self._bytes) + b"\0" * (-len(self._bytes) % 4)
        top = {**self.top, "buffers": [{"byteLength": len(data)}], "bufferViews": self._views}
        text = json.dumps({**top, "accessors": self._accessors}, separators=(",", ":"), allow_nan=False).encode()
        text += b" " * (-len(text) % 4)
        size = _HEAD.size + 2 * _CHUNK.size + len(text) + len(data)
        parts = [_HEAD.pack(_MAGIC, 2, size), _CHUNK.pack(len(text), _JSON), text, _CHUNK.pack(len(data), _BIN), data]
        return b"".join(parts)


def _bounds(table: np.ndarray) -> dict[str, list[float]]:
    return {"min": table.min(0).astype(float).tolist(), "max": table.max(0).astype(float).tolist()}


def parse(data: bytes, where: str) -> tuple[dict[str, Any], bytes]:
    """Returns a binary glTF file's JSON and its buffer.

    Raises:
        AvatarError: Not binary glTF 2.0, truncated, or with data in other files.
    """
    if len(data) < _HEAD.size + _CHUNK.size:
        raise AvatarError(f"{where}: not a binary glTF file, or truncated")
    magic, version, size = _HEAD.unpack_from(data)
    length, kind = _CHUNK.unpack_from(data, _HEAD.size)
    start = _HEAD.size + _CHUNK.size
    if magic != _MAGIC or version != 2 or kind != _JSON:
        raise AvatarError(f"{where}: not a binary glTF 2.0 file")
    if size > len(data) or start + length > size:
        raise AvatarError(f"{where}: truncated: {len(data)} of {size} bytes")
    top = read_json(data[start : start + length], where)
    at = start + length
    buffer = b""
    if at + _CHUNK.size <= size:
        length, kind = _CHUNK.unpack_from(data, at)
        if kind != _BIN or at + _CHUNK.size + length > size:
            raise AvatarError(f"{where}: truncated inside its data")
        buffer = data[at + _CHUNK.size : at + _CHUNK.size + length]
    if not isinstance(top, dict):
        raise AvatarError(f"{where}: its JSON is no object; it is damaged")
    needed = top.get("extensionsRequired", [])
    if needed and set(map(str, needed)) - {"KHR_gaussian_splatting", "KHR_mesh_quantization", "KHR_materials_unlit"}:
        raise AvatarError(f"{where}: needs extensions that are not known here: {str(needed)[:80]}")
    return top, buffer


def array(top: Mapping[str, Any], buffer: bytes, number: Any, where: str) -> np.ndarray:
    """Returns an accessor's values, n c, as float32 (whole numbers that stand for 0 to 1 divided; indices as they are).

    Raises:
        AvatarError: It does not exist, reaches outside of the file, or has a form that is not known.
    """
    meta = field(top, "accessors", _whole(number, where), where=where)
    count, kind = field(meta, "count", where=where), field(meta, "type", where=where)
    code = field(meta, "componentType", where=where)
    if kind not in _WIDTHS or code not in _TYPES or not isinstance(count, int) or not 0 < count <= 16 * MOST:
        raise AvatarError(f"{where}: accessor {number} has a form that is not known; the file is damaged")
    width, dtype = _WIDTHS[kind], np.dtype(_TYPES[code])
    if "bufferView" in meta:
        values = _rows(top, buffer, meta["bufferView"], meta.get("byteOffset", 0), dtype, (count, width), where)
    else:
        if count * width * 4 > 64 * max(len(buffer), 1 << 20):
            raise AvatarError(f"{where}: accessor {number} would be {count} rows of nothing; refused")
        values = np.zeros((count, width), dtype)
    if "sparse" in meta:
        values = _replaced(top, buffer, meta["sparse"], values, where)
    if meta.get("normalized") is True and dtype.kind in "iu":
        return np.maximum(values / np.iinfo(dtype).max, -1).astype(np.float32)
    return values


def _replaced(top: Mapping[str, Any], buffer: bytes, sparse: Any, values: np.ndarray, where: str) -> np.ndarray:
    """Returns a copy with the rows of a sparse accessor put in."""
    count = _whole(field(sparse, "count", where=where), where)
    code = field(sparse, "indices", "componentType", where=where)
    if code not in (5121, 5123, 5125) or count > len(values):
        raise AvatarError(f"{where}: a sparse accessor of {count} rows; the file is damaged")
    places = []
    for part, dtype, width in (("indices", _TYPES[code], 1), ("values", values.dtype, values.shape[1])):
        view = field(sparse, part, "bufferView", where=where)
        start = sparse[part].get("byteOffset", 0)
        places.append(_rows(top, buffer, view, start, np.dtype(dtype), (count, width), where))
    rows = places[0][:, 0].astype(np.int64)
    if count and rows.max() >= len(values):
        raise AvatarError(f"{where}: a sparse accessor reaches row {rows.max()} of {len(values)}; the file is damaged")
    values = values.copy()
    values[rows] = places[1]
    return values


def _rows(
    top: Mapping[str, Any], buffer: bytes, view: Any, start: Any, dtype: np.dtype, shape: tuple[int, int], where: str
) -> np.ndarray:
    """Returns rows of numbers inside a buffer view."""
    meta = field(top, "bufferViews", _whole(view, where), where=where)
    offset = _whole(meta.get("byteOffset", 0), where) + _whole(start, where)
    length, row = _whole(field(meta, "byteLength", where=where), where), dtype.itemsize * shape[1]
    stride = _whole(meta.get("byteStride", row), where)
    last = _whole(start, where) + stride * (shape[0] - 1) + row if shape[0] else 0
    if meta.get("buffer") != 0 or stride < row or last > length or offset - start + length > len(buffer):
        raise AvatarError(f"{where}: buffer view {view} reaches outside of the file; it is truncated or damaged")
    table = np.ndarray((shape[0], shape[1]), dtype, buffer, offset, (stride, dtype.itemsize))
    return np.ascontiguousarray(table)


def _whole(value: Any, where: str) -> int:
    """Returns a number that counts or points, or raises an `AvatarError`."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 40:
        raise AvatarError(f"{where}: '{str(value)[:20]}' where a count belongs; the file is damaged")
    return value
