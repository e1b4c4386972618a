"""PlayCanvas' `.sog`, version 2: a zip of lossless WebP pictures, one pixel for each splat, and `meta.json`."""

import json
import math
from typing import Any

import numpy as np
import torch

from avatar3d.core import AvatarError, Gaussians
from avatar3d.export.archives import field, plainly, read_json, read_picture, read_zip, write_webp, write_zip
from avatar3d.export.quantised import codebook, morton_order, palette, with_largest, without_largest
from avatar3d.export.splats import as_numpy, check_count, from_arrays, opacities, to_logits

_TAG = 252  # alpha of the quaternion picture: 252 + index of the component left out
_ROW = 64  # entries of the palette in a row of its picture


def write(gaussians: Gaussians) -> bytes:
    """Returns splats as a SOG file: positions in 16 bits, the rest in 8; higher degrees by a palette of up to 65536."""
    g = gaussians.gather(torch.from_numpy(morton_order(as_numpy(gaussians.means))))
    n = len(g)
    width = 4 * math.ceil(math.sqrt(n) / 4)
    height = 4 * math.ceil(n / width / 4)

    def picture(*columns: np.ndarray) -> bytes:
        pixels = np.zeros((width * height, 4), np.uint8)
        pixels[:, 3] = 255
        for i, column in enumerate(columns):
            pixels[:n, i] = column
        return write_webp(pixels.reshape(height, width, 4))

    logs = np.sign(as_numpy(g.means)) * np.log1p(np.abs(as_numpy(g.means).astype(np.float64)))
    low, high = logs.min(0), logs.max(0)
    whole = np.round((logs - low) / np.maximum(high - low, 1e-12) * 65535).astype(np.int64)
    largest, rest = without_largest(as_numpy(g.quats))
    scale_levels, scales = codebook(as_numpy(g.log_scales))
    colour_levels, colours = codebook(as_numpy(g.sh[:, 0]))
    alpha = np.round(opacities(g) * 255)
    files = {
        "means_l.webp": picture(*(whole & 255).T),
        "means_u.webp": picture(*(whole >> 8).T),
        "scales.webp": picture(*scales.T),
        "quats.webp": picture(*np.round((rest / 2 + 0.5) * 255).T, largest + _TAG),
        "sh0.webp": picture(*colours.T, alpha),
    }
    meta: dict[str, Any] = {
        "version": 2,
        "asset": {"generator": "avatar3d"},
        "count": n,
        "means": {"mins": low.tolist(), "maxs": high.tolist(), "files": ["means_l.webp", "means_u.webp"]},
        "scales": {"codebook": scale_levels.tolist(), "files": ["scales.webp"]},
        "quats": {"files": ["quats.webp"]},
        "sh0": {"codebook": colour_levels.tolist(), "files": ["sh0.webp"]},
    }
    if g.sh.shape[1] > 1:
        meta["shN"], centres, label = _higher(as_numpy(g.sh[:, 1:]))
        files["shN_centroids.webp"] = centres
        files["shN_labels.webp"] = picture(label & 255, label >> 8)
    return write_zip([("meta.json", json.dumps(meta).encode()), *files.items()], packed=False)


def _higher(sh: np.ndarray) -> tuple[dict[str, Any], bytes, np.ndarray]:
    """Returns what `meta.json` says of the higher degrees, the picture of their palette, and each splat's entry."""
    n, k = sh.shape[:2]
    size = 1024 * min(64, 2 ** max(0, int(math.log2(max(1, n / 1024)))))
    centres, label = palette(sh.reshape(n, -1), min(size, 4096))  # more entries take minutes and show nothing
    levels, index = codebook(centres.reshape(len(centres), k, 3))
    rows = math.ceil(len(centres) / _ROW)
    pixels = np.zeros((rows * _ROW, k, 4), np.uint8)
    pixels[..., 3] = 255
    pixels[: len(centres), :, :3] = index
    bands = {3: 1, 8: 2, 15: 3}[k]
    meta = {"count": len(centres), "bands": bands, "codebook": levels.tolist()}
    picture = write_webp(pixels.reshape(rows, _ROW * k, 4))
    return {**meta, "files": ["shN_centroids.webp", "shN_labels.webp"]}, picture, label


def read(data: bytes, where: str) -> Gaussians:
    """Returns the splats of a SOG file.

    Raises:
        AvatarError: Not such a file, an older version, pictures that are missing, damaged or too small, or NaN.
    """
    return from_files(read_zip(data, where), where)


def from_files(files: dict[str, bytes], where: str) -> Gaussians:
    """Returns the splats in the unpacked files of a SOG bundle."""
    if "meta.json" not in files:
        raise AvatarError(f"{where}: no meta.json inside; not a .sog file")
    meta = read_json(files["meta.json"], f"{where}: meta.json")
    with plainly(where):
        return _read(files, meta, where)


def _read(files: dict[str, bytes], meta: Any, where: str) -> Gaussians:
    """Returns the splats that `meta.json` and the pictures hold."""
    if field(meta, "version", where=where) != 2:
        raise AvatarError(f"{where}: sog version {str(meta['version'])[:20]}; 2 can be read")
    n = field(meta, "count", where=where)
    if not isinstance(n, int):
        raise AvatarError(f"{where}: its count is not a number")
    check_count(n, where)

    def pixels(part: str, which: int = 0, most: int = 0) -> np.ndarray:
        name = field(meta, part, "files", which, where=where)
        if not isinstance(name, str) or name not in files:
            raise AvatarError(f"{where}: the picture '{str(name)[:60]}' is missing")
        return read_picture(files[name], f"{where}: {name}", most or 4 * n + 4096)

    def columns(part: str, which: int = 0) -> np.ndarray:
        flat = pixels(part, which).reshape(-1, 4)
        if len(flat) < n:
            raise AvatarError(f"{where}: the picture of '{part}' has {len(flat)} pixels for {n} splats")
        return flat[:n].astype(np.int64)

    low, high = (_numbers(meta, "means", end, where=where, size=3) for end in ("mins", "maxs"))
    logs = low + (high - low) * (columns("means")[:, :3] | columns("means", 1)[:, :3] << 8) / 65535
    with np.errstate(over="ignore"):
        means = np.sign(logs) * np.expm1(np.abs(logs))
    turn = columns("quats")
    if (turn[:, 3] < _TAG).any():
        raise AvatarError(f"{where}: splat {int((turn[:, 3] < _TAG).argmax())} has no rotation; the file is damaged")
    quats = with_largest(turn[:, 3] - _TAG, turn[:, :3] / 255 * 2 - 1)
    scales = _numbers(meta, "scales", "codebook", where=where, size=256)[columns("scales")[:, :3]]
    colour = columns("sh0")
    sh = _numbers(meta, "sh0", "codebook", where=where, size=256)[colour[:, :3]][:, None]
    if "shN" in meta:
        label = columns("shN", 1)
        higher = _palette(meta, pixels("shN", 0, 1 << 24), where)
        index = label[:, 0] | label[:, 1] << 8
        if index.max() >= len(higher):
            raise AvatarError(f"{where}: a splat takes entry {int(index.max())} of a palette of {len(higher)}")
        sh = np.concatenate([sh, higher[index]], axis=1)
    return from_arrays(means, quats, scales, to_logits(colour[:, 3] / 255), sh, where)


def _palette(meta: Any, pixels: np.ndarray, where: str) -> np.ndarray:
    """Returns the palette of the higher degrees, p k 3."""
    bands = field(meta, "shN", "bands", where=where)
    k = {1: 3, 2: 8, 3: 15}.get(bands if isinstance(bands, int) else 0, 0)
    if not k or pixels.shape[1] != _ROW * k:
        raise AvatarError(f"{where}: a palette {pixels.shape[1]} pixels wide for {str(bands)[:9]} bands: damaged")
    levels = _numbers(meta, "shN", "codebook", where=where, size=256)
    return levels[pixels.reshape(-1, k, 4)[..., :3]]


def _numbers(meta: Any, *path: str, where: str, size: int) -> np.ndarray:
    """Returns a list of numbers inside the JSON."""
    value = field(meta, *path, where=where)
    good = isinstance(value, list) and len(value) == size
    if not good or not all(isinstance(x, int | float) and math.isfinite(x) for x in value):
        raise AvatarError(f"{where}: '{'.'.join(path)}' is not a list of {size} numbers")
    return np.array(value, np.float64)
