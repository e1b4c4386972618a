"""Niantic's `.spz`: quantised splats, in one gzip stream (versions 1 to 3) or in zstd streams (version 4).

Written in its own axes, right-up-back, which are ours. Positions get 16 fractional bits (0.015 mm; the format's usual
12 bits, 0.24 mm, show on a face). Layout: load-spz.cc of github.com/nianticlabs/spz.
"""

import struct
import zlib

import numpy as np

from avatar3d.core import AvatarError, Gaussians
from avatar3d.export.archives import gunzip, zstd_module
from avatar3d.export.quantised import with_largest, without_largest
from avatar3d.export.splats import as_numpy, check_count, from_arrays, opacities, to_logits

_MAGIC = 0x5053474E
_FRACTION = 16
_WIDE = 0.15  # colour bytes span coefficients of +-3.3
_HEAD, _HEAD4 = struct.Struct("<IIIBBBB"), struct.Struct("<IIIBBBBI12x")
_LEVEL = 12  # zstd; the reference's
_DEGREES = {1: 0, 4: 1, 9: 2, 16: 3}


def write(gaussians: Gaussians, version: int = 3) -> bytes:
    """Returns splats as an SPZ file.

    Raises:
        AvatarError: A version that is not 3 or 4, or 4 without the package `zstandard`.
    """
    if version not in (3, 4):
        raise AvatarError(f"spz version {version}: 3 and 4 can be written")
    parts = _pack(gaussians)
    n, degree = len(gaussians), _DEGREES[gaussians.sh.shape[1]]
    if version == 3:
        head = _HEAD.pack(_MAGIC, 3, n, degree, _FRACTION, 0, 0)
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)  # 31: with gzip's own header, whose date stays 0
        return packer.compress(head + b"".join(parts)) + packer.flush()
    packer = zstd_module().ZstdCompressor(level=_LEVEL)
    streams = [packer.compress(part) for part in parts]
    head = _HEAD4.pack(_MAGIC, 4, n, degree, _FRACTION, 0, len(streams), _HEAD4.size)
    sizes = [struct.pack("<QQ", len(stream), len(part)) for stream, part in zip(streams, parts, strict=True)]
    return b"".join([head, *sizes, *streams])


def read(data: bytes, where: str) -> Gaussians:
    """Returns the splats of an SPZ file of any version.

    Raises:
        AvatarError: Not such a file, a version or degree that is not known, truncated, or larger than it announces.
    """
    if data[:2] == b"\x1f\x8b":
        head = gunzip(data, _HEAD.size, where)
        magic, version, n, degree, fraction, _, _ = _HEAD.unpack(_whole(head, _HEAD.size, where))
        sizes = _sizes(magic, version, n, degree, fraction, where)
        if not 1 <= version <= 3:
            raise AvatarError(f"{where}: spz version {version} in a gzip stream; 1 to 3 can be read so")
        body = gunzip(data, _HEAD.size + sum(sizes), where, whole=True)[_HEAD.size :]
        parts = np.split(np.frombuffer(_whole(body, sum(sizes), where), np.uint8), np.cumsum(sizes)[:-1])
    else:
        magic, version, n, degree, fraction, _, count, at = _HEAD4.unpack(_whole(data[:32], _HEAD4.size, where))
        sizes = _sizes(magic, version, n, degree, fraction, where)
        if version != 4:
            raise AvatarError(f"{where}: spz version {version} is not known; update the program, or save it as 4 or 3")
        parts = _streams(data, count, at, sizes, where)
    return _unpack(parts, n, version, fraction, where)


def _pack(g: Gaussians) -> list[bytes]:
    """Returns positions, opacities, colours, scales, rotations and higher degrees (where there are any) as bytes."""
    fixed = np.round(as_numpy(g.means).astype(np.float64) * (1 << _FRACTION)).astype(np.int64)
    if np.abs(fixed).max() >= 1 << 23:
        reach = (1 << 23) / (1 << _FRACTION)
        raise AvatarError(f"spz: a splat lies {np.abs(as_numpy(g.means)).max():.0f} m away, more than {reach:.0f}")
    positions = np.stack([(fixed >> shift) & 0xFF for shift in (0, 8, 16)], -1).astype(np.uint8)
    largest, rest = without_largest(as_numpy(g.quats)[:, [1, 2, 3, 0]])
    packed = largest.astype(np.uint32)
    for column in rest.T:
        magnitude = np.round(np.abs(column) * 511).astype(np.uint32)
        packed = (packed << np.uint32(10)) | ((column < 0).astype(np.uint32) << np.uint32(9)) | magnitude
    parts = [
        positions,
        np.minimum(_byte(opacities(g) * 255), 254),  # 255 is an infinite logit to other readers
        _byte(as_numpy(g.sh[:, 0]) * (_WIDE * 255) + 127.5),
        _byte((as_numpy(g.log_scales) + 10) * 16),
        packed.astype("<u4"),
    ]
    if g.sh.shape[1] > 1:
        parts.append(_byte(as_numpy(g.sh[:, 1:]) * 128 + 128))
    return [part.tobytes() for part in parts]


def _unpack(parts: list[np.ndarray], n: int, version: int, fraction: int, where: str) -> Gaussians:
    positions, alpha, colours, scales, rotations = parts[:5]
    if version == 1:
        means = np.ascontiguousarray(positions).view("<f2").reshape(n, 3).astype(np.float64)
    else:
        digits = positions.reshape(n, 3, 3).astype(np.int64)
        whole = digits[..., 0] | digits[..., 1] << 8 | digits[..., 2] << 16
        means = (whole - ((whole >> 23) << 24)) / (1 << fraction)
    if version < 3:
        kept = rotations.reshape(n, 3) / 127.5 - 1
        quats = np.column_stack([np.sqrt(np.clip(1 - (kept**2).sum(1), 0, None)), kept])
    else:
        packed = np.ascontiguousarray(rotations).view("<u4")
        columns = [(packed >> np.uint32(shift)) for shift in (20, 10, 0)]
        rest = np.column_stack([(c & 511) / 511 * np.where(c & 512, -1.0, 1.0) for c in columns])
        quats = with_largest((packed >> 30).astype(np.int64), rest)[:, [3, 0, 1, 2]]
    sh = (colours.reshape(n, 1, 3) / 255 - 0.5) / _WIDE
    if len(parts) > 5:
        sh = np.concatenate([sh, (parts[5].reshape(n, -1, 3) - 128.0) / 128], axis=1)
    return from_arrays(means, quats, scales.reshape(n, 3) / 16 - 10, to_logits(alpha / 255), sh, where)


def _sizes(magic: int, version: int, n: int, degree: int, fraction: int, where: str) -> list[int]:
    """Returns the length of each part in bytes, after checking what the header says."""
    if magic != _MAGIC:
        raise AvatarError(f"{where}: not an spz file")
    check_count(n, where)
    if degree > 3:
        raise AvatarError(f"{where}: colours of degree {degree}; 0 to 3 can be read")
    if version > 1 and not 1 <= fraction <= 24:
        raise AvatarError(f"{where}: {fraction} fractional bits; the file is damaged")
    higher = 3 * ((degree + 1) ** 2 - 1)
    sizes = [6 if version == 1 else 9, 1, 3, 3, 3 if version < 3 else 4, *([higher] if higher else [])]
    return [n * size for size in sizes]


def _streams(data: bytes, count: int, at: int, sizes: list[int], where: str) -> list[np.ndarray]:
    """Returns the parts of a version 4 file."""
    if count != len(sizes) or at < _HEAD4.size or at + 16 * count > len(data):
        raise AvatarError(f"{where}: {count} streams where {len(sizes)} belong, or truncated")
    start, parts = at + 16 * count, []
    for i, size in enumerate(sizes):
        held, announced = struct.unpack_from("<QQ", data, at + 16 * i)
        if announced != size or start + held > len(data):
            raise AvatarError(f"{where}: stream {i} holds {announced} bytes where {size} belong, or is truncated")
        zstd = zstd_module()
        try:
            with zstd.ZstdDecompressor(max_window_size=1 << 27).stream_reader(data[start : start + held]) as stream:
                part = stream.read(size + 1)
        except zstd.ZstdError as error:
            raise AvatarError(f"{where}: stream {i} is damaged") from error
        if len(part) != size:
            raise AvatarError(f"{where}: stream {i} does not unpack to {size} bytes")
        parts.append(np.frombuffer(part, np.uint8))
        start += held
    return parts


def _whole(data: bytes, size: int, where: str) -> bytes:
    if len(data) != size:
        raise AvatarError(f"{where}: truncated: {len(data)} bytes where {size} belong")
    return data


def _byte(values: np.ndarray) -> np.ndarray:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)
