"""The fused ops of a fit in plain PyTorch: their oracles, and the place to read the mathematics."""

import torch
from jaxtyping import Bool, Float, Int
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


def to_bytes(rgb: Float[Tensor, "*b h w 3"], alpha: Float[Tensor, "*b h w 1"] | None) -> Tensor:
    """Returns sRGB in [0, 1] as bytes, RGBA with straight colours given alpha; the twin of `ops.image.to_bytes`."""
    image = rgb if alpha is None else torch.cat([rgb / alpha.clamp(min=1e-4), alpha], dim=-1)
    return (image.clamp(0, 1) * 255 + 0.5).to(torch.uint8)


def composite(images: Tensor, masks: Tensor, rows: Tensor, background: Tensor, shrink: int) -> tuple[Tensor, Tensor]:
    """Returns pictures over solid colours, and their mattes; the twin of `ops.image.composite`."""
    image, mask = images[rows].to(background.dtype) / 255, masks[rows].to(background.dtype) / 255
    target = image * mask[..., None] + background[:, None, None] * (1 - mask[..., None])
    if shrink > 1:
        pool = torch.nn.functional.avg_pool2d
        target = pool(target.permute(0, 3, 1, 2), shrink).permute(0, 2, 3, 1).contiguous()
        mask = pool(mask[:, None], shrink)[:, 0]
    return target, mask


def l1_ssim(
    render: Float[Tensor, "b h w 3"],
    target: Float[Tensor, "b h w 3"],
    weight: Float[Tensor, "b h w"] | None = None,
    ssim_share: float = 0.2,
) -> Float[Tensor, ""]:
    """Returns (1 - s) L1 + s (1 - SSIM), averaged over pixels by their weights; the twin of `ops.image.l1_ssim`."""
    weight = torch.ones_like(render[..., 0]) if weight is None else weight
    share = weight / (3 * weight.sum()).clamp_min(1e-30)
    l1 = ((render - target).abs() * share[..., None]).sum()
    dissimilarity = ((1 - ssim_map(render, target)) * share[..., None]).sum()
    return (1 - ssim_share) * l1 + ssim_share * dissimilarity


def ssim_map(x: Float[Tensor, "b h w 3"], y: Float[Tensor, "b h w 3"]) -> Float[Tensor, "b h w 3"]:
    """Returns the structural similarity of the window about each pixel (Wang et al. 2004), zeros outside."""
    mx, my = _blur(x), _blur(y)
    sx, sy, sxy = _blur(x * x) - mx * mx, _blur(y * y) - my * my, _blur(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    return ((2 * mx * my + c1) * (2 * sxy + c2)) / ((mx * mx + my * my + c1) * (sx + sy + c2))


def _blur(x: Tensor) -> Tensor:
    """Returns pictures b h w 3 under an 11 x 11 Gaussian window of sigma 1.5."""
    t = torch.arange(-5, 6, dtype=x.dtype, device=x.device)
    window = torch.exp(-0.5 * (t / 1.5) ** 2)
    window = (window / window.sum()).expand(3, 1, 1, 11)
    planes = torch.nn.functional.conv2d(x.permute(0, 3, 1, 2), window, padding=(0, 5), groups=3)
    return torch.nn.functional.conv2d(planes, window.mT, padding=(5, 0), groups=3).permute(0, 2, 3, 1)


def adam_step(
    value: Tensor,
    gradient: Tensor,
    moments: tuple[Tensor, Tensor],
    step: int,
    rate: float,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-15,
    skip: Bool[Tensor, " n"] | None = None,
) -> None:
    """Does one step of Adam (Kingma and Ba 2015) in place; the twin of `ops.optim.adam_step`."""
    first, second = moments
    m = first + (1 - betas[0]) * (gradient - first)
    v = betas[1] * second + (1 - betas[1]) * gradient * gradient
    root = (v / (1 - betas[1] ** step)).sqrt()
    moved = value - rate / (1 - betas[0] ** step) * m / (root + epsilon)
    for held, new in ((value, moved), (first, m), (second, v)):
        held.copy_(new if skip is None else torch.where(skip.reshape(-1, *[1] * (value.dim() - 1)), held, new))
