"""Triangle meshes into images: face ids, barycentric weights and depth; no light, no colour."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Int32
from torch import Tensor

from avatar3d.core import Camera
from avatar3d.ops import backends, native, reference_mesh

NEAR = 1e-3
"""Metres: nothing nearer to the camera plane is drawn."""
_TILE = (16, 64)  # rows and columns of a tile, as in cuda/cpu/mesh.h
_RECORD = 15  # doubles of a face record there


@dataclass(frozen=True)
class MeshRender:
    """What each pixel's centre sees of a mesh."""

    face: Int32[Tensor, "*b h w"]
    """Index into `faces`; -1 where there is none."""
    bary: Float[Tensor, "*b h w 3"]
    """Perspective-correct weights of the face's corners, summing to one; 0 where there is no face."""
    depth: Float[Tensor, "*b h w"]
    """Camera-space z in metres; 0 where there is no face."""

    @property
    def mask(self) -> Bool[Tensor, "*b h w"]:
        """Pixels that see the mesh."""
        return self.face >= 0


def rasterize(
    vertices: Float[Tensor, "*b v 3"],
    faces: Int[Tensor, "f 3"],
    camera: Camera,
    cull: bool = False,
    backend: str = "auto",
) -> MeshRender:
    """Returns the nearest face at each pixel centre; the same bits for any number of threads.

    Faces that share an edge leave no gap and own no pixel twice. Faces that cross the camera plane are cut, faces with
    a non-finite vertex are dropped. The result carries no gradient: `interpolate` passes it to attributes.

    Args:
        vertices: World space, metres, float32; a batch or one mesh.
        faces: Vertex ids.
        camera: One camera or a batch; it and the vertices broadcast.
        cull: Leave out faces that wind clockwise as seen from the camera (back faces of a head).
        backend: `auto` (by the tensors' device), `cpu`, `pytorch3d` (CUDA), or `reference` (PyTorch, any type, slow).

    Raises:
        AvatarError: On a wrong dtype or device, a vertex id out of range, or a backend that is not live.
    """
    lens = {"w2c": camera.w2c.to(vertices.dtype), "K": camera.K.to(vertices.dtype)}
    chosen = backends.choose("mesh", {"vertices": vertices, "faces": faces} | lens, backend)
    batch = torch.broadcast_shapes(vertices.shape[:-2], camera.w2c.shape[:-2], camera.K.shape[:-2])
    if chosen != "cpu":
        return _other(vertices, faces, camera, cull, chosen, batch)
    views = batch.numel()
    h, w = camera.height, camera.width
    shared = vertices.shape[:-2].numel() == 1  # one mesh for all the views is not copied
    points = _views(vertices, torch.Size([1]) if shared else batch)
    w2c, K = _views(camera.w2c, batch), _views(camera.K, batch)
    corners = faces.to(torch.int32).contiguous()
    v, f, threads = vertices.shape[-2], len(faces), native.threads()
    projected = torch.empty((views, v, 3), dtype=torch.float64)
    records = torch.empty((views, f, _RECORD), dtype=torch.float64)
    tiles = -(-h // _TILE[0]) * -(-w // _TILE[1])
    offsets = torch.empty((views, tiles + 1), dtype=torch.int64)
    native.call(
        *("a3d_mesh_setup", points, 0 if shared else 3 * v, corners, w2c, K, views, v, f, w, h, int(cull), NEAR),
        *(projected, records, offsets, threads),
    )
    pairs = torch.empty(int(offsets[-1, -1]) if views else 0, dtype=torch.int32)
    face = torch.empty((*batch, h, w), dtype=torch.int32)
    bary = torch.empty((*batch, h, w, 3))
    depth = torch.empty((*batch, h, w))
    native.call("a3d_mesh_draw", views, f, w, h, NEAR, records, offsets, pairs, face, bary, depth, threads)
    return MeshRender(face, bary, depth)


def _other(vertices: Tensor, faces: Tensor, camera: Camera, cull: bool, backend: str, batch: torch.Size) -> MeshRender:
    """Draws by a backend other than the native library."""
    many, w2c, K = (
        x.expand(*batch, *x.shape[-2:]).reshape(-1, *x.shape[-2:]) for x in (vertices, camera.w2c, camera.K)
    )
    if backend == "pytorch3d":
        from avatar3d.ops.backends import via_pytorch3d

        views = Camera(w2c, K, camera.width, camera.height)
        drawn = via_pytorch3d.rasterize(many.detach(), faces, views, cull, NEAR)
    else:
        one = [Camera(w2c[i], K[i], camera.width, camera.height) for i in range(len(many))]
        rows = [reference_mesh.rasterize(v.detach(), faces, c, cull, NEAR) for v, c in zip(many, one, strict=True)]
        drawn = tuple(torch.stack(parts) for parts in zip(*rows, strict=True))
    face, bary, depth = (x.reshape(*batch, *x.shape[1:]) for x in drawn)
    return MeshRender(face.to(torch.int32), bary.to(vertices.dtype), depth.to(vertices.dtype))


def interpolate(
    attributes: Float[Tensor, "*b v c"], mesh_render: MeshRender, faces: Int[Tensor, "f 3"]
) -> Float[Tensor, "*b h w c"]:
    """Returns per-vertex attributes at the pixels (0 where there is no face), differentiable in `attributes`.

    Args:
        attributes: One set for all views, or one for each.
        mesh_render: From `rasterize`.
        faces: The faces that were drawn.
    """
    ids = faces[mesh_render.face.clamp_min(0).long()]  # *b h w 3
    *batch, h, w, _ = ids.shape
    c = attributes.shape[-1]
    wanted = attributes.expand(*batch, *attributes.shape[-2:])
    flat = ids.reshape(*batch, h * w * 3)
    corners = torch.gather(wanted, -2, flat[..., None].long().expand(*flat.shape, c)).reshape(*batch, h, w, 3, c)
    return (corners * mesh_render.bary[..., None].to(attributes.dtype)).sum(-2)


def visible_vertices(
    vertices: Float[Tensor, "*b v 3"], mesh_render: MeshRender, camera: Camera, tolerance: float = 2e-3
) -> Bool[Tensor, "*b v"]:
    """Returns which vertices project into the image and are not hidden behind the mesh.

    Args:
        vertices: The vertices that were drawn, world space, metres.
        mesh_render: From `rasterize` with the same camera.
        camera: The camera.
        tolerance: How far behind the surface at its pixel a vertex may lie, metres: covers the slope within a pixel.
    """
    seen = vertices @ camera.w2c[..., :3, :3].mT + camera.w2c[..., None, :3, 3]
    pixels = seen @ camera.K.mT
    z = seen[..., 2].expand(*mesh_render.depth.shape[:-2], vertices.shape[-2])
    h, w = mesh_render.depth.shape[-2:]
    x, y = ((pixels[..., i] / pixels[..., 2].clamp_min(NEAR)).floor().clamp(-1, (w, h)[i]).long() for i in range(2))
    inside = (z > NEAR) & (x >= 0) & (x < w) & (y >= 0) & (y < h)
    index = (y.clamp(0, h - 1) * w + x.clamp(0, w - 1)).expand(z.shape)
    surface = torch.gather(mesh_render.depth.flatten(-2), -1, index)
    return inside & ((surface == 0) | (z <= surface + tolerance))


def _views(x: Tensor, batch: torch.Size) -> Tensor:
    """Returns `x` with its leading axes broadcast to the views and flattened into one."""
    return x.detach().float().expand(*batch, *x.shape[-2:]).reshape(batch.numel(), *x.shape[-2:]).contiguous()
