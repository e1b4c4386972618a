"""A texture for the head's mesh, baked from splats: what cameras around the head see of each texel."""

import math

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.ndimage import distance_transform_edt
from scipy.spatial import KDTree
from torch import Tensor

from avatar3d.core import Avatar, Camera, Gaussians
from avatar3d.export.formats import ExportOptions
from avatar3d.export.splats import C0
from avatar3d.geometry import orbit
from avatar3d.heads import AnnyHead
from avatar3d.ops import mesh, splat
from avatar3d.render.path import neutral
from avatar3d.render.shade import normals

# Yaw and pitch in degrees of the cameras; they need to see each part of a head at rest once without much slant.
_VIEWS = (
    [(yaw, 5) for yaw in range(-180, 180, 30)] + [(yaw, -28) for yaw in (-40, 0, 40)] + [(0, 40), (0, 75), (180, 50)]
)
_MOST_SIDE, _DISTANCE = 1024, 0.9
SIZE = 1024
"""Side of the texture in pixels, where nobody says."""
_SLANT = 0.25  # cosine between the surface and the ray below which a camera's pixels are not used
_BEHIND = 4e-3  # metres that a point may lie behind the surface seen at its pixel: splats are not exactly on the mesh
_SHARP = 4  # power of that cosine: the camera that looks most straight decides
_NEIGHBOURS = 6  # splats that colour a texel which no camera sees


def bake(avatar: Avatar, head: AnnyHead, splats: Gaussians, options: ExportOptions) -> Float[np.ndarray, "s s 3"]:
    """Returns sRGB in [0, 1] for the head's UVs, the first row at v = 1.

    Where a camera sees the surface its picture counts, weighted towards straight views; inside of the mouth and behind
    the ears the colours of the nearest splats do. Pixels outside of all faces take the nearest face's colour, so that
    mipmaps show no seams. Light and shadow of the source stay in the texture.

    Args:
        avatar: Who.
        head: The avatar's head.
        splats: The avatar at rest.
        options: `size` is the texture's side in pixels.
    """
    vertices = head.vertices(avatar.identity, neutral(head))
    size = options.size or SIZE
    face, bary = _texels(head, size)
    covered = face >= 0
    corners = head.faces[face[covered]]
    weights = bary[covered][..., None]
    points = (vertices[corners] * weights).sum(1)
    facing = torch.nn.functional.normalize((normals(vertices, head.faces)[corners] * weights).sum(1), dim=-1)
    total = torch.zeros(len(points), 4)
    for i, (yaw, pitch) in enumerate(_VIEWS):
        options.progress("texture", i + 1, len(_VIEWS))
        camera = _camera(float(yaw), float(pitch), min(max(size, 256), _MOST_SIDE))
        total += _seen(splats, vertices, head, camera, points, facing)
    colours = total[:, :3] / total[:, 3:].clamp_min(1e-9)
    unseen = (total[:, 3] < 1e-3).numpy()
    if unseen.any():
        colours[torch.from_numpy(unseen)] = _nearest(splats, points[torch.from_numpy(unseen)])
    image = torch.zeros(size, size, 3)
    image[covered] = colours
    return _dilated(image.clamp(0, 1).numpy(), covered.numpy())


def _texels(head: AnnyHead, size: int) -> tuple[Tensor, Tensor]:
    """Returns which face each texel lies on (-1 for none) and where in it: the UV map, drawn as a flat mesh."""
    at = head.uv.reshape(-1, 2)
    flat = torch.stack([at[:, 0] * size, (1 - at[:, 1]) * size, torch.ones(len(at))], -1)
    seen = mesh.rasterize(flat, torch.arange(len(at)).reshape(-1, 3), Camera(torch.eye(4), torch.eye(3), size, size))
    return seen.face.long(), seen.bary


def _camera(yaw: float, pitch: float, side: int) -> Camera:
    """Returns a camera that sees the bust from head to chest."""
    turn = torch.tensor([math.radians(yaw)])
    around = orbit(turn, math.radians(pitch), _DISTANCE, (0.0, -0.08, -0.05), (side, side), math.radians(36))
    return Camera(around.w2c[0], around.K[0], side, side)


def _seen(
    splats: Gaussians, vertices: Tensor, head: AnnyHead, camera: Camera, points: Tensor, facing: Tensor
) -> Float[Tensor, "m 4"]:
    """Returns weighted colours of points, and the weights, as one camera sees them: 0 where it does not."""
    picture = splat.rasterize(splats, camera)
    depth = mesh.rasterize(vertices, head.faces, camera).depth
    inside = points @ camera.w2c[:3, :3].mT + camera.w2c[:3, 3]
    pixel = inside[:, :2] / inside[:, 2:] * camera.K[0, 0] + camera.K[:2, 2]
    slant = (torch.nn.functional.normalize(camera.position - points, dim=-1) * facing).sum(-1)
    grid = (pixel / camera.width * 2 - 1)[None, None]
    layers = torch.cat([picture.rgb, picture.alpha], -1).permute(2, 0, 1)[None]
    found = torch.nn.functional.grid_sample(layers, grid, align_corners=False)[0, :, 0].mT
    near = torch.nn.functional.grid_sample(depth[None, None], grid, mode="nearest", align_corners=False)[0, 0, 0]
    alpha = found[:, 3]
    visible = _visible(inside[:, 2], near) & (slant > _SLANT) & (alpha > 0.5)
    weight = torch.where(visible, slant.clamp_min(0) ** _SHARP * alpha, 0.0)
    return torch.cat([found[:, :3] / alpha.clamp_min(1e-3)[:, None], torch.ones(len(points), 1)], -1) * weight[:, None]


def _visible(depth: Tensor, surface: Tensor) -> Bool[Tensor, " m"]:
    return (surface > 0) & (depth > 0) & (depth < surface + _BEHIND)


def _nearest(splats: Gaussians, points: Tensor) -> Float[Tensor, "m 3"]:
    """Returns the colours of the splats near each point, weighted by opacity and nearness."""
    tree = KDTree(splats.means.numpy())
    distance, index = tree.query(points.numpy(), k=min(_NEIGHBOURS, len(splats)))
    distance, index = np.atleast_2d(distance.T).T, np.atleast_2d(index.T).T
    weight = torch.from_numpy(1 / (distance + 5e-4)).float() * splats.opacities[index]
    colours = splats.sh[index, 0] * C0 + 0.5
    return (colours * weight[..., None]).sum(1) / weight.sum(1, keepdim=True).clamp_min(1e-9)


def _dilated(image: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """Returns the picture with empty pixels taking the colour of the nearest covered one."""
    nearest = np.asarray(distance_transform_edt(~covered, return_distances=False, return_indices=True))
    return image[nearest[0], nearest[1]]
