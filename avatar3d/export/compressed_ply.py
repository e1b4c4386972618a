"""PlayCanvas' compressed `.ply`: chunks of 256 splats, each number within the bounds of its chunk."""

import numpy as np

from avatar3d.core import AvatarError, Gaussians
from avatar3d.export import ply
from avatar3d.export.quantised import morton_order, with_largest, without_largest
from avatar3d.export.splats import C0, as_numpy, check_count, from_arrays, opacities, to_logits

_CHUNK = 256
_BOUNDS = [f"{end}_{of}{x}" for of in ("", "scale_") for end in ("min", "max") for x in "xyz"]
_COLOURS = [f"{end}_{x}" for end in ("min", "max") for x in "rgb"]
_PACKED = ["packed_position", "packed_rotation", "packed_scale", "packed_color"]
_SCALES = 20.0  # logarithms beyond this are clamped, as the reference writer does


def write(gaussians: Gaussians) -> bytes:
    """Returns splats as a compressed PLY, 16 bytes each and one more for each coefficient of a higher degree."""
    g = gaussians.gather(_index(gaussians))
    n = len(g)
    colours = as_numpy(g.sh[:, 0]) * C0 + 0.5
    scales = np.clip(as_numpy(g.log_scales), -_SCALES, _SCALES)
    chunk = np.arange(n) // _CHUNK
    firsts = np.arange(0, n, _CHUNK)
    bounds, within = [], []
    for values in (as_numpy(g.means), scales, colours):
        low, high = np.minimum.reduceat(values, firsts), np.maximum.reduceat(values, firsts)
        bounds += [low, high]
        within.append((values - low[chunk]) / np.maximum(high - low, 1e-12)[chunk])
    table = np.zeros(n, [(name, "<u4") for name in _PACKED])
    table["packed_position"] = _bits(within[0], (11, 10, 11))
    table["packed_scale"] = _bits(within[1], (11, 10, 11))
    table["packed_color"] = _bits(np.column_stack([within[2], opacities(g)]), (8, 8, 8, 8))
    largest, rest = without_largest(as_numpy(g.quats))
    table["packed_rotation"] = (largest.astype(np.uint32) << np.uint32(30)) | _bits(rest / 2 + 0.5, (10, 10, 10))
    chunks = np.zeros(len(firsts), [(name, "<f4") for name in _BOUNDS + _COLOURS])
    for name, column in zip(_BOUNDS + _COLOURS, np.column_stack(bounds).T, strict=True):
        chunks[name] = column
    elements = {"chunk": chunks, "vertex": table}
    higher = as_numpy(g.sh[:, 1:]).transpose(0, 2, 1).reshape(n, -1)
    if higher.shape[1]:
        elements["sh"] = np.zeros(n, [(f"f_rest_{i}", "u1") for i in range(higher.shape[1])])
        for i, column in enumerate(higher.T):
            elements["sh"][f"f_rest_{i}"] = np.clip((column / 8 + 0.5) * 256, 0, 255).astype(np.uint8)
    return ply.pack(elements)


def is_compressed(tables: dict[str, np.ndarray]) -> bool:
    """Returns whether a PLY file's tables are of this form."""
    return "chunk" in tables and "vertex" in tables and "packed_position" in (tables["vertex"].dtype.names or ())


def read(data: bytes, where: str) -> Gaussians:
    """Returns the splats of a compressed PLY.

    Raises:
        AvatarError: Another kind of PLY, truncated, too few chunks, or NaN.
    """
    return from_tables(ply.unpack(data, where), where)


def from_tables(tables: dict[str, np.ndarray], where: str) -> Gaussians:
    """Returns the splats in the tables of a compressed PLY."""
    if not is_compressed(tables):
        raise AvatarError(f"{where}: not a compressed PLY of splats")
    chunks, table = tables["chunk"], tables["vertex"]
    n = check_count(len(table), where)
    for names, of in ((_PACKED, table), (_BOUNDS, chunks)):
        missing = [name for name in names if name not in (of.dtype.names or ())]
        if missing:
            raise AvatarError(f"{where}: the compressed PLY has no column '{missing[0]}'")
    if any(table.dtype[name].kind != "u" or table.dtype[name].itemsize != 4 for name in _PACKED):
        raise AvatarError(f"{where}: the packed columns are not whole numbers of 32 bits")
    if len(chunks) * _CHUNK < n:
        raise AvatarError(f"{where}: {len(chunks)} chunks of {_CHUNK} for {n} splats; the file is damaged")
    chunk = np.arange(n) // _CHUNK
    position, scale = (_unbits(table[name], (11, 10, 11)) for name in ("packed_position", "packed_scale"))
    colour = _unbits(table["packed_color"], (8, 8, 8, 8))
    low_high = [ply.stack(chunks, *_BOUNDS[i : i + 3])[chunk] for i in (0, 3, 6, 9)]
    rgb = colour[:, :3]
    if all(name in (chunks.dtype.names or ()) for name in _COLOURS):
        low, high = (ply.stack(chunks, *_COLOURS[i : i + 3])[chunk] for i in (0, 3))
        rgb = low * (1 - rgb) + high * rgb
    higher = np.zeros((n, 0, 3), np.float32)
    if "sh" in tables:
        higher = _higher(tables["sh"], n, where)
    with np.errstate(all="ignore"):  # infinite bounds give NaN, which is refused below
        means, scales = (a * (1 - t) + b * t for a, b, t in ((*low_high[:2], position), (*low_high[2:], scale)))
    rotation = table["packed_rotation"]
    quats = with_largest((rotation >> 30).astype(np.int64), _unbits(rotation, (10, 10, 10)) * 2 - 1)
    sh = np.concatenate([((rgb - 0.5) / C0)[:, None], higher], axis=1)
    return from_arrays(means, quats, scales, to_logits(colour[:, 3]), sh, where)


def _higher(table: np.ndarray, n: int, where: str) -> np.ndarray:
    """Returns coefficients of the higher degrees, n k 3."""
    names = table.dtype.names or ()
    if len(table) != n or len(names) not in (9, 24, 45) or set(names) != {f"f_rest_{i}" for i in range(len(names))}:
        raise AvatarError(f"{where}: {len(names)} colour coefficients for {len(table)} of {n} splats; it is damaged")
    stored = ply.stack(table, *(f"f_rest_{i}" for i in range(len(names))))
    share = np.where(stored <= 0, 0.0, np.where(stored >= 255, 1.0, (stored + 0.5) / 256))
    return ((share - 0.5) * 8).reshape(n, 3, -1).transpose(0, 2, 1)


def _index(gaussians: Gaussians):
    import torch

    return torch.from_numpy(morton_order(as_numpy(gaussians.means)))


def _bits(shares: np.ndarray, widths: tuple[int, ...]) -> np.ndarray:
    """Returns numbers in [0, 1] packed into 32 bits, the first column highest."""
    packed = np.zeros(len(shares), np.uint32)
    for column, width in zip(shares.T, widths, strict=True):
        most = (1 << width) - 1
        packed = (packed << np.uint32(width)) | np.clip(np.floor(column * most + 0.5), 0, most).astype(np.uint32)
    return packed


def _unbits(packed: np.ndarray, widths: tuple[int, ...]) -> np.ndarray:
    """Returns what `_bits` packed."""
    columns, shift = [], sum(widths)
    for width in widths:
        shift -= width
        most = (1 << width) - 1
        columns.append(((packed >> np.uint32(shift)) & np.uint32(most)) / most)
    return np.column_stack(columns)
