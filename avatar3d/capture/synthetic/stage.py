"""Where cameras stand around a subject, and what they see of it: colours, coverage and depth without error."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from avatar3d.capture.synthetic.subjects import Subject
from avatar3d.core import Camera
from avatar3d.geometry import apply, look_at, pinhole
from avatar3d.ops import mesh
from avatar3d.render.shade import normals

_FOV = math.radians(26)
_TARGET = (0.0, -0.035, -0.07)
"""Middle of a head, metres from the point between the eyes."""
_REACH = 0.165
"""Radius of what every camera sees whole: head and neck; shoulders may leave the picture."""
_HEIGHTS = (0.0, 1.0, 0.0, -0.6)
"""Elevations around a ring, in parts of the largest: crown and chin are seen, too."""
_ASIDE = (-60.0, -45.0, 45.0, 60.0)
"""Degrees from which a frontal arc is scored."""
_SUN = (-0.35, 0.6, 0.7)
"""Towards the light, world axes: it stands still while subject and cameras move."""
_LIT = 1.15  # of the light from one side, so that a face turned to it is as bright as its colours


@dataclass(frozen=True)
class Placed:
    """A camera of a stage."""

    camera: Camera
    name: str
    held: bool


@dataclass(frozen=True)
class Seen:
    """What a camera sees."""

    colour: Float[Tensor, "h w 3"]
    """Of the subject alone, not mixed with the background at its edge; 0 where there is none."""
    cover: Float[Tensor, "h w"]
    depth: Float[Tensor, "h w"]
    """Metres along the camera's axis; 0 where there is none."""


def ring(views: int, arc: float | None, elevation: float, size: int) -> list[Placed]:
    """Returns cameras on a ring or a frontal arc, and those to score on.

    Args:
        views: Cameras to fit to.
        arc: Half the angle of an arc in front, degrees; None for a full ring.
        elevation: How far cameras rise and sink, degrees.
        size: Side of their pictures in pixels.
    """
    if arc is None:
        yaws = [360 * i / views for i in range(views)]
        # Between the cameras of the ring, where its pictures help least; a lone camera is scored a little aside.
        between = max(1, views // 4)
        held = [360 * (i * views // between + 0.5) / views for i in range(between)] if views > 1 else [10.0]
    else:
        yaws = [arc * (2 * i / (views - 1) - 1) for i in range(views)] if views > 1 else [0.0]
        held = list(_ASIDE)
    heights = [_HEIGHTS[i % len(_HEIGHTS)] * elevation for i in range(views)]
    placed = [Placed(_camera(y, h, size), f"{i}", False) for i, (y, h) in enumerate(zip(yaws, heights, strict=True))]
    aside = [0.5 * elevation if arc is None and i % 2 else 0.0 for i in range(len(held))]
    return placed + [
        Placed(_camera(y, h, size), f"{views + i}", True) for i, (y, h) in enumerate(zip(held, aside, strict=True))
    ]


def _camera(yaw: float, pitch: float, size: int) -> Camera:
    y, p = math.radians(yaw), math.radians(pitch)
    distance = _REACH / math.sin(_FOV / 2)
    middle = torch.tensor(_TARGET, dtype=torch.float64)
    away = torch.tensor([math.sin(y) * math.cos(p), math.sin(p), math.cos(y) * math.cos(p)], dtype=torch.float64)
    w2c = look_at(middle + distance * away, middle)
    return Camera(w2c.float(), pinhole(size, size, size / 2 / math.tan(_FOV / 2)), size, size)


def see(subject: Subject, vertices: Float[Tensor, "v 3"], camera: Camera, supersample: int) -> Seen:
    """Returns a picture of a posed subject.

    Args:
        subject: Whose colours and light.
        vertices: Its mesh in the world, metres.
        camera: One camera.
        supersample: Rays along each side of a pixel.
    """
    fine = camera.scaled(supersample)
    hit = mesh.rasterize(vertices, subject.faces, fine)
    at = hit.mask.flatten().nonzero()[:, 0]
    face, bary = hit.face.flatten()[at].long(), hit.bary.reshape(-1, 3)[at]
    base = _base(subject, face, bary)
    if subject.shade > 0:
        around = (normals(vertices, subject.faces)[subject.faces[face]] * bary[..., None]).sum(1)
        base = base * _light(functional.normalize(around, dim=-1), subject.shade)[:, None]
    h, w, n = fine.height, fine.width, supersample
    colour = torch.zeros(h * w, 3)
    colour[at] = base.clamp(0, 1)
    blocks = torch.cat([colour.reshape(h, w, 3), hit.mask[..., None].float(), hit.depth[..., None]], -1)
    mean = blocks.reshape(h // n, n, w // n, n, 5).mean((1, 3))
    cover = mean[..., 3]
    part = cover.clamp(min=1e-6)
    return Seen(mean[..., :3] / part[..., None], cover, mean[..., 4] / part)


def _base(subject: Subject, face: Tensor, bary: Tensor) -> Float[Tensor, "m 3"]:
    """Returns the subject's colours at points of faces."""
    if subject.texture is None or subject.uv is None:
        assert subject.colours is not None
        return (subject.colours[subject.faces[face]] * bary[..., None]).sum(1)
    uv = (subject.uv[face] * bary[..., None]).sum(1)
    grid = torch.stack([2 * uv[:, 0] - 1, 1 - 2 * uv[:, 1]], -1)[None, None]
    image = subject.texture.permute(2, 0, 1)[None]
    return functional.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=False)[0, :, 0].mT


def _light(normal: Float[Tensor, "m 3"], share: float) -> Float[Tensor, " m"]:
    """Returns how bright a surface is: an even light, and half-Lambert light from one side."""
    sun = functional.normalize(normal.new_tensor(_SUN), dim=0)
    return 1 - share + share * _LIT * (0.5 + 0.5 * (normal @ sun)) ** 2


def projected(
    points: Float[np.ndarray, "l 3"], seen: Seen, camera: Camera
) -> tuple[Float[np.ndarray, "l 2"], np.ndarray]:
    """Returns points in pixels, and which of them the camera sees (within 4 mm of the surface in its picture)."""
    view = apply(camera.w2c.double(), torch.from_numpy(points))
    pixel = ((view @ camera.K.double().T)[:, :2] / view[:, 2:]).numpy()
    inside = (pixel >= 0).all(1) & (pixel < [camera.width, camera.height]).all(1)
    x, y = (np.clip(pixel[:, i].astype(int), 0, (camera.width, camera.height)[i] - 1) for i in range(2))
    near = np.abs(seen.depth.numpy()[y, x] - view[:, 2].numpy()) < 4e-3
    return pixel, inside & near & (seen.cover.numpy()[y, x] > 0.5)
