"""Meshes by PyTorch3D's CUDA rasterizer (Ravi et al. 2020; written against 0.7, the only file that imports it).

Not run on a device by us: the arguments and conventions are checked against a stand-in that follows its documentation
(tests/ops/test_backends.py).
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatar3d.core import Camera


def probe() -> None:
    """Raises what keeps PyTorch3D from working: its extension is imported, and must know the device."""
    from pytorch3d import _C  # pyright: ignore[reportMissingImports]
    from pytorch3d.renderer.mesh import rasterize_meshes  # pyright: ignore[reportMissingImports]

    if not hasattr(_C, "rasterize_meshes") or not callable(rasterize_meshes):
        raise RuntimeError("its extension has no mesh rasterizer")


def rasterize(
    vertices: Float[Tensor, "b v 3"], faces: Int[Tensor, "f 3"], camera: Camera, cull: bool, near: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns face ids (b h w, int32, -1: none), perspective-correct weights (b h w 3) and depth (b h w, 0: none).

    PyTorch3D's image axes point left and up, and the shorter side spans [-1, 1]; depth is the z it was given.
    """
    from pytorch3d.renderer.mesh import rasterize_meshes  # pyright: ignore[reportMissingImports]
    from pytorch3d.structures import Meshes  # pyright: ignore[reportMissingImports]

    h, w, views = camera.height, camera.width, len(vertices)
    seen = vertices @ camera.w2c[..., :3, :3].mT + camera.w2c[..., None, :3, 3]
    z = seen[..., 2:]
    pixels = (seen @ camera.K.mT)[..., :2] / torch.where(z.abs() < near, near, z)
    ndc = (pixels.new_tensor([w, h]) / 2 - pixels) * (2 / min(h, w))
    meshes = Meshes(verts=torch.cat([ndc, z], dim=-1), faces=faces.long().expand(views, *faces.shape))
    face, depth, bary, _ = rasterize_meshes(
        meshes,
        image_size=(h, w),
        blur_radius=0.0,
        faces_per_pixel=1,
        perspective_correct=True,
        cull_backfaces=cull,
        z_clip_value=near,
        cull_to_frustum=False,
    )
    face, bary, depth = face[..., 0], bary[..., 0, :], depth[..., 0]
    covered = face >= 0
    first = torch.arange(views, device=face.device)[:, None, None] * len(faces)  # faces count through the whole batch
    ids = torch.where(covered, face - first, -1).to(torch.int32)
    return ids, torch.where(covered[..., None], bary, 0.0), torch.where(covered, depth, 0.0)
