"""The mesh rasterizer in plain PyTorch: the oracle of `ops.mesh` and the place to read the mathematics."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatar3d.core import Camera


def rasterize(
    vertices: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"], camera: Camera, cull: bool = False, near: float = 1e-3
) -> tuple[Int[Tensor, "h w"], Float[Tensor, "h w 3"], Float[Tensor, "h w"]]:
    """Returns face ids (-1 where none), perspective-correct weights of the corners and depth of one view.

    Every pixel is tested against every face, in float64: homogeneous edge functions (Olano and Greer, "Triangle Scan
    Conversion using 2D Homogeneous Coordinates", 1997), so that faces that cross the camera plane need no clipping.
    A pixel on an edge belongs to the face that walks the edge from its higher to its lower vertex id.
    """
    p = vertices.double() @ camera.w2c[:3, :3].double().mT + camera.w2c[:3, 3].double()
    p = (p @ camera.K.double().mT)[faces]  # f 3 xyz
    start = torch.stack([torch.minimum(faces[:, (i + 1) % 3], faces[:, (i + 2) % 3]) for i in range(3)], 1)
    swapped = start != faces[:, [1, 2, 0]]
    edges = torch.linalg.cross(p[:, [1, 2, 0]], p[:, [2, 0, 1]])  # f 3 abc
    det = (edges[:, 0] * p[:, 0]).sum(-1)
    solid = det.abs() > 1e-13 * p.abs().amax(1).prod(-1)  # others have no area, only rounding noise
    edges = edges * det.sign()[:, None, None]
    owned = swapped ^ (det < 0)[:, None]

    device = vertices.device
    axes = (torch.arange(size, device=device) + 0.5 for size in (camera.height, camera.width))
    ys, xs = torch.meshgrid(*axes, indexing="ij")
    pixels = torch.stack([xs, ys, torch.ones_like(xs)], -1).double().reshape(-1, 3)
    e = torch.einsum("fec,mc->mfe", edges, pixels)
    inverse_z = e.sum(-1) / det.abs().clamp_min(1e-300)
    inside = ((e > 0) | ((e == 0) & owned)).all(-1) & (inverse_z > 0) & (inverse_z <= 1 / near) & solid
    if cull:
        inside &= det < 0
    inverse_z = torch.where(inside, inverse_z, torch.zeros_like(inverse_z))
    nearest, face = inverse_z.max(-1)  # the first of equals, as the kernel
    weights = e[torch.arange(len(pixels), device=device), face]
    bary = weights / weights.sum(-1, keepdim=True)
    hit = nearest > 0
    h, w = camera.height, camera.width
    face = torch.where(hit, face, -1).to(torch.int32).reshape(h, w)
    bary = torch.where(hit[:, None], bary, 0).to(vertices.dtype).reshape(h, w, 3)
    depth = torch.where(hit, 1 / nearest, 0).to(vertices.dtype).reshape(h, w)
    return face, bary, depth
