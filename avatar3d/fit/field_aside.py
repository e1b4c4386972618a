"""What no frame shows: the head from aside and behind, as splats with made-up colours show it."""

import math
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from avatar3d.core import Avatar, Camera, HeadModel, Pose
from avatar3d.fit.field_rays import Drawn
from avatar3d.geometry import rotvec_to_matrix
from avatar3d.ops import splat
from avatar3d.rig import pose as pose_splats

_MIDDLE = (0.0, -0.02, -0.06)  # of a head, head space, metres: what it is turned about
_NEAR = 5  # pixels around the splats that are looked at, too


def turned(root: Float[Tensor, "*b 4 4"], turn: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 4 4"]:
    """Returns roots whose head is turned in the world about its own middle."""
    middle = root[..., :3, :3] @ root.new_tensor(_MIDDLE) + root[..., :3, 3]
    out = root.clone()
    out[..., :3, :3] = turn @ root[..., :3, :3]
    out[..., :3, 3] = (turn @ (root[..., :3, 3] - middle)[..., None])[..., 0] + middle
    return out


def aside(pose: Pose, seed: int, yaw: float = 160.0, pitch: float = 20.0) -> Pose:
    """Returns a pose turned before the camera by up to so many degrees."""
    random = torch.Generator().manual_seed(seed)
    up, around = ((2 * torch.rand(2, generator=random) - 1) * torch.tensor([pitch, yaw]) * (math.pi / 180)).tolist()
    turn = rotvec_to_matrix(torch.tensor([up, 0.0, 0.0])) @ rotvec_to_matrix(torch.tensor([0.0, around, 0.0]))
    return replace(pose, root=turned(pose.root, turn))


@torch.no_grad()
def shown(known: Avatar, head: HeadModel, pose: Pose, camera: Camera, count: int, seed: int) -> Drawn:
    """Returns pixels of splats in a pose, and of their surroundings, over white or any other colour."""
    vertices = head.vertices(known.identity, pose)
    splats = pose_splats(known.gaussians, known.binding, known.basis, vertices, head.faces, pose)
    seen = splat.rasterize(splats, camera)
    near = torch.nn.functional.max_pool2d(seen.alpha[None, ..., 0], 2 * _NEAR + 1, 1, _NEAR)[0] > 0.05
    places = near.reshape(-1).nonzero()[:, 0]
    if not len(places):
        places = torch.arange(near.numel())
    random = torch.Generator().manual_seed(seed)
    index = places[torch.randint(len(places), (count,), generator=random).sort().values]
    background = torch.rand(count, 3, generator=random)
    background[torch.rand(count, generator=random) < 0.5] = 1.0
    matte = seen.alpha.reshape(-1)[index]
    target = seen.rgb.reshape(-1, 3)[index] + (1 - matte)[:, None] * background
    at = torch.stack([index % camera.width + 0.5, index // camera.width + 0.5], -1)
    return Drawn(at, target, matte, background)
