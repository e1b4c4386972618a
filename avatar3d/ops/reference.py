"""The splat rasterizer in plain PyTorch, of the same name as the fast one: the test oracle and the place to read it."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from avatar3d.core import Camera, Gaussians, Render
from avatar3d.geometry import quat_to_matrix

NEAR = 0.01
"""Metres; nearer splats are not drawn."""
DILATION = 0.3
"""Square pixels added to the covariance: a pixel's own footprint (3D Gaussian splatting)."""
ALPHA_MIN, ALPHA_MAX, TRANSMITTANCE_MIN = 1 / 255, 0.999, 1e-4
SH_C0 = 0.28209479177387814
_TILE = 32


def rasterize(gaussians: Gaussians, camera: Camera, background: Float[Tensor, "*b 3"] | None = None) -> Render:
    """Returns what `ops.splat.rasterize` returns, by autograd alone and in any float type; seconds where that takes
    milliseconds.
    """
    poses, views = gaussians.means.shape[:-2], camera.w2c.shape[:-2]
    batch = poses or views
    if background is None:
        background = gaussians.means.new_zeros(3)
    background = background.expand(*batch, 3).reshape(-1, 3)
    images = []
    for i in range(math.prod(batch)):
        splats = gaussians.map(lambda x, i=i: x.flatten(0, len(poses) - 1)[i]) if poses else gaussians
        w2c = camera.w2c.flatten(0, -3)[i] if views else camera.w2c
        K = camera.K.flatten(0, -3)[i] if camera.K.ndim > 2 else camera.K
        images.append(_view(splats, Camera(w2c, K, camera.width, camera.height), background[i]))
    image = torch.stack(images).view(*batch, camera.height, camera.width, 5)
    return Render(image[..., :3], image[..., 3:4], image[..., 4:])


def sh_values(directions: Float[Tensor, "*n 3"], bases: int) -> Float[Tensor, "*n k"]:
    """Returns the first 1, 4, 9 or 16 real spherical harmonics of unit vectors, ordered as in 3D Gaussian splatting."""
    x, y, z = directions.unbind(-1)
    xx, yy, zz = x * x, y * y, z * z
    values = [torch.full_like(x, SH_C0), -0.4886025119029199 * y, 0.4886025119029199 * z, -0.4886025119029199 * x]
    values += [
        1.0925484305920792 * x * y,
        -1.0925484305920792 * y * z,
        0.31539156525252005 * (2 * zz - xx - yy),
        -1.0925484305920792 * x * z,
        0.5462742152960396 * (xx - yy),
        -0.5900435899266435 * y * (3 * xx - yy),
        2.890611442640554 * x * y * z,
        -0.4570457994644658 * y * (4 * zz - xx - yy),
        0.3731763325901154 * z * (2 * zz - 3 * xx - 3 * yy),
        -0.4570457994644658 * x * (4 * zz - xx - yy),
        1.445305721320277 * z * (xx - yy),
        -0.5900435899266435 * x * (xx - 3 * yy),
    ]
    return torch.stack(values[:bases], dim=-1)


def project(
    gaussians: Gaussians, camera: Camera
) -> tuple[Float[Tensor, "n 2"], Float[Tensor, "n 2 2"], Float[Tensor, " n"], Float[Tensor, "n 3"]]:
    """Returns the splats in one image: centre (px), covariance (px^2), camera-space z (m), colour seen from there."""
    rotation, K = camera.w2c[:3, :3], camera.K
    points = gaussians.means @ rotation.mT + camera.w2c[:3, 3]
    x, y, z = points.unbind(-1)
    focal, centre = torch.stack([K[0, 0], K[1, 1]]), K[:2, 2]
    ratio = torch.stack([x / z, y / z], dim=-1)
    # The linearisation is bent back 15 % of the image's width outside it; these bounds carry no gradient.
    with torch.no_grad():
        size = centre.new_tensor([camera.width, camera.height])
        low, high = -(centre + 0.15 * size) / focal, (1.15 * size - centre) / focal
    bent = torch.minimum(torch.maximum(ratio, low), high)
    zero = torch.zeros_like(z)
    J = torch.stack(
        [
            torch.stack([focal[0] / z, zero, -focal[0] * bent[:, 0] / z], dim=-1),
            torch.stack([zero, focal[1] / z, -focal[1] * bent[:, 1] / z], dim=-1),
        ],
        dim=-2,
    )
    spread = J @ rotation @ (quat_to_matrix(gaussians.quats) * gaussians.scales[:, None, :])
    covariance = spread @ spread.mT + DILATION * torch.eye(2, dtype=z.dtype, device=z.device)
    towards = torch.nn.functional.normalize(gaussians.means - camera.position, dim=-1)
    colour = 0.5 + torch.einsum("nk,nkc->nc", sh_values(towards, gaussians.sh.shape[-2]), gaussians.sh)
    return ratio * focal + centre, covariance, z, colour


def _drawn(gaussians: Gaussians, camera: Camera) -> Bool[Tensor, " n"]:
    """Returns which splats are in front of the camera and free of NaN and infinity."""
    with torch.no_grad():
        centre, covariance, z, colour = project(gaussians, camera)
        everything = torch.cat([centre, covariance.flatten(1), z[:, None], colour, gaussians.logits[:, None]], dim=-1)
        # Huge but finite scales overflow in the native float32, too.
        bounded = everything.abs().amax(dim=-1) < 1e18 if len(z) else z.new_zeros(0, dtype=torch.bool)
        bounded &= gaussians.quats.norm(dim=-1) > 0
        return bounded & (z > NEAR) & (torch.linalg.det(covariance) > 0) & (gaussians.opacities > ALPHA_MIN)


def _view(gaussians: Gaussians, camera: Camera, background: Float[Tensor, "3"]) -> Float[Tensor, "h w 5"]:
    """Returns one view: rgb, alpha, depth. Works tile by tile to bound memory; the result does not depend on tiles."""
    # Selected before anything differentiable happens, so that what is not drawn gets zeros and never NaN.
    gaussians = gaussians.gather(_drawn(gaussians, camera).nonzero()[:, 0])
    centre, covariance, z, colour = project(gaussians, camera)
    order = torch.argsort(z.detach(), stable=True)
    opacity = gaussians.opacities
    with torch.no_grad():
        reach = 2 * torch.log(255 * opacity)
        half = (reach[:, None] * torch.diagonal(covariance, dim1=-2, dim2=-1)).sqrt() + 1
        low, high = (centre - half)[order], (centre + half)[order]
    rows = []
    for top in range(0, camera.height, _TILE):
        row = []
        for left in range(0, camera.width, _TILE):
            corner = low.new_tensor([left, top])
            chosen = order[((low < corner + _TILE) & (high > corner)).all(dim=-1)]
            ys = torch.arange(top, min(top + _TILE, camera.height), dtype=z.dtype, device=z.device) + 0.5
            xs = torch.arange(left, min(left + _TILE, camera.width), dtype=z.dtype, device=z.device) + 0.5
            pixels = torch.stack(torch.meshgrid(xs, ys, indexing="xy"), dim=-1).view(-1, 2)
            alpha = _alpha(centre[chosen], covariance[chosen], opacity[chosen], pixels)
            values = torch.cat([colour[chosen], z[chosen, None]], dim=-1)
            row.append(_blend(alpha, values, background).view(len(ys), len(xs), 5))
        rows.append(torch.cat(row, dim=1))
    return torch.cat(rows, dim=0)


def _alpha(
    centre: Float[Tensor, "n 2"],
    covariance: Float[Tensor, "n 2 2"],
    opacity: Float[Tensor, " n"],
    pixels: Float[Tensor, "p 2"],
) -> Float[Tensor, "n p"]:
    """Returns each splat's opacity at each pixel centre."""
    conic = torch.linalg.inv(covariance)
    offset = pixels - centre[:, None]
    alpha = opacity[:, None] * torch.exp(-0.5 * torch.einsum("npi,nij,npj->np", offset, conic, offset))
    return torch.where(alpha >= ALPHA_MIN, alpha.clamp_max(ALPHA_MAX), 0.0)


def _blend(
    alpha: Float[Tensor, "n p"], values: Float[Tensor, "n 4"], background: Float[Tensor, "3"]
) -> Float[Tensor, "p 5"]:
    """Returns rgb over the background, alpha and depth of splats sorted near to far."""
    if not len(alpha):
        return torch.cat([background, background.new_zeros(2)]).expand(alpha.shape[1], 5) + 0 * (
            values.sum() + alpha.sum()
        )
    after = torch.cumprod(1 - alpha, dim=0)
    # Transmittance only falls, so everything behind the splat that closes a pixel is left out by the same comparison.
    open = after > TRANSMITTANCE_MIN
    before = torch.cat([torch.ones_like(after[:1]), after[:-1]], dim=0)
    weights = torch.where(open, alpha * before, 0.0)
    left = torch.where(open, 1 - alpha, 1.0).prod(dim=0)[:, None]
    blended = weights.mT @ values
    return torch.cat([blended[:, :3] + left * background, 1 - left, blended[:, 3:]], dim=-1)
