"""What a fit minimises: the picture, the matte, and the regularisers that keep splats on their triangles."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatar3d import assets
from avatar3d.core import AvatarError, Camera, Gaussians, HeadModel, Render
from avatar3d.fit.views import Batch
from avatar3d.ops import image
from avatar3d.ops.lpips import SMALLEST, perceptual

# GaussianAvatars' thresholds, in triangle sizes, and weights.
_FAR, _FAR_WEIGHT = 1.0, 0.01
_LARGE, _LARGE_WEIGHT = 0.6, 1.0
_ALPHA_WEIGHT = 0.1
_COLOUR_WEIGHT = 0.05
_BUMP_ENDS = 2.5  # spreads from its middle, where a bump of weight is lost in float32's rounding of 1
_FEATURES = (("lips",), ("eye_left",), ("eye_right",))


@dataclass(frozen=True)
class Anchor:
    """How splats began: offsets and sizes are only punished beyond it (lifted hair starts far from its triangle)."""

    means: Float[Tensor, "n 3"]
    log_scales: Float[Tensor, "n 3"]
    sh: Float[Tensor, "n k 3"]


_CROP = 256  # pixels: what is looked at of one picture of a step


def check_perceived() -> None:
    """Raises an `AvatarError` unless `perceived` has its weights or can fetch them."""
    try:
        assets.path("lpips-alexnet")
    except AvatarError as error:
        raise AvatarError(f"{error}; or fit with a preset whose `perceptual` is 0") from error


def perceived(render: Render, batch: Batch, step: int) -> Float[Tensor, ""]:
    """Returns LPIPS between a crop of one of the pictures and the same crop of its target.

    The crop is drawn by the step's number; pictures too small for the measure count as nothing.
    """
    rows, h, w = batch.mask.shape
    height, width = min(_CROP, h), min(_CROP, w)
    if min(height, width) < SMALLEST:
        return render.rgb.new_zeros(())
    generator = torch.Generator().manual_seed(step)
    row, y, x = (int(torch.randint(n, (1,), generator=generator)) for n in (rows, h - height + 1, w - width + 1))
    crop = (slice(row, row + 1), slice(y, y + height), slice(x, x + width))
    return perceptual(render.rgb[crop], batch.target[crop])


def regularise(gaussians: Gaussians, anchor: Anchor) -> Float[Tensor, ""]:
    """Returns the regularisers of GaussianAvatars, and a pull of the colours towards those first seen.

    The optimiser gives a splat that hardly shows as long a step as one in plain view; without the pull such splats end
    as dark or glaring specks that the next pose uncovers.

    0.01 mean relu(|mu - mu0| - 1) + mean |relu(s - max(0.6, 1.5 s0))|, lengths in units of the triangle's size.
    """
    far = ((gaussians.means - anchor.means).square().sum(-1) + 1e-12).sqrt()
    large = (gaussians.scales - (1.5 * anchor.log_scales.exp()).clamp(min=_LARGE)).relu()
    loss = _FAR_WEIGHT * (far - _FAR).relu().mean() + _LARGE_WEIGHT * (large.square().sum(-1) + 1e-12).sqrt().mean()
    return loss + _COLOUR_WEIGHT * (gaussians.sh - anchor.sh).square().mean()


def picture(render: Render, batch: Batch, weight: Float[Tensor, "b h w"], ssim: float) -> Float[Tensor, ""]:
    """Returns (1 - ssim) L1 + ssim (1 - SSIM) of the composited frame, plus L1 of alpha against the matte."""
    colour = image.l1_ssim(render.rgb, batch.target, weight, ssim)
    return colour + _ALPHA_WEIGHT * (render.alpha[..., 0] - batch.mask).abs().mean()


def feature_weights(
    vertices: Float[Tensor, "b v 3"], regions: list[Int[Tensor, " _"]], camera: Camera, extra: float
) -> Float[Tensor, "b h w"]:
    """Returns per-pixel weights: 1, and up to 1 + `extra` around the mouth and the eyes.

    A separable bump about the mean of each region's projected vertices, 1.5 times as wide as they spread.

    Args:
        vertices: Posed mesh.
        regions: Vertex ids of each feature, from `feature_vertices`.
        camera: Batched as the vertices.
        extra: Height of the bumps.
    """
    h, w = camera.height, camera.width
    weight = torch.ones(len(vertices), h, w)
    if extra == 0:
        return weight
    columns, lines = torch.arange(w) + 0.5, torch.arange(h) + 0.5
    for ids in regions:
        view = vertices[:, ids] @ camera.w2c[:, :3, :3].mT + camera.w2c[:, None, :3, 3]
        pixel = (view @ camera.K.mT)[..., :2] / view[..., 2:].clamp(min=1e-3)
        middle = (pixel.amax(1) + pixel.amin(1)) / 2
        spread = (0.75 * (pixel.amax(1) - pixel.amin(1))).clamp(min=2.0)
        across = torch.exp(-0.5 * ((columns - middle[:, :1]) / spread[:, :1]) ** 4)
        down = torch.exp(-0.5 * ((lines - middle[:, 1:]) / spread[:, 1:]) ** 4)
        first = (middle - _BUMP_ENDS * spread).floor().long().clamp(min=0).tolist()
        last = (middle + _BUMP_ENDS * spread).ceil().long().clamp(min=0).tolist()
        for row, ((x0, y0), (x1, y1)) in enumerate(zip(first, last, strict=True)):
            window = weight[row, y0:y1, x0:x1]
            torch.maximum(window, 1 + extra * down[row, y0:y1, None] * across[row, None, x0:x1], out=window)
    return weight


def feature_vertices(head: HeadModel) -> list[Int[Tensor, " r"]]:
    """Returns the vertex ids of the mouth and of each eye, for those that the head model names."""
    found = []
    for names in _FEATURES:
        ids = [torch.nonzero(head.regions[n] > 0.5)[:, 0] for n in names if n in head.regions]
        if ids and len(torch.cat(ids)):
            found.append(torch.cat(ids).unique())
    return found
