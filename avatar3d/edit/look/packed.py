"""Pictures and arrays inside of edits: text that is checked before anything of its size is allocated."""

import base64
import binascii
import io
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, UnidentifiedImageError

from avatar3d.core import AvatarError

LARGEST = 3 << 20
"""Characters of one packed value: a file's header, which holds the edits, has room for a few of them."""
SIDE = 2048
"""Pixels of a picture's longer side; larger ones are reduced on the way in, refused inside of an edit."""
_SOURCE_SIDE = 1 << 14  # of a picture file that is worth opening
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "I", "I;16", "CMYK", "YCbCr")


def read_image(path: Path | str, side: int = SIDE) -> UInt8[np.ndarray, "h w 4"]:
    """Returns the pixels of a picture file as RGBA, reduced to `side` if it is larger.

    Raises:
        AvatarError: No such file, not a picture, or an absurd size.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            if max(width, height) > _SOURCE_SIDE or min(width, height) < 1 or image.mode not in _MODES:
                raise AvatarError(f"{path}: a picture of {width}x{height} ({image.mode}); give at most {_SOURCE_SIDE}")
            if max(width, height) > side:
                image.thumbnail((side, side))
            return np.asarray(image.convert("RGBA"))
    except FileNotFoundError as error:
        raise AvatarError(f"{path}: no such file") from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise AvatarError(f"{path}: not a picture that can be read; give a PNG or JPEG file") from error


def pack_image(pixels: UInt8[np.ndarray, "h w c"]) -> str:
    """Returns a picture (RGB or RGBA) as text, losslessly.

    Raises:
        AvatarError: Too large for an edit.
    """
    if max(pixels.shape[:2]) > SIDE:
        raise AvatarError(f"a picture of {pixels.shape[1]}x{pixels.shape[0]} pixels; an edit holds at most {SIDE}")
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", optimize=True)
    return _text(stream.getvalue(), "the picture")


def unpack_image(text: str, name: str) -> Float[np.ndarray, "h w 4"]:
    """Returns the RGBA picture in [0, 1] of a text made by `pack_image`.

    Raises:
        AvatarError: Not a PNG in base64, or too large.
    """
    data = _bytes(text, name)
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            width, height = image.size
            if max(width, height) > SIDE:
                raise AvatarError(f"{name} has {width}x{height} pixels; give at most {SIDE}")
            return np.asarray(image.convert("RGBA"), np.float32) / 255
    except AvatarError:
        raise
    except Exception as error:  # a stranger's bytes: decoders raise errors of many kinds
        raise AvatarError(f"{name} is not a PNG picture in base64; pack it again") from error


def pack_array(values: np.ndarray) -> str:
    """Returns whole numbers as text.

    Raises:
        AvatarError: Too large for an edit.
    """
    return _text(zlib.compress(np.ascontiguousarray(values).tobytes(), 9), "the mesh")


def unpack_array(text: str, name: str, dtype: str, width: int, most: int) -> np.ndarray:
    """Returns rows of `width` numbers from a text made by `pack_array`.

    Args:
        text: The text.
        name: What it is called in errors.
        dtype: Of the numbers, little-endian: "<i2", "<u2", "u1".
        width: Numbers in a row.
        most: Largest number of rows.

    Raises:
        AvatarError: Not such a text, another number of numbers, or too many rows.
    """
    data = _bytes(text, name)
    limit = most * width * np.dtype(dtype).itemsize
    try:
        stream = zlib.decompressobj()
        plain = stream.decompress(data, limit + 1)
    except zlib.error as error:
        raise AvatarError(f"{name} is damaged; attach the mesh again") from error
    row = width * np.dtype(dtype).itemsize
    if len(plain) > limit or len(plain) % row or stream.unconsumed_tail:
        raise AvatarError(f"{name} does not hold 1 to {most} rows of {width} numbers; attach the mesh again")
    return np.frombuffer(plain, dtype).reshape(-1, width)


def _text(data: bytes, what: str) -> str:
    text = base64.b64encode(data).decode()
    if len(text) > LARGEST:
        raise AvatarError(f"{what} takes {len(text) >> 10} kB in an edit; at most {LARGEST >> 10} fit: reduce it")
    return text


def _bytes(text: str, name: str) -> bytes:
    if len(text) > LARGEST:
        raise AvatarError(f"{name} takes {len(text) >> 10} kB; at most {LARGEST >> 10} are read")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise AvatarError(f"{name} is not base64; pack it again") from error
