"""Another shape under the splats of an avatar: those near the surface ride on it, hair and the like drift with it."""

from dataclasses import replace

import torch
from jaxtyping import Float
from scipy.spatial import KDTree
from torch import Tensor

from avatar3d import geometry, heads, rig
from avatar3d.core import Avatar, Gaussians
from avatar3d.render.path import neutral
from avatar3d.rig.frames import face_frames

_NEAR, _FAR = 3e-3, 12e-3
"""Metres from a splat's triangle up to which it rides on it, and from which it drifts with the shape around it."""
_AROUND, _NEIGHBOURS = 4e-3, 24
"""Least reach (standard deviation, metres) and number of the vertices whose moves a drifting splat follows."""


def reshaped(avatar: Avatar, identity: Float[Tensor, " s"], shape: Float[Tensor, "v 3"]) -> Avatar:
    """Returns the avatar in another shape.

    A splat keeps its place in the frame of its triangle. For hair, far from the triangle it hangs on, that would turn a
    small tilt of the triangle into a leap: what is farther than a few millimetres is moved by the mean move of the
    vertices around it instead, and keeps its size and direction.

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
    anchors = _anchors(avatar, head.faces, old)
    away = (before.means - anchors).norm(dim=-1)
    loose = ((away - _NEAR) / (_FAR - _NEAR)).clamp(0, 1)
    some = (loose > 0).nonzero()[:, 0]
    if not len(some):
        return out
    part = replace(avatar, gaussians=g.gather(some), binding=avatar.binding.gather(some))
    place = before.means[some]
    drift = place + _moves_around(place, away[some], old, new - old)
    after = rig.pose(part.gaussians, part.binding, None, new, head.faces, pose)
    share = loose[some][:, None]
    means = torch.lerp(after.means, drift, share)
    log_scales = torch.lerp(after.log_scales, before.log_scales[some], share)
    turned = before.quats[some]
    same = (turned * after.quats).sum(-1, keepdim=True).sign()
    quats = torch.nn.functional.normalize(torch.lerp(after.quats, turned * same, share), dim=-1)
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
