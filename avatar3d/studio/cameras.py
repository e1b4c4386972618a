"""Cameras of the studio: those of the people who look, keyframes, and the path between keyframes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from avatar3d import geometry
from avatar3d.core import AvatarError, Camera

TARGET = (0.0, -0.045, -0.02)
"""What a new view looks at, metres: behind the nose bridge of a head at rest."""
DISTANCE, FOV = 0.75, math.radians(30)
"""Of a new view: metres, and the vertical field of view; they show head and shoulders."""


@dataclass(frozen=True)
class Eye:
    """Where somebody looks from; free of any picture size."""

    position: tuple[float, float, float]
    """Metres, in the studio's world."""
    wxyz: tuple[float, float, float, float]
    """Camera to world, OpenCV axes."""
    fov: float
    """Vertical, radians."""

    def camera(self, width: int, height: int) -> Camera:
        """Returns the camera of a picture of this size."""
        rotation = geometry.quat_to_matrix(torch.tensor(self.wxyz, dtype=torch.float64))
        c2w = geometry.rigid(rotation, torch.tensor(self.position, dtype=torch.float64))
        focal = height / (2 * math.tan(self.fov / 2))
        return Camera(geometry.rigid_inverse(c2w).float(), geometry.pinhole(width, height, focal), width, height)


def facing(yaw: float | int, pitch: float | int, zoom: float | int = 1.0) -> Eye:
    """Returns the eye of a preset: degrees around the head (positive: its left side) and above eye level."""
    where = geometry.orbit(
        torch.tensor([math.radians(yaw)], dtype=torch.float64),
        math.radians(pitch),
        DISTANCE / zoom,
        TARGET,
        (64, 64),
        FOV,
    )
    return of_camera(where.at(0), FOV)


def of_camera(camera: Camera, fov: float | None = None) -> Eye:
    """Returns the eye of a camera."""
    c2w = geometry.rigid_inverse(camera.w2c.double())
    wxyz = geometry.matrix_to_quat(c2w[:3, :3]).tolist()
    fov = 2 * math.atan(camera.height / (2 * float(camera.K[1, 1]))) if fov is None else fov
    x, y, z = c2w[:3, 3].tolist()
    return Eye((x, y, z), (wxyz[0], wxyz[1], wxyz[2], wxyz[3]), fov)


@dataclass(frozen=True)
class Keyframe:
    """A place of a camera path, with what the face does there."""

    eye: Eye
    seconds: float
    """When the path reaches it."""
    values: Mapping[str, float] = field(default_factory=dict)
    """Sliders there."""
    frame: int = 0
    """Frame of the performance there."""

    def to_json(self) -> dict[str, Any]:
        """Returns it as a JSON-able object."""
        eye = {"position": list(self.eye.position), "wxyz": list(self.eye.wxyz), "fov": self.eye.fov}
        return {"eye": eye, "seconds": self.seconds, "values": dict(self.values), "frame": self.frame}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Keyframe":
        """Returns the keyframe of such an object; raises KeyError, TypeError or ValueError where it is none."""
        position, wxyz = ([float(x) for x in value["eye"][name]] for name in ("position", "wxyz"))
        fov, seconds = float(value["eye"]["fov"]), float(value["seconds"])
        numbers = [*position, *wxyz, fov, seconds]
        if len(position) != 3 or len(wxyz) != 4 or not all(map(math.isfinite, numbers)) or not 0 < fov < math.pi:
            raise ValueError("a keyframe with wrong numbers")
        eye = Eye((position[0], position[1], position[2]), (wxyz[0], wxyz[1], wxyz[2], wxyz[3]), fov)
        values = {str(k): float(v) for k, v in value["values"].items() if math.isfinite(float(v))}
        return cls(eye, max(seconds, 0.0), values, int(value["frame"]))


def added(keyframes: Sequence[Keyframe], new: Keyframe) -> tuple[Keyframe, ...]:
    """Returns the keyframes with one more, in order of time; one at the same time is replaced."""
    kept = [k for k in keyframes if abs(k.seconds - new.seconds) > 1e-3]
    return tuple(sorted([*kept, new], key=lambda k: k.seconds))


def between(keyframes: Sequence[Keyframe], seconds: float | int) -> Keyframe:
    """Returns where a path is at a time: smooth through all keyframes (Catmull-Rom for places, slerp for turns).

    Raises:
        AvatarError: No keyframes.
    """
    if not keyframes:
        raise AvatarError("a camera path needs keyframes: move the camera and add one, at least two for a film")
    times = [k.seconds for k in keyframes]
    seconds = min(max(seconds, times[0]), times[-1])
    i = max(0, min(len(times) - 2, int(np.searchsorted(times, seconds, side="right")) - 1))
    a, b = keyframes[i], keyframes[min(i + 1, len(times) - 1)]
    u = 0.0 if b.seconds <= a.seconds else (seconds - a.seconds) / (b.seconds - a.seconds)
    before, after = keyframes[max(i - 1, 0)], keyframes[min(i + 2, len(times) - 1)]
    x, y, z = _curve(
        [np.array(k.eye.position) for k in (before, a, b, after)], [k.seconds for k in (before, a, b, after)], u
    )
    names = {*a.values, *b.values}
    return Keyframe(
        Eye((float(x), float(y), float(z)), _slerp(a.eye.wxyz, b.eye.wxyz, u), a.eye.fov + u * (b.eye.fov - a.eye.fov)),
        seconds,
        {n: a.values.get(n, 0.0) * (1 - u) + b.values.get(n, 0.0) * u for n in sorted(names)},
        round(a.frame + u * (b.frame - a.frame)),
    )


def _curve(points: list[np.ndarray], times: list[float], u: float) -> np.ndarray:
    """Returns the point of a Hermite curve whose speed at each keyframe is that from its neighbours."""
    before, a, b, after = points
    t0, t1, t2, t3 = times
    span = t2 - t1
    if span <= 0:
        return a
    into = (b - before) / (t2 - t0) * span if t2 > t0 and t1 > t0 else (b - a)
    out = (after - a) / (t3 - t1) * span if t3 > t2 else (b - a)
    return (
        (2 * u**3 - 3 * u**2 + 1) * a + (u**3 - 2 * u**2 + u) * into + (3 * u**2 - 2 * u**3) * b + (u**3 - u**2) * out
    )


def _slerp(a: Sequence[float], b: Sequence[float], u: float) -> tuple[float, float, float, float]:
    p, q = np.array(a) / np.linalg.norm(a), np.array(b) / np.linalg.norm(b)
    cosine = float(p @ q)
    if cosine < 0:
        q, cosine = -q, -cosine
    angle = math.acos(min(1.0, cosine))
    mixed = p if angle < 1e-06 else (math.sin((1 - u) * angle) * p + math.sin(u * angle) * q) / math.sin(angle)
    w, x, y, z = (float(n) for n in mixed / np.linalg.norm(mixed))
    return w, x, y, z
