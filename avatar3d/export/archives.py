"""Packed files, opened with distrust: sizes are checked before anything is unpacked."""

import contextlib
import io
import json
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from avatar3d.core import AvatarError

_MOST_PARTS = 1000
_FREE, _RATIO = 64 << 20, 200
"""May unpack to that many bytes, or to that many times the packed size, whichever is more: real ones reach 20."""
_MOST = 4 << 30
_TAIL = 1 << 20  # bytes that may follow what is read: extensions of the format
_ZIP_ERRORS = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, NotImplementedError, RuntimeError, EOFError, OSError,
    ValueError, IndexError, KeyError,
)  # fmt: skip
"""What `zipfile` raises on damaged files."""
_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can say: the same avatar gives the same bytes


def gunzip(data: bytes, size: int, where: str, whole: bool = False) -> bytes:
    """Returns at most the first `size` bytes of a gzip stream, without unpacking much more.

    Args:
        data: The stream.
        size: Bytes wanted.
        where: The file, for messages.
        whole: Whether the stream must then end, with a checksum that is right, within a megabyte.

    Raises:
        AvatarError: Not gzip, damaged, truncated, or a stream that would grow out of all proportion.
    """
    check_growth(len(data), size, where)
    stream = zlib.decompressobj(31)
    try:
        found = stream.decompress(data, size)
        if whole:
            stream.decompress(stream.unconsumed_tail, _TAIL)
    except zlib.error as error:
        raise AvatarError(f"{where}: its gzip stream is damaged") from error
    if whole and not stream.eof:
        raise AvatarError(f"{where}: its gzip stream is truncated, or goes on too long")
    return found


def check_growth(packed: int, size: int, where: str) -> None:
    """Raises an `AvatarError` where unpacking would fill the memory: a bomb."""
    if size > _MOST or (size > _FREE and size > _RATIO * packed):
        raise AvatarError(f"{where}: {packed} bytes that would unpack to {size}; refused")


def read_zip(data: bytes, where: str) -> dict[str, bytes]:
    """Returns the files of a zip by name, in memory.

    Raises:
        AvatarError: Not a zip, damaged, encrypted, with names that leave its folder, or one that would grow out of all
            proportion.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = [part for part in archive.infolist() if not part.filename.endswith("/")]
            if len(parts) > _MOST_PARTS:
                raise AvatarError(f"{where}: a zip of {len(parts)} files; refused")
            for part in parts:
                path = PurePosixPath(part.filename.replace("\\", "/"))
                if path.is_absolute() or ".." in path.parts or ":" in part.filename:
                    raise AvatarError(f"{where}: names a file outside of itself ('{part.filename[:60]}'); refused")
                if part.flag_bits & 1:
                    raise AvatarError(f"{where}: is encrypted; unpack it first")
            check_growth(sum(part.compress_size for part in parts), sum(part.file_size for part in parts), where)
            check_growth(len(data), sum(part.file_size for part in parts), where)
            return {part.filename: _content(archive, part, where) for part in parts}
    except _ZIP_ERRORS as error:
        raise AvatarError(f"{where}: a damaged zip ({ascii(str(error))[1:80]})") from error


def _content(archive: zipfile.ZipFile, part: zipfile.ZipInfo, where: str) -> bytes:
    """Returns a file of a zip, unpacking no more than it announces: `ZipFile.read` unpacks all there is at once."""
    with archive.open(part) as file:
        content = file.read(part.file_size)
        if len(content) != part.file_size or file.read(1):
            raise AvatarError(f"{where}: '{part.filename[:60]}' is not as long as it says; the zip is damaged")
    return content


def write_zip(files: Iterable[tuple[str, bytes]], packed: bool) -> bytes:
    """Returns a zip, always the same bytes for the same files; a name that ends in '/' is a folder.

    Args:
        files: Names and contents, in order.
        packed: Whether to deflate; False for contents that are packed already.
    """
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, content in files:
            entry = zipfile.ZipInfo(name, _DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED if packed and content else zipfile.ZIP_STORED
            entry.external_attr = (0o40755 << 16 | 0x10) if name.endswith("/") else 0o644 << 16
            archive.writestr(entry, content)
    return held.getvalue()


def read_json(data: bytes, where: str) -> Any:
    """Returns what a JSON text says.

    Raises:
        AvatarError: Not JSON, or with NaN.
    """
    try:
        return json.loads(data, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise AvatarError(f"{where}: not JSON, or damaged") from error


def _refused(name: str) -> None:
    raise ValueError(name)


def write_webp(pixels: np.ndarray) -> bytes:
    """Returns an RGBA picture (h w 4, uint8) as lossless WebP, the colours of transparent pixels kept."""
    held = io.BytesIO()
    Image.fromarray(pixels, "RGBA").save(held, "webp", lossless=True, exact=True, quality=80, method=4)
    return held.getvalue()


def read_picture(data: bytes, where: str, most: int) -> np.ndarray:
    """Returns a picture as RGBA, h w 4, uint8.

    Raises:
        AvatarError: Not a PNG, JPEG or WebP, damaged, or with more than `most` pixels (checked before decoding).
    """
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as picture:
            if picture.width * picture.height > most:
                raise AvatarError(f"{where}: a picture of {picture.width}x{picture.height}; refused")
            return np.asarray(picture.convert("RGBA"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise AvatarError(f"{where}: a damaged picture") from error


@contextlib.contextmanager
def plainly(where: str) -> Iterator[None]:
    """Turns what JSON of a wrong form raises (a list where a number belongs) into one line."""
    try:
        yield
    except (TypeError, KeyError, IndexError, AttributeError, ValueError, OverflowError) as error:
        raise AvatarError(f"{where}: its JSON is of another form than the format's; it is damaged") from error


def field(meta: Any, *path: str | int, where: str) -> Any:
    """Returns a value inside JSON, or raises an `AvatarError` that says what is missing."""
    value = meta
    for key in path:
        known = isinstance(value, Mapping) and key in value if isinstance(key, str) else isinstance(value, list)
        if not known or (isinstance(key, int) and not 0 <= key < len(value)):
            raise AvatarError(f"{where}: says nothing of '{'.'.join(map(str, path))}'; it is damaged")
        value = value[key]
    return value


def zstd_module():
    """Returns the module `zstandard`.

    Raises:
        AvatarError: It is not installed.
    """
    try:
        import zstandard
    except ImportError as error:
        raise AvatarError("spz version 4 needs the package zstandard: pip install zstandard") from error
    return zstandard
