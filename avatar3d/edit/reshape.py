"""Another shape under the splats of an avatar: skin moves as asked, hair and the like drift with what is around."""

from dataclasses import replace

import torch
from jaxtyping import Float
from scipy.spatial import KDTree
from torch import Tensor

from avatar3d import geometry, heads, rig
from avatar3d.core import Avatar, Gaussians
from avatar3d.render.path import neutral
from avatar3d.rig.frames import face_frames

_TIED, _NEAR, _FAR = 1e-5, 3e-3, 12e-3
"""Metres from its point on the mesh below which a splat is part of it, up to which it moves as that point does, and
from which it drifts with the shape around it."""
_AROUND, _NEIGHBOURS = 4e-3, 24
"""Least reach (standard deviation, metres) and number of the vertices whose moves a drifting splat follows."""


def reshaped(avatar: Avatar, identity: Float[Tensor, " s"], shape: Float[Tensor, "v 3"]) -> Avatar:
    """Returns the avatar in another shape.

    A splat moves as the point of the mesh does that it is tied to, and turns with its triangle. In its triangle's frame
    alone it would swing: where skin lies a millimetre off the mesh, a nose that was to get wider by 2 mm got wider by
    1.5, and hair leapt. Hair is moved by the mean move of the vertices around it, and keeps its size and direction.
    Splats of triangles that stay are not touched.

    Args:
        avatar: Who.
        identity: The new one, standard deviations.
        shape: The new vertex offsets, metres.
    """
    out = replace(avatar, identity=identity, shape=shape if bool((shape != 0).any()) else None)
    head, changed = heads.of(avatar), heads.of(out)
    pose = neutral(head)
    old, new = head.vertices(avatar.identity, pose), changed.vertices(identity, pose)
    g = avatar.gaussians
    before = rig.pose(g, avatar.binding, None, old, head.faces, pose)
    anchors, moved = (_anchors(avatar, head.faces, v) for v in (old, new - old))
    away = (before.means - anchors).norm(dim=-1)
    touched = (new != old).any(-1)[head.faces].any(-1)[avatar.binding.face]
    some = (touched & (away > _TIED)).nonzero()[:, 0]
    if not len(some):
        return out
    part = replace(avatar, gaussians=g.gather(some), binding=avatar.binding.gather(some))
    place, loose = before.means[some], ((away[some, None] - _NEAR) / (_FAR - _NEAR)).clamp(0, 1)
    means = place + torch.lerp(moved[some], _moves_around(place, away[some], old, new - old), loose)
    after = rig.pose(part.gaussians, part.binding, None, new, head.faces, pose)
    log_scales = torch.lerp(after.log_scales, before.log_scales[some], loose)
    turned = before.quats[some]
    same = (turned * after.quats).sum(-1, keepdim=True).sign()
    quats = torch.nn.functional.normalize(torch.lerp(after.quats, turned * same, loose), dim=-1)
    return replace(out, gaussians=_bound(g, some, (means, quats, log_scales), _frames(part, new, head.faces)))


def _anchors(avatar: Avatar, faces: Tensor, vertices: Tensor) -> Float[Tensor, "n 3"]:
    corners = faces[avatar.binding.face]
    bary = avatar.binding.bary
    return sum(bary[:, i, None] * vertices[corners[:, i]] for i in range(3))  # type: ignore[return-value]


def _frames(part: Avatar, vertices: Tensor, faces: Tensor):
    """Returns rotation, size and anchor of each splat's triangle."""
    frames = face_frames(vertices, faces)
    return frames.rotation[part.binding.face], frames.scale[part.binding.face], _anchors(part, faces, vertices)


def _bound(g: Gaussians, some: Tensor, world: tuple[Tensor, Tensor, Tensor], frames) -> Gaussians:
    """Returns the splats with those at `some` put where they shall be in the world."""
    (means, quats, log_scales), (rotation, size, anchors) = world, frames
    local = (rotation.mT @ (means - anchors)[..., None])[..., 0] / size[:, None]
    back = geometry.matrix_to_quat(rotation.mT)
    return replace(
        g,
        means=g.means.index_copy(0, some, local),
        quats=g.quats.index_copy(0, some, geometry.quat_product(back, quats)),
        log_scales=g.log_scales.index_copy(0, some, log_scales - size.log()[:, None]),
    )


def _moves_around(
    places: Float[Tensor, "m 3"], away: Float[Tensor, " m"], vertices: Float[Tensor, "v 3"], moves: Float[Tensor, "v 3"]
) -> Float[Tensor, "m 3"]:
    """Returns the mean move of the vertices around each place, wider the farther it is from its triangle."""
    distance, near = KDTree(vertices.double().numpy()).query(places.double().numpy(), k=_NEIGHBOURS, workers=1)
    distance, near = torch.from_numpy(distance).float(), torch.from_numpy(near)
    reach = away.clamp(min=_AROUND)[:, None]
    weight = torch.exp(-0.5 * ((distance - distance[:, :1]) / reach) ** 2)
    return (weight[..., None] * moves[near]).sum(1) / weight.sum(1, keepdim=True)
