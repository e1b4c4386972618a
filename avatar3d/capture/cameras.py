"""Calibrated pictures of a folder: cameras from a transforms.json, COLMAP's text files, or an OpenCV yml/xml.

Conventions end here: what comes out is OpenCV `w2c`, pixels with centres at +0.5, in the calibration's own unit.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from avatar3d.capture import calibrations
from avatar3d.capture.calibrations import Lens, rigid_w2c, sized
from avatar3d.core import AvatarError

_LARGEST = 256 << 20  # bytes of a calibration file; a thousand frames of sixteen views are 10 MB
_LISTS = ("transforms.json", "transforms_train.json", "transforms_val.json", "transforms_test.json")
_MODELS = {"PINHOLE", "SIMPLE_PINHOLE", "OPENCV", "SIMPLE_RADIAL", "RADIAL", "PERSPECTIVE"}
_DISTORTION = ("k1", "k2", "p1", "p2", "k3")
_MOVING = ("flame_param_path", "exp_path", "mesh_path", "expression")
"""Keys of captures whose every frame is a moment of its own, though they number none."""
_SUFFIXES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Shot:
    """A picture, where its camera stood, and when it was taken."""

    image: Path
    mask: Path | None
    w2c: Float[np.ndarray, "4 4"]
    lens: Lens
    step: int
    """Time step, counted from 0."""
    camera: str
    """Pictures of the same name were taken by the same camera."""
    held: bool = False
    """Whether the capture sets it aside to score on."""


def find(folder: Path) -> Path | None:
    """Returns the calibration of a folder of pictures, or None where it has none."""
    for name in _LISTS[:2]:
        if (folder / name).is_file():
            return folder / name
    for place in (folder, folder / "sparse" / "0", folder / "sparse", folder / "colmap"):
        if (place / "cameras.txt").is_file() and (place / "images.txt").is_file():
            return place / "images.txt"
        if (place / "cameras.bin").is_file():
            raise AvatarError(
                f"{place / 'cameras.bin'}: COLMAP's binary form; convert it to text with"
                " `colmap model_converter --output_type TXT`"
            )
    for name in ("extri", "cameras", "calibration", "calib"):
        for suffix in (".yml", ".yaml", ".xml"):
            if (folder / (name + suffix)).is_file():
                return folder / (name + suffix)
    return None


def read(path: Path) -> list[Shot]:
    """Returns the shots that a calibration describes, by time step, then by camera.

    Pictures are not opened; those of a transforms.json must lie in its own folder.

    Args:
        path: A transforms.json (its _train, _val and _test companions are read with it), COLMAP's images.txt, or an
            OpenCV yml/xml.

    Raises:
        AvatarError: The file cannot be read, a matrix is not a camera, a model is unknown, or a path leads outside.
    """
    if path.name.endswith(".json"):
        shots = _transforms(path)
    elif path.name == "images.txt":
        shots = _named(path, calibrations.colmap(path, _text(path), _text(path.parent / "cameras.txt")))
    elif path.suffix.lower() in (".yml", ".yaml", ".xml"):
        shots = _filmed(path, calibrations.opencv(path))
    else:
        raise AvatarError(f"{path}: not a calibration; give a transforms.json, COLMAP's images.txt, or an OpenCV yml")
    if not shots:
        raise AvatarError(f"{path}: it lists no pictures; check the file")
    numbers = {step: i for i, step in enumerate(sorted({s.step for s in shots}))}
    shots = [replace(s, step=numbers[s.step]) for s in shots]
    return sorted(shots, key=lambda s: (s.step, _natural(s.camera), s.image.name))


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST:
            raise AvatarError(f"{path}: larger than {_LARGEST >> 20} MB; this is not a calibration")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AvatarError(f"{path}: cannot be read as text ({error})") from error


def _transforms(path: Path) -> list[Shot]:
    """Returns the shots of a transforms.json, of the NeRF, nerfstudio or VHAP kind.

    Where there is a transforms_train.json it is read instead, and what is in its _test or _val companion but not in it
    is held out.
    """
    folder, shots, known = path.parent, [], set()
    lists = [path]
    if path.name in _LISTS and (folder / _LISTS[1]).is_file():
        lists = [folder / name for name in _LISTS[1:] if (folder / name).is_file()]
    for one in lists:
        try:
            data = json.loads(_text(one))
            frames = data["frames"]
            rows = [dict(row) for row in frames]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise AvatarError(f"{one}: not a transforms.json with `frames` ({error}); check the file") from error
        for index, row in enumerate(rows):
            shot = _frame(one, data, row, index, held=one.name in _LISTS[2:] and len(lists) > 1)
            if (shot.image, shot.camera) not in known:
                known.add((shot.image, shot.camera))
                shots.append(shot)
    return shots


def _frame(path: Path, data: Mapping[str, Any], row: Mapping[str, Any], index: int, held: bool) -> Shot:
    where = f"{path}: frame {index}"
    both = {**{k: v for k, v in data.items() if k != "frames"}, **row}
    model = str(both.get("camera_model", "OPENCV")).upper()
    if model not in _MODELS:
        raise AvatarError(f"{where}: unknown camera model '{model}'; undistort the pictures to PINHOLE first")
    c2w = calibrations.matrix(row.get("transform_matrix"), where, "transform_matrix")
    turned = c2w @ np.diag([1.0, -1.0, -1.0, 1.0])  # OpenGL axes (y up, z back) to OpenCV's
    w2c = np.linalg.inv(rigid_w2c(turned, where))
    try:
        width, height = (int(both[k]) if k in both else 0 for k in ("w", "h"))
        numbers = {k: float(both[k]) for k in ("fl_x", "fl_y", "cx", "cy", "camera_angle_x", *_DISTORTION) if k in both}
        moving = any(k in row for k in _MOVING)
        step = int(row.get("timestep_index", row.get("timestep", index if moving else 0)))
    except (TypeError, ValueError) as error:
        raise AvatarError(f"{where}: a number of the camera is not one ({error})") from error
    lens = Lens(width, height, numbers.get("fl_x", 0.0), numbers.get("fl_y", numbers.get("fl_x", 0.0)))
    if "camera_angle_x" in numbers and "fl_x" not in numbers:
        lens = replace(lens, angle=numbers["camera_angle_x"])
    lens = replace(
        lens,
        cx=numbers.get("cx", math.nan),
        cy=numbers.get("cy", math.nan),
        distortion=tuple(numbers.get(k, 0.0) for k in _DISTORTION),
    )
    image = _inside(path.parent, row.get("file_path"), where, "file_path")
    mask = row.get("fg_mask_path", row.get("mask_path"))
    own = row.get("camera_index", row.get("camera_id"))
    camera = f"{own}" if own is not None else f"frame {index}"
    return Shot(
        image=image,
        mask=None if mask is None else _inside(path.parent, mask, where, "fg_mask_path"),
        w2c=w2c,
        lens=lens.checked(where),
        step=step,
        camera=camera,
        held=held,
    )


def _inside(folder: Path, name: object, where: str, key: str) -> Path:
    """Returns the file of a relative path that stays within `folder`; a missing ending is found."""
    if not isinstance(name, str) or not name.strip("./"):
        raise AvatarError(f"{where}: {key} is missing; each frame needs one")
    given = Path(name.replace("\\", "/"))
    if given.is_absolute() or ".." in given.parts or "\0" in name:
        raise AvatarError(f"{where}: {key} '{name}' leads out of the folder; put the pictures inside it")
    path = folder / given
    if path.suffix.lower() not in _SUFFIXES and not path.is_file():
        found = [p for s in _SUFFIXES if (p := path.with_name(path.name + s)).is_file()]
        path = found[0] if found else path
    return path


def _named(path: Path, posed: Sequence[calibrations.Posed]) -> list[Shot]:
    """Returns COLMAP's pictures as shots: of one moment, unless their names tell moments (see `_moment`)."""
    root = path.parent
    while root.name in ("0", "sparse", "colmap"):
        root = root.parent
    folder = root / "images" if (root / "images").is_dir() else root
    names = [p.name for p in posed]
    moments = [_moment(name) for name in names]
    told = all(m is not None for m in moments) and len({m[0] for m in moments if m}) < len(names)
    shots = []
    for nth, (p, moment) in enumerate(zip(posed, moments, strict=True)):
        where = f"{path}: picture '{p.name}'"
        image = _inside(folder, p.name, where, "name")
        step, camera = moment if told and moment is not None else (0, f"{nth}")
        shots.append(Shot(image, _mask_beside(root, image, folder), p.w2c, p.lens, step, camera))
    return shots


def _filmed(path: Path, cameras: Mapping[str, calibrations.Posed]) -> list[Shot]:
    """Returns the pictures of an OpenCV calibration: images/<camera>/<step>.png, <step>_<camera>.png, <camera>.png."""
    folder = path.parent / "images" if (path.parent / "images").is_dir() else path.parent
    shots = []
    for image in sorted(p for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES):
        name = image.relative_to(folder).as_posix()
        moment = _moment(name)
        # A folder of the camera's name, or the name itself; else the number after the underscore.
        if image.stem in cameras and image.parent == folder:
            moment = (0, image.stem)
        if moment is None or moment[1] not in cameras:
            continue
        known = cameras[moment[1]]
        mask = _mask_beside(path.parent, image, folder)
        shots.append(Shot(image, mask, known.w2c, known.lens, moment[0], moment[1]))
    if not shots:
        raise AvatarError(
            f"{path}: no pictures of its cameras ({', '.join(list(cameras)[:4])}) in {folder};"
            " name them images/<camera>/<step>.png or images/<step>_<camera>.png"
        )
    return shots


def _moment(name: str) -> tuple[int, str] | None:
    """Returns time step and camera that a picture's name tells: `camera/00012.png` or `00012_camera.png`."""
    parts = name.split("/")
    stem = parts[-1].rpartition(".")[0]
    if len(parts) > 1:
        digits = re.search(r"(\d+)$", stem)
        return (int(digits[1]), parts[-2]) if digits else None
    both = re.fullmatch(r"(\d+)_(\w+)", stem)
    return (int(both[1]), both[2]) if both else None


def _mask_beside(root: Path, image: Path, folder: Path) -> Path | None:
    """Returns the mask of a picture in a folder beside the images: masks/ (COLMAP: name.png.png) or fg_masks/."""
    name = image.relative_to(folder)
    for place in ("fg_masks", "masks", "mask"):
        for candidate in (root / place / name, root / place / f"{name}.png", (root / place / name).with_suffix(".png")):
            if candidate.is_file():
                return candidate
    return None


def _natural(name: str) -> list[tuple[int, int, str]]:
    return [(0, int(s), "") if s.isdigit() else (1, 0, s) for s in re.split(r"(\d+)", name)]


__all__ = ["Lens", "Shot", "find", "read", "sized"]
