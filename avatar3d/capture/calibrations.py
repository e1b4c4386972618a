"""Lenses and poses as COLMAP and OpenCV write them."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float

from avatar3d.core import AvatarError

_COLMAP = {
    "SIMPLE_PINHOLE": ("f", "cx", "cy"),
    "PINHOLE": ("fx", "fy", "cx", "cy"),
    "SIMPLE_RADIAL": ("f", "cx", "cy", "k1"),
    "RADIAL": ("f", "cx", "cy", "k1", "k2"),
    "OPENCV": ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2"),
}
"""Parameters of the models that a pinhole with OpenCV's distortion can show."""
_ROTATED = 1e-2  # how far from a rotation a matrix may be: files carry few digits
_SCALED = 0.02  # how far from 1 its scale may be before it is no rigid motion


@dataclass(frozen=True)
class Lens:
    """A pinhole with OpenCV's distortion. Values that a file does not give wait for the picture's size."""

    width: int
    """Pixels; 0 = as the picture."""
    height: int
    fx: float
    """Pixels; 0 = from `angle`."""
    fy: float
    cx: float = math.nan
    """NaN = the picture's centre."""
    cy: float = math.nan
    distortion: tuple[float, ...] = ()
    """k1, k2, p1, p2, k3 ... as in OpenCV."""
    angle: float = 0.0
    """Horizontal field of view, radians, for files that give no focal length."""

    @property
    def distorted(self) -> bool:
        return any(self.distortion)

    @property
    def K(self) -> Float[np.ndarray, "3 3"]:
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])

    def checked(self, where: str) -> "Lens":
        """Returns the lens, or raises an `AvatarError` if it cannot be one."""
        numbers = (self.fx, self.fy, self.angle, *self.distortion)
        centre_ok = all(math.isnan(c) or abs(c) < 1e6 for c in (self.cx, self.cy))
        if not all(map(math.isfinite, numbers)) or not centre_ok or self.width < 0 or self.height < 0:
            raise AvatarError(f"{where}: the lens holds NaN, infinity or a negative size; check its numbers")
        if not (self.fx > 0 and self.fy > 0) and not 0 < self.angle < math.pi:
            raise AvatarError(f"{where}: no focal length; give fl_x (pixels) or camera_angle_x (radians)")
        return self


@dataclass(frozen=True)
class Posed:
    """A calibrated camera."""

    name: str
    w2c: Float[np.ndarray, "4 4"]
    lens: Lens


def sized(lens: Lens, width: int, height: int, where: str) -> Lens:
    """Returns the lens with what it leaves open filled in from a picture's size.

    Raises:
        AvatarError: The calibration is of another size.
    """
    if (lens.width or width, lens.height or height) != (width, height):
        raise AvatarError(
            f"{where}: the picture has {width}x{height} pixels, its camera {lens.width}x{lens.height};"
            " give the pictures that were calibrated"
        )
    if lens.fx <= 0:
        focal = width / 2 / math.tan(lens.angle / 2)
        lens = replace(lens, fx=focal, fy=focal)
    cx, cy = (c if math.isfinite(c) else n / 2 for c, n in ((lens.cx, width), (lens.cy, height)))
    return replace(lens, width=width, height=height, cx=cx, cy=cy)


def matrix(value: object, where: str, name: str) -> Float[np.ndarray, "4 4"]:
    """Returns a 4x4 matrix of a list of rows (3x4 will do), or raises an `AvatarError`."""
    try:
        found = np.array(value, np.float64)
    except (TypeError, ValueError) as error:
        raise AvatarError(f"{where}: {name} is not a matrix of numbers") from error
    if found.shape == (3, 4):
        found = np.concatenate([found, [[0.0, 0.0, 0.0, 1.0]]])
    if found.shape != (4, 4):
        raise AvatarError(f"{where}: {name} has shape {found.shape}, expected (4, 4)")
    if not np.isfinite(found).all():
        raise AvatarError(f"{where}: {name} holds NaN or infinity; calibrate again or leave the picture out")
    return found


def rigid_w2c(transform: Float[np.ndarray, "4 4"], where: str) -> Float[np.ndarray, "4 4"]:
    """Returns a rigid transform with its rotation made exact.

    Raises:
        AvatarError: It scales, mirrors or shears.
    """
    u, s, vt = np.linalg.svd(transform[:3, :3])
    if np.linalg.det(transform[:3, :3]) <= 0 or abs(s - 1).max() > max(_SCALED, _ROTATED):
        raise AvatarError(f"{where}: the camera's matrix is not a rotation and a place (scales {s.round(3)})")
    out = transform.copy()
    out[:3, :3], out[3] = u @ vt, (0.0, 0.0, 0.0, 1.0)
    return out


def colmap(path: Path, images: str, cameras: str) -> list[Posed]:
    """Returns the pictures of COLMAP's text files.

    Pixel (0, 0) has its centre at (0.5, 0.5) there as here.

    Args:
        path: Of images.txt, for messages.
        images: Text of images.txt: IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME, then a line of points.
        cameras: Text of cameras.txt: CAMERA_ID MODEL WIDTH HEIGHT PARAMS.
    """
    lenses = {}
    for line in cameras.splitlines():
        if line.strip() and not line.startswith("#"):
            lenses |= _colmap_lens(path.parent / "cameras.txt", line)
    posed = []
    # Every second line holds points and may be empty, so that blank lines count.
    lines = [line for line in images.splitlines() if not line.startswith("#")]
    while lines and not lines[-1].strip():
        lines.pop()
    for line in lines[::2]:
        words = line.split(maxsplit=9)
        where = f"{path}: line '{line[:40]}'"
        try:
            numbers = [float(w) for w in words[1:8]]
            lens, name = lenses[words[8]], words[9].strip()
        except (ValueError, IndexError, KeyError) as error:
            raise AvatarError(f"{where}: not a picture of a known camera ({error}); export the model again") from error
        w, x, y, z = numbers[:4] / np.maximum(np.linalg.norm(numbers[:4]), 1e-12)
        turn = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
        w2c = np.eye(4)
        w2c[:3, :3], w2c[:3, 3] = turn, numbers[4:7]
        posed.append(Posed(name, rigid_w2c(matrix(w2c, where, "pose"), where), lens))
    return posed


def _colmap_lens(path: Path, line: str) -> dict[str, Lens]:
    words = line.split()
    where = f"{path}: camera {words[0]}"
    if len(words) < 2 or words[1] not in _COLMAP:
        model = words[1] if len(words) > 1 else "missing"
        raise AvatarError(
            f"{where}: its model is {model}; make pinhole pictures with `colmap image_undistorter` and use those"
        )
    names = _COLMAP[words[1]]
    try:
        width, height = int(words[2]), int(words[3])
        values = dict(zip(names, map(float, words[4:]), strict=True))
    except (IndexError, ValueError) as error:
        raise AvatarError(f"{where}: {words[1]} takes width, height, {', '.join(names)} ({error})") from error
    fx = values.get("fx", values.get("f", 0.0))
    distortion = tuple(values.get(k, 0.0) for k in ("k1", "k2", "p1", "p2"))
    lens = Lens(width, height, fx, values.get("fy", fx), values["cx"], values["cy"], distortion)
    return {words[0]: lens.checked(where)}


def opencv(path: Path) -> dict[str, Posed]:
    """Returns the cameras of a file of `cv2.FileStorage`, by name.

    Either EasyMocap's pair intri.yml and extri.yml or one file of the same keys: `names`, and for each name `K_name`,
    `dist_name`, `Rot_name` (3x3) or `R_name` (rotation vector or 3x3) and `T_name`, world to camera.
    """
    stored = _matrices(path)
    intrinsics = path.with_name("intri" + path.suffix)
    if path.stem == "extri" and intrinsics.is_file():
        stored = {**_matrices(intrinsics), **stored}
    names = [key[2:] for key in stored if key.startswith("K_")]
    if not names:
        raise AvatarError(
            f"{path}: no camera in it; it needs K_<name>, R_<name> and T_<name> for each, as OpenCV writes"
        )
    cameras = {}
    for name in names:
        where = f"{path}: camera '{name}'"
        rotation = stored.get(f"Rot_{name}", stored.get(f"R_{name}"))
        shift = stored.get(f"T_{name}", stored.get(f"t_{name}"))
        if rotation is None or shift is None or rotation.size not in (3, 9) or shift.size != 3:
            raise AvatarError(f"{where}: R_{name} (3 or 3x3) and T_{name} (3) are needed; check the calibration")
        K = stored[f"K_{name}"]
        if K.shape != (3, 3):
            raise AvatarError(f"{where}: K_{name} has shape {K.shape}, expected (3, 3)")
        turn = cv2.Rodrigues(rotation.reshape(3, 1))[0] if rotation.size == 3 else rotation
        w2c = np.eye(4)
        w2c[:3, :3], w2c[:3, 3] = turn.reshape(3, 3), shift.ravel()
        w2c = rigid_w2c(matrix(w2c, where, "pose"), where)
        bent = stored.get(f"dist_{name}", stored.get(f"D_{name}", np.zeros(0))).ravel()
        width, height = (int(stored.get(f"{k}_{name}", np.zeros(1)).ravel()[0]) for k in ("W", "H"))
        # OpenCV's pixel centres lie at whole numbers, ours half a pixel further.
        lens = Lens(
            *(width, height, float(K[0, 0]), float(K[1, 1]), float(K[0, 2]) + 0.5, float(K[1, 2]) + 0.5),
            distortion=tuple(float(x) for x in bent),
        )
        cameras[name] = Posed(name, w2c, lens.checked(where))
    return cameras


def _matrices(path: Path) -> Mapping[str, np.ndarray]:
    """Returns the matrices and numbers of a FileStorage file by key."""
    try:
        file = cv2.FileStorage(str(path), cv2.FILE_STORAGE_READ)
        root = file.root()
        found = {}
        for key in root.keys():  # noqa: SIM118
            node = root.getNode(key)
            if node.isMap():
                mat = node.mat()
                if mat is not None:
                    found[key] = np.asarray(mat, np.float64)
            elif node.isReal() or node.isInt():
                found[key] = np.array([node.real()])
        file.release()
    except (cv2.error, SystemError, TypeError, ValueError) as error:
        reason = re.sub(r"\s+", " ", str(error))[:120]
        raise AvatarError(f"{path}: not a file of cv2.FileStorage ({reason})") from error
    return found
