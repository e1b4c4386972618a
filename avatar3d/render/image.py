"""An avatar in a pose, seen by a camera."""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from avatar3d import heads, rig
from avatar3d.core import Avatar, AvatarError, Camera, Gaussians, Pose, Render
from avatar3d.ops import image
from avatar3d.render.bodies import shown

_BATCH = 4  # poses per call: enough to keep all threads busy, small enough that memory stays flat on long sequences


def check_camera(camera: Camera) -> None:
    """Checks that a camera can be rendered with.

    Raises:
        AvatarError: A NaN or infinity, a focal length that is not positive, a size that is not positive, or a `w2c`
            whose rotation is not one.
    """
    if camera.width < 1 or camera.height < 1:
        raise AvatarError(f"camera: size {camera.width}x{camera.height}; both sides must be at least 1 pixel")
    for name in ("w2c", "K"):
        finite = torch.isfinite(getattr(camera, name)).flatten(-2).all(-1).reshape(-1)
        if not bool(finite.all()):
            which = f" {int((~finite).nonzero()[0, 0])}" if finite.numel() > 1 else ""
            raise AvatarError(f"camera{which}: {name} holds NaN or infinity; give finite numbers")
    focal = camera.K[..., [0, 1], [0, 1]]
    if not bool((focal > 0).all()):
        raise AvatarError(f"camera: focal length {float(focal.min()):g} pixels; it must be positive")
    rotation = camera.w2c[..., :3, :3].detach()
    off = (rotation @ rotation.mT - torch.eye(3, dtype=rotation.dtype, device=rotation.device)).abs().max()
    if float(off) > 1e-2 or not bool((torch.linalg.det(rotation) > 0).all()):
        raise AvatarError("camera: the 3x3 part of w2c is not a rotation; give world-to-camera in OpenCV axes")


def world_splats(avatar: Avatar, pose: Pose) -> Gaussians:
    """Returns the avatar's splats in world space for each pose of a batch, as its bearing carries them.

    Raises:
        AvatarError: The pose has another number of expressions or joints than the avatar's head, or holds NaN.
    """
    head = heads.of(avatar)
    _check_pose(pose, len(head.expressions), len(head.joints))
    faces = int(head.faces.shape[0])
    if len(avatar.gaussians) and int(avatar.binding.face.max()) >= faces:
        raise AvatarError(f"avatar: a splat rides on a face that head '{avatar.head}' ({faces} faces) does not have")
    if avatar.identity.shape[0] != len(head.identities):
        raise AvatarError(
            f"avatar: {avatar.identity.shape[0]} identity numbers, head '{avatar.head}' takes {len(head.identities)}:"
            " it was made with another version of the head: fit it again"
        )
    inputs = len(head.expressions) + 3 * len(head.joints)
    if avatar.basis is not None and avatar.basis.weights[0].shape[1] != inputs:
        raise AvatarError(
            f"avatar: blendshapes of {avatar.basis.weights[0].shape[1]} pose numbers, the head gives {inputs}:"
            " it was made with another version of the head: fit it again"
        )
    pose = rig.carried(pose, avatar.bearing)
    batch = pose.expression.shape[:-1]
    identity = avatar.identity.expand(*batch, -1)
    vertices = head.vertices(identity, pose)
    return rig.pose(avatar.gaussians, avatar.binding, avatar.basis, vertices, head.faces, pose)


def render(
    avatar: Avatar,
    pose: Pose,
    camera: Camera,
    background: Float[Tensor, "*b 3"] | None = None,
) -> Render:
    """Returns what `camera` sees of the avatar in `pose`; differentiable in all of them (not where it has a field).

    Args:
        avatar: Who.
        pose: What the face does; a leading batch renders several poses.
        camera: One camera for all poses, or one for each.
        background: Colour behind the avatar, sRGB in [0, 1]; black if None (use `alpha` to composite).

    Example:
        >>> import avatar3d, torch
        >>> avatar = avatar3d.load("me.a3d")                                        # doctest: +SKIP
        >>> smile = avatar3d.posed(avatar.head, {"mouthSmileLeft": 0.8})             # doctest: +SKIP
        >>> seen = avatar3d.render(avatar, smile, avatar3d.orbit(torch.zeros(1)))    # doctest: +SKIP
    """
    check_camera(camera)
    return shown(avatar, world_splats(avatar, pose), pose, camera, background)


def frames(
    avatar: Avatar,
    pose: Pose,
    camera: Camera,
    background: tuple[float, float, float] | None = (1.0, 1.0, 1.0),
) -> Iterator[UInt8[np.ndarray, "h w c"]]:
    """Yields uint8 pictures of a sequence, a few poses at a time.

    Args:
        avatar: Who.
        pose: Batched over t frames.
        camera: One for all frames, or batched over t.
        background: sRGB in [0, 1]; None yields RGBA with straight (not premultiplied) colours.
    """
    check_camera(camera)
    t = pose.expression.shape[0]
    moving = camera.w2c.dim() == 3
    if moving and camera.w2c.shape[0] != t:
        raise AvatarError(f"render: {camera.w2c.shape[0]} cameras for {t} poses; give one camera or one for each pose")
    colour = None if background is None else torch.tensor(background)
    for start in range(0, t, _BATCH):
        part = slice(start, min(start + _BATCH, t))
        seen = camera
        if moving:
            K = camera.K[part] if camera.K.dim() == 3 else camera.K
            seen = Camera(camera.w2c[part], K, camera.width, camera.height)
        with torch.no_grad():
            result = shown(avatar, world_splats(avatar, pose[part]), pose[part], seen, colour)
        yield from to_bytes(result, straight_alpha=background is None)


def to_bytes(result: Render, straight_alpha: bool = False) -> UInt8[np.ndarray, "*b h w c"]:
    """Returns the picture as uint8: RGB, or RGBA with the colours divided by alpha as PNG wants them."""
    return image.to_bytes(result.rgb, result.alpha if straight_alpha else None).cpu().numpy()


def quantise(picture: Float[Tensor, "*b h w 3"]) -> UInt8[np.ndarray, "*b h w 3"]:
    """Returns sRGB in [0, 1] as bytes."""
    return image.to_bytes(picture).cpu().numpy()


def _check_pose(pose: Pose, expressions: int, joints: int) -> None:
    if pose.expression.shape[-1] != expressions:
        raise AvatarError(f"pose: {pose.expression.shape[-1]} expression weights, the head takes {expressions}")
    if pose.joints.shape[-2] != joints:
        raise AvatarError(f"pose: {pose.joints.shape[-2]} joints, the head has {joints}")
    for name in ("expression", "joints", "root"):
        if not bool(torch.isfinite(getattr(pose, name)).all()):
            raise AvatarError(f"pose: {name} holds NaN or infinity; give finite numbers")
