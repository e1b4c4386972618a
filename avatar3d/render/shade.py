"""A head as a shaded mesh: for pictures, overlays and the renders that landmarks are calibrated on."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from avatar3d.core import AvatarError, Camera, Render
from avatar3d.ops import mesh


@dataclass(frozen=True)
class Light:
    """One soft light that travels with the camera, over a sky that brightens upward."""

    direction: tuple[float, float, float] = (-0.35, 0.5, 0.8)
    """Towards the light in camera-aligned axes (x right, y up, z towards the viewer); any length."""
    ambient: float = 0.45
    """Share of the colour that is seen in full shade."""
    gloss: float = 0.08
    """Strength of the highlight, in sRGB."""


@dataclass(frozen=True)
class Texture:
    """An image on a mesh."""

    image: Float[Tensor, "th tw 3"]
    """sRGB in [0, 1]; the first row is the top (v = 1)."""
    uv: Float[Tensor, "f 3 2"]
    """Texture coordinates of each face corner in [0, 1], v up."""


def normals(vertices: Float[Tensor, "*b v 3"], faces: Int[Tensor, "f 3"]) -> Float[Tensor, "*b v 3"]:
    """Returns unit vertex normals, the sum of the adjoining faces' normals weighted by area."""
    corners = vertices[..., faces, :]
    across = torch.linalg.cross(corners[..., 1, :] - corners[..., 0, :], corners[..., 2, :] - corners[..., 0, :])
    total = torch.zeros_like(vertices)
    for i in range(3):
        total = total.index_add(-2, faces[:, i].long(), across)
    return functional.normalize(total, dim=-1, eps=1e-20)


def shade(
    vertices: Float[Tensor, "*b v 3"],
    faces: Int[Tensor, "f 3"],
    camera: Camera,
    colours: Float[Tensor, "*c v 3"] | Texture | None = None,
    light: Light | None = None,
    supersample: int = 2,
) -> Render:
    """Returns a picture of a mesh: black and alpha 0 where there is none (colour is premultiplied by alpha).

    Args:
        vertices: World space, metres; a batch or one mesh.
        faces: Vertex ids, counter-clockwise seen from outside.
        camera: One camera or a batch; it and the vertices broadcast.
        colours: sRGB of each vertex in [0, 1], or a texture; None is plaster grey.
        light: None is the default light; `Light(ambient=1.0, gloss=0.0)` shows the colours alone.
        supersample: Rays along each side of a pixel.

    Raises:
        AvatarError: If `supersample` is less than 1 or the colours do not fit the mesh.
    """
    if supersample < 1:
        raise AvatarError(f"shade: supersample is {supersample}; give 1 or more")
    if colours is None:
        colours = vertices.new_full((vertices.shape[-2], 3), 0.72)
    count, wanted = (
        (len(colours.uv), len(faces)) if isinstance(colours, Texture) else (colours.shape[-2], vertices.shape[-2])
    )
    if count != wanted:
        raise AvatarError(f"shade: colours for {count}, the mesh has {wanted}")

    fine = camera.scaled(supersample) if supersample > 1 else camera
    seen = mesh.rasterize(vertices, faces, fine)
    batch, (h, w) = seen.face.shape[:-2], seen.face.shape[-2:]
    at = seen.mask.flatten().nonzero()[:, 0]  # only pixels that see the mesh are lit
    view, face, bary = at // (h * w), seen.face.flatten()[at].long(), seen.bary.reshape(-1, 3)[at]

    posed = vertices.expand(*batch, *vertices.shape[-2:])
    attributes = _in_view(normals(vertices, faces), camera).expand_as(posed)
    if isinstance(colours, Tensor):
        attributes = torch.cat([attributes, colours.expand_as(posed)], -1)
    corners = attributes.reshape(-1, *attributes.shape[-2:])[view[:, None], faces[face]]  # m 3 c
    mixed = (corners * bary[..., None]).sum(1)
    base = _sample(colours, face, bary) if isinstance(colours, Texture) else mixed[:, 3:]
    outside = _faces_viewer(posed, faces, camera).reshape(-1, len(faces))[view, face]
    facing = functional.normalize(torch.where(outside[:, None], mixed[:, :3], -mixed[:, :3]), dim=-1)

    rgb = base.new_zeros(seen.face.numel(), 3)
    rgb[at] = _lit(base, facing, light or Light())
    covered = seen.mask[..., None].to(rgb.dtype)
    rgb, alpha, depth = (
        _shrink(x, supersample) for x in (rgb.reshape(*batch, h, w, 3), covered, seen.depth[..., None])
    )
    return Render(rgb.clamp(0, 1), alpha, depth)


def _in_view(directions: Tensor, camera: Camera) -> Tensor:
    """Returns world directions in camera-aligned axes x right, y up, z towards the viewer."""
    return (directions @ camera.w2c[..., :3, :3].mT) * directions.new_tensor([1.0, -1.0, -1.0])


def _faces_viewer(vertices: Tensor, faces: Tensor, camera: Camera) -> Tensor:
    """Returns which faces (*b f) show their outer side; inner sides are lit as if turned to the viewer."""
    corners = vertices[..., faces, :]
    across = torch.linalg.cross(corners[..., 1, :] - corners[..., 0, :], corners[..., 2, :] - corners[..., 0, :])
    return (across * (camera.position[..., None, :] - corners[..., 0, :])).sum(-1) > 0


def _lit(base: Tensor, facing: Tensor, light: Light) -> Tensor:
    """Returns the colours (m 3) under half-Lambert light, a sky term and a Blinn highlight."""
    towards = functional.normalize(facing.new_tensor(light.direction), dim=0)
    halfway = functional.normalize(towards + towards.new_tensor([0.0, 0.0, 1.0]), dim=0)
    lambert = (0.5 + 0.5 * (facing @ towards)) ** 2
    sky = 0.85 + 0.15 * facing[:, 1]
    strength = light.ambient * (sky if light.ambient < 1 else 1.0) + (1 - light.ambient) * 1.15 * lambert
    highlight = light.gloss * (facing @ halfway).clamp_min(0) ** 24
    return base * strength[:, None] + highlight[:, None]


def _sample(texture: Texture, face: Tensor, bary: Tensor) -> Tensor:
    """Returns the texture's colours (m 3) at points of faces, bilinear."""
    uv = (texture.uv[face] * bary[..., None]).sum(1)
    grid = torch.stack([2 * uv[:, 0] - 1, 1 - 2 * uv[:, 1]], -1)[None, None]
    image = texture.image.permute(2, 0, 1)[None]
    return functional.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=False)[0, :, 0].mT


def _shrink(image: Tensor, factor: int) -> Tensor:
    """Returns the means of blocks of `factor` by `factor` pixels."""
    if factor == 1:
        return image
    *batch, h, w, c = image.shape
    return image.reshape(*batch, h // factor, factor, w // factor, factor, c).mean((-4, -2))
