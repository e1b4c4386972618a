"""Ways to draw an avatar: splats, points, mesh, edges, depth, regions."""

from dataclasses import replace
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from avatar3d import geometry, heads
from avatar3d.core import Avatar, Camera, HeadModel, Pose
from avatar3d.ops import mesh, splat
from avatar3d.render.image import render, world_splats
from avatar3d.render.shade import shade

Draw = Literal["splats", "points", "mesh", "edges", "depth", "regions"]
DRAWS = get_args(Draw)
_SH0 = 0.28209479177387814
_POINT = -7.2
"""Logarithm of a point's size in metres: 0.75 mm."""
_HEAT = ((0.13, 0.2, 0.55), (0.1, 0.65, 0.75), (1.0, 0.9, 0.25), (0.9, 0.2, 0.1))
"""Colours of weights from 0 to 1."""
_LINE, _INK = 0.7, (0.1, 0.35, 0.85)
"""Half the width of an edge in pixels, and its colour."""


def head_of(avatar: Avatar) -> HeadModel:
    """Returns the head that the avatar rides on, with what edits did to its shape."""
    of = getattr(heads, "of", None)
    return heads.load(avatar.head) if of is None else of(avatar)


def vertices_of(avatar: Avatar, pose: Pose) -> Float[Tensor, "v 3"]:
    """Returns the mesh in a pose, metres."""
    return head_of(avatar).vertices(avatar.identity, pose)


def drawn(
    avatar: Avatar,
    pose: Pose,
    camera: Camera,
    draw: Draw,
    background: Float[Tensor, "3"],
    region: str | None = None,
    mesh_lines: bool = False,
) -> Float[Tensor, "h w 3"]:
    """Returns a picture in sRGB.

    Args:
        avatar: Who.
        pose: In the world of the camera.
        camera: Gives the size.
        draw: How.
        background: Behind it.
        region: Region of the head whose weights colour splats and mesh.
        mesh_lines: Whether the mesh's edges are drawn over it.
    """
    head = head_of(avatar)
    weights = head.regions.get(region) if region is not None else None
    if draw in ("splats", "points", "depth"):
        image = _splats(avatar, pose, camera, draw, background, weights)
    elif draw == "edges":
        image = background.expand(camera.height, camera.width, 3)
    else:
        image = _mesh(avatar, pose, camera, background, weights, all_regions=draw == "regions")
    if draw == "edges" or mesh_lines:
        covered = edges(head.vertices(avatar.identity, pose), head.faces, camera)[..., None]
        image = image * (1 - covered) + torch.tensor(_INK) * covered
    return image


def heat(weights: Float[Tensor, " n"]) -> Float[Tensor, "n 3"]:
    """Returns a colour for each weight in [0, 1], from blue over yellow to red."""
    colours = torch.tensor(_HEAT)
    place = weights.clamp(0, 1) * (len(_HEAT) - 1)
    low = place.long().clamp(max=len(_HEAT) - 2)
    share = (place - low)[:, None]
    return colours[low] * (1 - share) + colours[low + 1] * share


def weights_of(avatar: Avatar, weights: Float[Tensor, " v"]) -> Float[Tensor, " n"]:
    """Returns the weight of each splat from those of its triangle's corners."""
    corners = head_of(avatar).faces[avatar.binding.face.long()]
    return (weights[corners] * avatar.binding.bary).sum(-1)


def pick(avatar: Avatar, pose: Pose, camera: Camera, x: float, y: float) -> str | None:
    """Returns the smallest region of the head that fills the place at a pixel; None beside the head."""
    head = head_of(avatar)
    if not head.regions:
        return None
    seen = mesh.rasterize(head.vertices(avatar.identity, pose), head.faces, camera)
    row, column = min(max(int(y), 0), camera.height - 1), min(max(int(x), 0), camera.width - 1)
    face = int(seen.face[row, column])
    if face < 0:
        return None
    corners, bary = head.faces[face].long(), seen.bary[row, column]
    found = {name: float((w[corners] * bary).sum()) for name, w in head.regions.items()}
    inside = [name for name, value in found.items() if value > 0.5] or [max(found, key=lambda n: found[n])]
    return min(inside, key=lambda name: float(head.regions[name].sum()))


def edges(vertices: Float[Tensor, "v 3"], faces: Tensor, camera: Camera) -> Float[Tensor, "h w"]:
    """Returns how much of each pixel an edge of the visible mesh covers: the distance to it in the picture."""
    seen = mesh.rasterize(vertices, faces, camera)
    at = geometry.apply(camera.w2c, vertices)
    flat = (at @ camera.K.mT)[:, :2] / at[:, 2:].clamp_min(1e-6)
    corners = flat[faces.long()]  # f 3 2
    sides = corners.roll(-1, 1) - corners.roll(1, 1)  # opposite to each corner
    area = (sides[:, 0, 0] * sides[:, 1, 1] - sides[:, 0, 1] * sides[:, 1, 0]).abs()
    heights = area[:, None] / sides.norm(dim=-1).clamp_min(1e-6)  # pixels from each corner to its side
    face = seen.face.long().clamp_min(0)
    distance = (seen.bary * heights[face]).amin(-1)
    return ((_LINE + 0.5 - distance).clamp(0, 1) * 0.75) * seen.mask


def _splats(
    avatar: Avatar, pose: Pose, camera: Camera, draw: Draw, background: Tensor, weights: Tensor | None
) -> Tensor:
    if weights is None and draw != "points" and draw != "depth":
        return render(avatar, pose, camera, background).rgb.clamp(0, 1)
    world = world_splats(avatar, pose)
    if weights is not None and draw != "depth":
        hot = weights_of(avatar, weights)
        own = (world.sh[:, 0] * _SH0 + 0.5).clamp(0, 1)
        mixed = own * 0.35 + heat(hot) * 0.65
        world = replace(world, sh=((mixed - 0.5) / _SH0)[:, None])
    if draw == "points":
        solid = torch.full_like(world.logits, 6.0)
        shown = torch.where(world.logits > -3.0, solid, torch.full_like(solid, -12.0))
        world = replace(world, log_scales=torch.full_like(world.log_scales, _POINT), logits=shown)
    seen = splat.rasterize(world, camera, background)
    if draw != "depth":
        return seen.rgb.clamp(0, 1)
    depth = seen.depth / seen.alpha.clamp_min(1e-6)
    solid = seen.alpha > 0.5
    if not bool(solid.any()):
        return background.expand(camera.height, camera.width, 3)
    near, far = depth[solid].min(), depth[solid].quantile(0.98) if int(solid.sum()) < 1 << 24 else depth[solid].max()
    share = 1 - (depth - near) / (far - near).clamp_min(1e-3)
    colours = heat(share.flatten()).reshape(camera.height, camera.width, 3)
    return colours * seen.alpha + background * (1 - seen.alpha)


def _mesh(
    avatar: Avatar, pose: Pose, camera: Camera, background: Tensor, weights: Tensor | None, all_regions: bool
) -> Tensor:
    head = head_of(avatar)
    colours = None
    if weights is not None:
        colours = heat(weights)
    elif all_regions and head.regions:
        colours = region_colours(head)
    seen = shade(head.vertices(avatar.identity, pose), head.faces, camera, colours, supersample=1)
    return seen.rgb + background * (1 - seen.alpha)


def region_colours(head: HeadModel) -> Float[Tensor, "v 3"]:
    """Returns each vertex in the colour of its smallest region."""
    names = sorted(head.regions, key=lambda name: -float(head.regions[name].sum()))
    total = len(next(iter(head.regions.values())))
    colours = torch.full((total, 3), 0.7)
    for i, name in enumerate(names):
        hue = torch.tensor([(i * 0.618) % 1.0])
        colour = (0.5 + 0.4 * torch.cos(2 * torch.pi * (hue + torch.tensor([0.0, 0.33, 0.67])))).clamp(0, 1)
        share = head.regions[name][:, None].clamp(0, 1)
        colours = colours * (1 - share) + colour * share
    return colours
