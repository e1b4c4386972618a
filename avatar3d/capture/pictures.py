"""Photos and folders of pictures as lazy frames."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from avatar3d.core import AvatarError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})

_TURNED = (5, 6, 7, 8)  # EXIF orientations that swap width and height


class Pictures:
    """Picture files as frames: EXIF orientation applied, transparency laid over white."""

    def __init__(self, paths: list[Path]):
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int, /) -> UInt8[np.ndarray, "h w 3"]:
        return _over_white(_read(self.paths[index]))

    def __iter__(self) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
        for index in range(len(self)):
            yield self[index]


class Mattes:
    """Masks from picture files: their alpha, or their brightness where they have none."""

    def __init__(self, paths: list[Path]):
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int, /) -> UInt8[np.ndarray, "h w"]:
        image = _read(self.paths[index])
        if image.mode == "RGBA":
            return np.asarray(image)[..., 3].copy()
        return np.asarray(image.convert("L")).copy()

    def __iter__(self) -> Iterator[UInt8[np.ndarray, "h w"]]:
        for index in range(len(self)):
            yield self[index]


def list_pictures(folder: Path) -> list[Path]:
    """Returns the pictures of a folder in natural order (2 before 10), all of one size.

    Raises:
        AvatarError: No pictures, or one of another size than the first.
    """
    paths = [p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]
    paths.sort(
        key=lambda p: [(0, int(s), "") if s.isdigit() else (1, 0, s) for s in re.split(r"(\d+)", p.name.lower())]
    )
    if not paths:
        kinds = ", ".join(sorted(s[1:] for s in SUFFIXES))
        raise AvatarError(f"{folder}: no pictures in this folder; it needs files of one of the kinds {kinds}")
    first = size_of(paths[0])
    for path in paths[1:]:
        if size_of(path) != first:
            raise AvatarError(f"{path}: size {size_of(path)} differs from {first} of {paths[0].name}; make them equal")
    return paths


def size_of(path: Path) -> tuple[int, int]:
    """Returns width and height as shown, from the file's header alone."""
    with _opened(path) as image:
        width, height = image.size
        return (height, width) if image.getexif().get(0x0112) in _TURNED else (width, height)


def is_picture(path: Path) -> bool:
    """Returns whether a file is a still picture, by its content."""
    try:
        with Image.open(path) as image:
            return getattr(image, "n_frames", 1) == 1
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError):
        return False


def has_alpha(path: Path) -> bool:
    """Returns whether a picture carries transparency that is not all opaque."""
    image = _read(path)
    return image.mode == "RGBA" and int(np.asarray(image)[..., 3].min()) < 255


def straight(path: Path) -> UInt8[np.ndarray, "h w c"]:
    """Returns a picture's own colours, and its alpha where it has one; nothing is laid over anything."""
    image = _read(path)
    return np.array(image if image.mode == "RGBA" else image.convert("RGB"))


def _opened(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise AvatarError(f"{path}: not a picture that can be read; save it again as PNG or JPEG") from error


def _read(path: Path) -> Image.Image:
    """Returns the picture, upright, as RGB, L or RGBA."""
    with _opened(path) as image:
        try:
            image.load()
        except (OSError, SyntaxError) as error:
            raise AvatarError(f"{path}: the picture is cut off or damaged; get it again") from error
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):  # 16 bits and more: keep the upper eight
        values = np.asarray(image).astype(np.float64)
        values /= 257.0 if values.max() > 255 else 1.0
        return Image.fromarray(np.clip(values + 0.5, 0, 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        return image.convert("RGBA")
    return image if image.mode in ("RGB", "L") else image.convert("RGB")


def _over_white(image: Image.Image) -> np.ndarray:
    if image.mode != "RGBA":
        return np.array(image.convert("RGB"))
    values = np.asarray(image).astype(np.float32)
    alpha = values[..., 3:] / 255
    return (values[..., :3] * alpha + 255 * (1 - alpha) + 0.5).astype(np.uint8)
