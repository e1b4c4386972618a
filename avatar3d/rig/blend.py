"""Splats in the pose of a face: triangle frames plus reduced blendshapes (RGBAvatar, Li et al., CVPR 2025)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatar3d.core import Basis, Binding, Gaussians, Pose
from avatar3d.ops import blend


def basis_weights(basis: Basis, pose: Pose) -> Float[Tensor, "*b k"]:
    """Returns how much of each splat blendshape a pose asks for.

    Args:
        basis: Its `weights` are the layers of a network whose input is the expression followed by the joints' rotation
            vectors (e + 3 j numbers); ReLU between layers.
        pose: What the face does.
    """
    x = torch.cat([pose.expression, pose.joints.flatten(-2)], dim=-1)
    layers = list(zip(basis.weights[::2], basis.weights[1::2], strict=True))
    for i, (weight, bias) in enumerate(layers):
        x = torch.nn.functional.linear(x if i == 0 else x.relu(), weight, bias)
    return x


def pose(
    gaussians: Gaussians,
    binding: Binding,
    basis: Basis | None,
    vertices: Float[Tensor, "*b v 3"],
    faces: Int[Tensor, "f 3"],
    pose: Pose,
) -> Gaussians:
    """Returns the splats in the world, for each pose of a batch.

    With R, k the frame of the bound triangle, P its barycentric point, and the blendshapes' offsets (dm, dq, dc):
    mean = k R (m + dm) + P, rotation = quat(R) * (q + dq), scale = k s, colour = c + dc. Spherical harmonics of
    higher degree are not rotated.

    Args:
        gaussians: In the local frames of the triangles, lengths in units of each triangle's size k.
        binding: The triangle and the point on it that carry each splat.
        basis: Splat blendshapes driven by the pose, or None.
        vertices: Posed mesh, world, metres.
        faces: Its triangles.
        pose: The pose that `vertices` shows; read only by the basis.
    """
    weights = None if basis is None else basis_weights(basis, pose)
    return blend.pose_splats(gaussians, binding, basis, weights, vertices, faces)
