"""The light that sampled heads are painted in: soft as for a portrait, with the shadows of a head on itself."""

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from avatar3d import geometry
from avatar3d.core import Camera
from avatar3d.ops import mesh
from avatar3d.sample.layers import unit

_DIRECTIONS = 56
_SIZE = 128  # pixels of the depth pictures that tell shadow: 4.4 mm
_FAR = 12.0  # metres: nearly parallel rays
_BIAS = 0.006  # metres
# Lobes of light: direction, sharpness, linear colour. A large soft box to the left above the camera, a reflector on the
# other side, a little from behind, and walls all around.
_LOBES = (
    ((-0.45, 0.65, 0.75), 5.0, (2.05, 1.98, 1.88)),
    ((0.75, 0.1, 0.65), 3.0, (0.50, 0.53, 0.58)),
    ((0.0, 0.6, -0.8), 4.0, (0.35, 0.37, 0.40)),
)
_WALLS, _FLOOR = (0.52, 0.53, 0.55), 0.55
KEY = unit(np.array([_LOBES[0][0]]))[0]
"""Towards the main light."""


def radiance(directions: Float[np.ndarray, "... 3"]) -> Float[np.ndarray, "... 3"]:
    """Returns the light that comes from directions, linear; a white wall facing the main light shows about 1."""
    up = directions[..., 1:2]
    light = np.array(_WALLS) * (0.5 + 0.5 * _FLOOR + (0.5 - 0.5 * _FLOOR) * up)
    for towards, sharp, colour in _LOBES:
        lobe = np.exp(sharp * (directions @ unit(np.array([towards]))[0] - 1))
        light = light + lobe[..., None] * np.array(colour)
    return light


@functools.cache
def _sphere() -> np.ndarray:
    """Returns directions spread evenly (golden spiral)."""
    i = np.arange(_DIRECTIONS) + 0.5
    y = 1 - 2 * i / _DIRECTIONS
    turn = i * math.pi * (3 - math.sqrt(5))
    r = np.sqrt(1 - y * y)
    return np.stack([r * np.cos(turn), y, r * np.sin(turn)], -1)


def open_light(normals: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    """Returns what falls on surfaces that nothing shades, linear; about 1 towards the camera."""
    directions = _sphere()
    cosine = np.maximum(normals @ directions.T, 0)
    return cosine @ radiance(directions) * (4 / _DIRECTIONS) * _EXPOSURE


_EXPOSURE = 0.78


@dataclass(frozen=True)
class Baked:
    """Light on a mesh's vertices."""

    light: Float[np.ndarray, "v 3"]
    """What falls on them, shadows included, linear."""
    soft: Float[np.ndarray, "v 3"]
    """The same as skin shows it: red light travels farthest below the surface."""
    openness: Float[np.ndarray, " v"]
    """Share of the sky over them that they see."""


def bake(vertices: Float[np.ndarray, "v 3"], faces: np.ndarray, normals: Float[np.ndarray, "v 3"]) -> Baked:
    """Returns the light on a head at rest, by depth pictures from all around."""
    directions = _sphere()
    seen = np.zeros((len(directions), len(vertices)))
    points, triangles = torch.from_numpy(vertices).float(), torch.from_numpy(faces).long()
    cameras = _cameras(directions)
    for i in range(len(directions)):
        camera = cameras.at(i)
        depth = mesh.rasterize(points, triangles, camera)
        z = geometry.apply(camera.w2c, points)
        pixel = (z @ camera.K.T)[:, :2] / z[:, 2:]
        at = pixel.floor().long().clamp(0, _SIZE - 1)
        nearest = torch.where(depth.face >= 0, depth.depth, torch.inf)[at[:, 1], at[:, 0]]
        seen[i] = (z[:, 2] < nearest + _BIAS).numpy()
    cosine = np.maximum(directions @ normals.T, 0)
    share = 4 / len(directions) * cosine * seen
    light = np.einsum("dv,dc->vc", share, radiance(directions)) * _EXPOSURE
    openness = share.sum(0) / np.maximum((4 / len(directions) * cosine).sum(0), 1e-9)
    rings = _rings(faces, len(vertices))
    light, openness = rings(light, 1), rings(openness[:, None], 1)[:, 0]
    # Translucency: rings of neighbours (1 to 4 mm each) for each colour; skin is warm where light turns to shade.
    steps = (5, 2, 1)
    soft = np.stack([rings(light[:, c : c + 1], n)[:, 0] for c, n in enumerate(steps)], -1)
    return Baked(light, soft, openness)


def _cameras(directions: np.ndarray) -> Camera:
    target = torch.tensor([0.0, -0.1, -0.06], dtype=torch.float32).expand(len(directions), 3)
    towards = torch.from_numpy(directions).float()
    w2c = geometry.look_at(target + _FAR * towards, target, (0.01, 0.999, 0.02))
    K = geometry.pinhole(_SIZE, _SIZE, _SIZE * _FAR / 0.56)
    return Camera(w2c, K.expand(len(directions), 3, 3), _SIZE, _SIZE)


def _rings(faces: np.ndarray, count: int):
    """Returns a function that averages values over neighbours along edges a number of times."""
    from scipy.sparse import coo_matrix, diags

    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    both = np.concatenate([edges, edges[:, ::-1]])
    near = coo_matrix((np.ones(len(both)), (both[:, 0], both[:, 1])), (count, count)).tocsr()
    near.data[:] = 1.0
    degree = np.maximum(np.asarray(near.sum(1))[:, 0], 1)
    mean = diags(1 / degree) @ near

    def blur(values: np.ndarray, times: int) -> np.ndarray:
        for _ in range(times):
            values = 0.5 * values + 0.5 * (mean @ values)
        return values

    return blur
