"""Rotations, rigid transforms and cameras. The one place where roma's xyzw order is swapped to our wxyz."""

import math

import roma
import torch
from jaxtyping import Float
from torch import Tensor

from avatar3d.core import Camera


def quat_to_matrix(quats: Float[Tensor, "*b 4"]) -> Float[Tensor, "*b 3 3"]:
    """Returns rotation matrices of wxyz quaternions of any non-zero length."""
    return roma.unitquat_to_rotmat(torch.nn.functional.normalize(quats, dim=-1)[..., [1, 2, 3, 0]])


def matrix_to_quat(matrices: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 4"]:
    """Returns unit wxyz quaternions of rotation matrices."""
    return roma.rotmat_to_unitquat(matrices)[..., [3, 0, 1, 2]]


def quat_product(a: Float[Tensor, "*b 4"], b: Float[Tensor, "*b 4"]) -> Float[Tensor, "*b 4"]:
    """Returns a * b (rotation b first), wxyz."""
    aw, ax, ay, az = a.unbind(-1)
    bw, bx, by, bz = b.unbind(-1)
    return torch.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        dim=-1,
    )


def rotvec_to_matrix(rotvecs: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3 3"]:
    """Returns rotation matrices of rotation vectors in radians."""
    return roma.rotvec_to_rotmat(rotvecs)


def matrix_to_rotvec(matrices: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 3"]:
    """Returns rotation vectors in radians, of length at most pi."""
    return roma.rotmat_to_rotvec(matrices)


def rigid(rotation: Float[Tensor, "*b 3 3"], translation: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 4 4"]:
    """Returns 4x4 transforms x -> rotation x + translation."""
    top = torch.cat([rotation, translation[..., None]], dim=-1)
    last = top.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(*top.shape[:-2], 1, 4)
    return torch.cat([top, last], dim=-2)


def rigid_inverse(transform: Float[Tensor, "*b 4 4"]) -> Float[Tensor, "*b 4 4"]:
    """Returns the inverses of rigid transforms."""
    rotation = transform[..., :3, :3].mT
    return rigid(rotation, -(rotation @ transform[..., :3, 3:])[..., 0])


def apply(transform: Float[Tensor, "*b 4 4"], points: Float[Tensor, "*b n 3"]) -> Float[Tensor, "*b n 3"]:
    """Returns the transformed points."""
    return points @ transform[..., :3, :3].mT + transform[..., None, :3, 3]


def look_at(
    position: Float[Tensor, "*b 3"], target: Float[Tensor, "*b 3"], up: tuple[float, float, float] = (0.0, 1.0, 0.0)
) -> Float[Tensor, "*b 4 4"]:
    """Returns `w2c` of OpenCV cameras at `position` that look at `target`, `up` (world) towards the image's top."""
    forward = torch.nn.functional.normalize(target - position, dim=-1)
    sideways = torch.linalg.cross(forward, position.new_tensor(up).expand_as(forward))
    right = torch.nn.functional.normalize(sideways, dim=-1)
    down = torch.linalg.cross(forward, right)
    rotation = torch.stack([right, down, forward], dim=-2)
    return rigid(rotation, -(rotation @ position[..., None])[..., 0])


def pinhole(width: int, height: int, focal: float) -> Float[Tensor, "3 3"]:
    """Returns intrinsics with the principal point at the image's centre; `focal` in pixels."""
    return torch.tensor([[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]])


def orbit(
    yaw: Float[Tensor, " t"],
    pitch: float = 0.0,
    distance: float = 0.7,
    target: tuple[float, float, float] = (0.0, -0.03, -0.02),
    size: tuple[int, int] = (512, 512),
    vertical_fov: float = math.radians(30),
) -> Camera:
    """Returns cameras on a circle around a head at rest.

    Args:
        yaw: Angle of each camera around +y in radians; 0 looks at the face, positive shows the head's left side.
        pitch: Elevation in radians, positive looks down on the head.
        distance: Metres from `target`.
        target: Point looked at, head space, metres (the default lies behind the nose bridge).
        size: Width and height in pixels.
        vertical_fov: Full vertical field of view in radians.
    """
    width, height = size
    centre = torch.tensor(target, dtype=yaw.dtype)
    direction = torch.stack(
        [yaw.sin() * math.cos(pitch), torch.full_like(yaw, math.sin(pitch)), yaw.cos() * math.cos(pitch)], dim=-1
    )
    w2c = look_at(centre + distance * direction, centre.expand_as(direction))
    focal = height / (2 * math.tan(vertical_fov / 2))
    K = pinhole(width, height, focal).to(yaw.dtype).expand(len(yaw), 3, 3)
    return Camera(w2c, K, width, height)
