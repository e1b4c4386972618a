"""What a camera sees of an avatar's bodies: splats, a field, or both, by depth."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from avatar3d import fields, heads, rig
from avatar3d.core import Avatar, Camera, Gaussians, Pose, Render
from avatar3d.ops import splat


def shown(
    avatar: Avatar, splats: Gaussians, pose: Pose, camera: Camera, background: Float[Tensor, "*b 3"] | None
) -> Render:
    """Returns what a camera sees of an avatar; of a field without gradients.

    Args:
        avatar: Who.
        splats: Its splats in the pose, in the world.
        pose: As asked for, before the avatar's bearing.
        camera: One for all poses, or one for each.
        background: Colour behind the avatar, sRGB in [0, 1]; black if None.
    """
    if avatar.field is None:
        return splat.rasterize(splats, camera, background)
    batch = torch.broadcast_shapes(pose.expression.shape[:-1], camera.w2c.shape[:-2], camera.K.shape[:-2])
    count = batch.numel()
    poses = _each(rig.carried(pose, avatar.bearing), batch)
    w2c, K = (x.expand(*batch, *x.shape[-2:]).reshape(count, *x.shape[-2:]) for x in (camera.w2c, camera.K))
    behind: Sequence[Render | None] = [None] * count
    if len(avatar.gaussians):
        behind = _layers(splat.rasterize(splats, camera), count)
    head = heads.of(avatar)
    body = fields.prepared(avatar.field, head)
    found = []
    with torch.no_grad():
        for i in range(count):
            posed = fields.pose_field(body, head, avatar.identity, poses[i])
            found.append(fields.look(posed, Camera(w2c[i], K[i], camera.width, camera.height), behind[i]))
    planes = [torch.stack([getattr(r, x) for r in found]) for x in ("rgb", "alpha", "depth")]
    rgb, alpha, depth = (x.reshape(*batch, *x.shape[1:]) for x in planes)
    if background is not None:
        rgb = rgb + (1 - alpha) * background[..., None, None, :]
    return Render(rgb, alpha, depth)


def _each(pose: Pose, batch: torch.Size) -> Pose:
    """Returns poses with one leading axis."""
    here = len(pose.expression.shape) - 1

    def flat(x: Tensor) -> Tensor:
        return x.expand(*batch, *x.shape[here:]).reshape(batch.numel(), *x.shape[here:])

    return pose.map(flat)


def _layers(seen: Render, count: int) -> Sequence[Render | None]:
    """Returns the pictures of a batch one by one."""
    flat = [x.reshape(count, *x.shape[-3:]) for x in (seen.rgb, seen.alpha, seen.depth)]
    return [Render(flat[0][i], flat[1][i], flat[2][i]) for i in range(count)]
