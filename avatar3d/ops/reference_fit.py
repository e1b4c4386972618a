"""The fused ops of a fit in plain PyTorch: their oracles, and the place to read the mathematics."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from avatar3d.core import Basis, Binding, Gaussians
from avatar3d.geometry import matrix_to_quat, quat_product

_TINY = 1e-9
"""Shorter than any edge of a head in metres: keeps the frames of collapsed triangles finite."""


def face_frames(
    vertices: Float[Tensor, "*b v 3"], faces: Int[Tensor, "f 3"]
) -> tuple[Float[Tensor, "*b f 3 3"], Float[Tensor, "*b f"]]:
    """Returns the rotation R and the size k of each triangle's moving frame, as in GaussianAvatars.

    With a0 = n(v1 - v0), a1 = n(a0 x (v2 - v0)), a2 = -n(a1 x a0): R = [a0 a1 a2] as columns and
    k = (|v1 - v0| + |a2 . (v2 - v0)|) / 2.
    """
    corners = vertices[..., faces, :]
    edge, side = corners[..., 1, :] - corners[..., 0, :], corners[..., 2, :] - corners[..., 0, :]
    length = edge.norm(dim=-1)
    a0 = edge / length.clamp(min=_TINY)[..., None]
    a1 = torch.linalg.cross(a0, side)
    a1 = a1 / a1.norm(dim=-1, keepdim=True).clamp(min=_TINY)
    a2 = -torch.linalg.cross(a1, a0)
    scale = (length + (a2 * side).sum(-1).abs()) / 2
    return torch.stack([a0, a1, a2], dim=-1), scale.clamp(min=_TINY)


def pose_splats(
    gaussians: Gaussians,
    binding: Binding,
    basis: Basis | None,
    weights: Float[Tensor, "*b k"] | None,
    vertices: Float[Tensor, "*b v 3"],
    faces: Int[Tensor, "f 3"],
) -> Gaussians:
    """Returns the splats in the world, for each pose of a batch; the twin of `ops.blend.pose_splats`.

    With R, k the frame of the bound triangle, P its barycentric point, and the blendshapes' offsets (dm, dq, dc):
    mean = k R (m + dm) + P, rotation = quat(R) * n(n(q) + dq), scale = k s, colour = c + dc.
    """
    rotation, scale = face_frames(vertices, faces)
    batch = vertices.shape[:-2]
    means, quats, sh = gaussians.means, normalize(gaussians.quats, dim=-1), gaussians.sh
    if basis is not None and weights is not None:
        means = means + torch.tensordot(weights, basis.means, dims=1)
        quats = normalize(quats + torch.tensordot(weights, basis.quats, dims=1), dim=-1)
        colours = sh[..., 0, :] + torch.tensordot(weights, basis.sh, dims=1)
        sh = torch.cat([colours[..., None, :], sh[..., 1:, :].expand(*batch, *sh[..., 1:, :].shape)], dim=-2)
    corners = faces[binding.face]
    anchors = sum(binding.bary[:, i, None] * vertices[..., corners[:, i], :] for i in range(3))
    turn, size = rotation[..., binding.face, :, :], scale[..., binding.face]
    return Gaussians(
        size[..., None] * (turn @ means[..., None])[..., 0] + anchors,
        quat_product(matrix_to_quat(turn), quats.expand(*batch, -1, -1)),
        gaussians.log_scales + size.log()[..., None],
        gaussians.logits.expand(*batch, -1),
        sh.expand(*batch, *sh.shape[-3:]),
    )
