"""`.ply` of 3D Gaussian splatting (Kerbl et al., 2023): every number as a float, the format that every tool reads."""

from dataclasses import dataclass

import numpy as np

from avatar3d.core import AvatarError, Gaussians
from avatar3d.export.splats import as_numpy, check_count, from_arrays

_OLD_TYPES = {"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4"}
_NEW_TYPES = {"int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4"}
_TYPES = {**_OLD_TYPES, **_NEW_TYPES, "float": "f4", "double": "f8", "float32": "f4", "float64": "f8"}
_HEADER_LIMIT = 1 << 16  # bytes; a scene of degree 3 takes 1.5 kB
_MOST_ELEMENTS = 100_000


@dataclass(frozen=True)
class Element:
    """A table of a PLY file."""

    name: str
    count: int
    row: np.dtype | None
    """None where a property is a list, so that rows differ in length."""


def write(gaussians: Gaussians) -> bytes:
    """Returns splats as a binary little-endian PLY; `f_rest` holds the higher degrees, channel by channel."""
    return pack({"vertex": table(gaussians)})


def table(gaussians: Gaussians) -> np.ndarray:
    """Returns splats as rows with the columns of such files."""
    rest = as_numpy(gaussians.sh[:, 1:]).transpose(0, 2, 1).reshape(len(gaussians), -1)
    columns = {
        **dict(zip("xyz", as_numpy(gaussians.means).T, strict=True)),
        **dict.fromkeys(("nx", "ny", "nz"), np.float32(0)),
        **{f"f_dc_{i}": as_numpy(gaussians.sh[:, 0, i]) for i in range(3)},
        **{f"f_rest_{i}": rest[:, i] for i in range(rest.shape[1])},
        "opacity": as_numpy(gaussians.logits),
        **{f"scale_{i}": as_numpy(gaussians.log_scales[:, i]) for i in range(3)},
        **{f"rot_{i}": as_numpy(gaussians.quats[:, i]) for i in range(4)},
    }
    rows = np.zeros(len(gaussians), [(name, "<f4") for name in columns])
    for name, column in columns.items():
        rows[name] = column
    return rows


def pack(elements: dict[str, np.ndarray], comments: tuple[str, ...] = ()) -> bytes:
    """Returns tables (structured arrays) as one binary little-endian PLY."""
    names = {"f4": "float", "f8": "double", "u1": "uchar", "u2": "ushort", "u4": "uint", "i4": "int"}
    lines = ["ply", "format binary_little_endian 1.0", *(f"comment {text}" for text in comments)]
    for name, table in elements.items():
        lines.append(f"element {name} {len(table)}")
        for column in table.dtype.names or ():
            lines.append(f"property {names[table.dtype[column].str[1:]]} {column}")
    head = "\n".join([*lines, "end_header", ""]).encode("ascii")
    return b"".join([head, *(table.tobytes() for table in elements.values())])


def read(data: bytes, where: str) -> Gaussians:
    """Returns the splats of a PLY file.

    Raises:
        AvatarError: Not such a file, text instead of binary, truncated, without the columns of splats, or with NaN.
    """
    return from_table(unpack(data, where), where)


def from_table(tables: dict[str, np.ndarray], where: str) -> Gaussians:
    """Returns the splats in the tables of a PLY file."""
    table = tables.get("vertex")
    names = table.dtype.names or () if table is not None else ()
    if table is None or "x" not in names:
        raise AvatarError(f"{where}: a PLY file without a table of vertices")
    check_count(len(table), where)
    missing = [n for n in _wanted() if n not in names]
    if missing:
        what = "a mesh or a point cloud, not splats" if "f_dc_0" not in names else "not a whole set of splats"
        raise AvatarError(f"{where}: the PLY file has no column '{missing[0]}': it is {what}")
    rest = [name for name in names if name.startswith("f_rest_")]
    if len(rest) not in (0, 9, 24, 45) or set(rest) != {f"f_rest_{i}" for i in range(len(rest))}:
        raise AvatarError(f"{where}: {len(rest)} columns f_rest; 0, 9, 24 or 45 make whole degrees")
    n = len(table)
    higher = stack(table, *(f"f_rest_{i}" for i in range(len(rest)))).reshape(n, 3, -1).transpose(0, 2, 1)
    sh = np.concatenate([stack(table, "f_dc_0", "f_dc_1", "f_dc_2")[:, None], higher], axis=1)
    return from_arrays(
        stack(table, "x", "y", "z"),
        stack(table, "rot_0", "rot_1", "rot_2", "rot_3"),
        stack(table, "scale_0", "scale_1", "scale_2"),
        table["opacity"].astype(np.float32),
        sh,
        where,
    )


def stack(table: np.ndarray, *names: str) -> np.ndarray:
    """Returns columns side by side as float32, n c."""
    out = np.zeros((len(table), len(names)), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # a double that is too large becomes infinity and is refused
        for i, name in enumerate(names):
            out[:, i] = table[name]
    return out


def unpack(data: bytes, where: str) -> dict[str, np.ndarray]:
    """Returns the tables of a binary PLY file by name; those behind one with lists are left out.

    Raises:
        AvatarError: A header that is not PLY's, text instead of binary, or fewer bytes than the header announces.
    """
    elements, order, at = _header(data, where)
    tables = {}
    for element in elements:
        if element.row is None:
            break
        size = element.count * element.row.itemsize
        if at + size > len(data):
            raise AvatarError(
                f"{where}: truncated: {element.count} rows '{element.name}' need {size} bytes, {len(data) - at} follow"
            )
        tables[element.name] = np.frombuffer(
            data, element.row.newbyteorder("<" if order == "<" else ">"), element.count, at
        )
        at += size
    return tables


def _header(data: bytes, where: str) -> tuple[list[Element], str, int]:
    """Returns the tables that the header announces, the byte order, and where the data begins."""
    if data[:3] != b"ply":
        raise AvatarError(f"{where}: not a PLY file")
    end = data.find(b"end_header", 0, _HEADER_LIMIT)
    start = data.find(b"\n", end) + 1
    if end < 0 or start == 0:
        raise AvatarError(f"{where}: a PLY header without an end; the file is damaged")
    order, found = "", []
    for line in data[:end].decode("latin-1").split("\n")[1:]:
        words = line.split()
        if not words or words[0] in ("comment", "obj_info"):
            continue
        try:
            order = _line(words, found) or order
        except (IndexError, KeyError, ValueError) as error:
            raise AvatarError(f"{where}: PLY header line '{line.strip()[:60]}' cannot be understood") from error
    if order not in ("<", ">"):
        raise AvatarError(f"{where}: a text PLY; only binary ones are read: convert it")
    try:
        elements = [Element(name, count, None if row is None else np.dtype(row)) for name, count, row in found]
    except ValueError as error:
        raise AvatarError(f"{where}: a PLY header that names a column twice") from error
    return elements, order, start


def _line(words: list[str], found: list) -> str:
    """Adds what a header line says to `found`; returns the byte order if it says that."""
    if words[0] == "format":
        return {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": "text"}[words[1]]
    if words[0] == "element":
        count = int(words[2])
        if count < 0 or len(found) >= _MOST_ELEMENTS:
            raise ValueError(count)
        found.append([words[1], count, []])
    elif words[0] == "property" and words[1] == "list":
        found[-1][2] = None
    elif words[0] == "property":
        if found[-1][2] is not None:
            found[-1][2].append((words[2], _TYPES[words[1]]))
    else:
        raise ValueError(words[0])
    return ""


def _wanted() -> list[str]:
    """Returns the columns that a file of splats must have."""
    numbered = [f"{stem}_{i}" for stem, count in (("f_dc", 3), ("scale", 3), ("rot", 4)) for i in range(count)]
    return ["x", "y", "z", *numbered, "opacity"]
