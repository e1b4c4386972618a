"""PSNR, SSIM and MS-SSIM of RGB pictures in [0, 1].

SSIM is pinned to the variant of Wang et al. 2004: 11x11 Gaussian window with sigma 1.5, K1 = 0.01, K2 = 0.03, data
range 1, population covariance, each colour channel by itself and then averaged, only windows that lie inside the
picture. It is scikit-image's `structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False)`.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d

from avatar3d.core import AvatarError

_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2
# Exponents of the five scales, Wang, Simoncelli and Bovik 2003.
_SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_SAME = 1e-10  # mean squared error below which pictures count as equal: PSNR stops at 100 dB instead of infinity


def psnr(a: Float[Tensor, "h w 3"], b: Float[Tensor, "_ _ 3"], mask: Float[Tensor, "h w"] | None = None) -> float:
    """Returns the peak signal-to-noise ratio in dB, at most 100.

    Args:
        a: Picture in [0, 1].
        b: The other one.
        mask: Weight of each pixel; all count the same if None.

    Raises:
        AvatarError: The sizes differ, or the mask is empty.
    """
    _same_size(a, b)
    squared = (a - b).square().mean(-1).double()
    error = float(squared.mean() if mask is None else _mean(squared, mask.double()))
    return -10 * math.log10(max(error, _SAME))


def ssim(a: Float[Tensor, "h w 3"], b: Float[Tensor, "_ _ 3"], mask: Float[Tensor, "h w"] | None = None) -> float:
    """Returns the structural similarity, at most 1.

    Args:
        a: Picture in [0, 1], at least 11 pixels a side.
        b: The other one.
        mask: Weight of each window by its centre pixel; the windows themselves see the whole picture.

    Raises:
        AvatarError: The sizes differ, a side is below 11 pixels, or the mask is empty.
    """
    values = ssim_map(a, b)
    if mask is None:
        return float(values.mean())
    edge = _WINDOW // 2
    return float(_mean(values, mask[edge:-edge, edge:-edge].double()))


def ssim_map(a: Float[Tensor, "h w 3"], b: Float[Tensor, "_ _ 3"]) -> Float[Tensor, "h2 w2"]:
    """Returns the structural similarity of each window, averaged over colours; 5 pixels less on every side."""
    _same_size(a, b)
    contrast, luminance = _terms(_planes(a), _planes(b))
    return (contrast * luminance).mean(1)[0]


def ms_ssim(a: Float[Tensor, "h w 3"], b: Float[Tensor, "_ _ 3"]) -> float:
    """Returns the multi-scale structural similarity over five scales (Wang, Simoncelli and Bovik 2003), at most 1.

    Raises:
        AvatarError: The sizes differ, or a side is below 176 pixels (11 at the coarsest scale).
    """
    _same_size(a, b)
    if min(a.shape[:2]) < _WINDOW * 2 ** (len(_SCALES) - 1):
        raise AvatarError(f"MS-SSIM: picture of {a.shape[1]}x{a.shape[0]}; each side must be at least 176 pixels")
    x, y = _planes(a), _planes(b)
    value = torch.ones(3, dtype=torch.float64)
    for i, exponent in enumerate(_SCALES):
        contrast, luminance = _terms(x, y)
        last = i == len(_SCALES) - 1
        value *= (contrast * luminance if last else contrast).mean((2, 3))[0].clamp(min=0) ** exponent
        if not last:
            x, y = (avg_pool2d(z, 2) for z in (x, y))
    return float(value.mean())


def _terms(x: Float[Tensor, "1 3 h w"], y: Float[Tensor, "1 3 h w"]) -> tuple[Tensor, Tensor]:
    """Returns contrast-structure and luminance of each window."""
    mean_x, mean_y, square_x, square_y, product = _blur(torch.cat([x, y, x * x, y * y, x * y])).split(1)
    var_x, var_y = square_x - mean_x**2, square_y - mean_y**2
    covariance = product - mean_x * mean_y
    contrast = (2 * covariance + _C2) / (var_x + var_y + _C2)
    return contrast, (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)


def _blur(planes: Float[Tensor, "m 3 h w"]) -> Float[Tensor, "m 3 h2 w2"]:
    """Returns Gaussian-weighted means of all windows that lie inside.

    Weighted sums of shifted views: in double precision ten times as fast as PyTorch's convolution.
    """
    offset = torch.arange(_WINDOW, dtype=torch.float64) - _WINDOW // 2
    kernel = torch.exp(-(offset**2) / (2 * _SIGMA**2))
    weights = (kernel / kernel.sum()).tolist()
    for axis in (-1, -2):
        length = planes.shape[axis] - _WINDOW + 1
        total = planes.narrow(axis, 0, length) * weights[0]
        for i, weight in enumerate(weights[1:], start=1):
            total.add_(planes.narrow(axis, i, length), alpha=weight)
        planes = total
    return planes


def _planes(image: Float[Tensor, "h w 3"]) -> Float[Tensor, "1 3 h w"]:
    return image.double().permute(2, 0, 1)[None]


def _mean(values: Float[Tensor, "h w"], weights: Float[Tensor, "h w"]) -> Tensor:
    total = weights.sum()
    if float(total) <= 0:
        raise AvatarError("score: the mask is empty; nothing to compare")
    return (values * weights).sum() / total


def _same_size(a: Tensor, b: Tensor) -> None:
    if a.shape != b.shape:
        raise AvatarError(f"score: pictures of different size, {tuple(a.shape)} and {tuple(b.shape)}")
    if min(a.shape[:2]) < _WINDOW:
        raise AvatarError(f"score: picture of {a.shape[1]}x{a.shape[0]}; each side must be at least {_WINDOW} pixels")
