"""PSNR, SSIM and MS-SSIM against scikit-image and against their definitions."""

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from avatar3d.core import AvatarError
from avatar3d.score import ms_ssim, psnr, ssim, ssim_map


def pair(height: int = 40, width: int = 57, noise: float = 0.1, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns a smooth picture and a noisy copy."""
    draw = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.linspace(0, 5, height), torch.linspace(0, 7, width), indexing="ij")
    a = torch.stack([(x.sin() + 1) / 2, (y.cos() + 1) / 2, (x * y).sin() ** 2], dim=-1)
    return a, (a + noise * torch.randn(a.shape, generator=draw)).clamp(0, 1)


def test_psnr_is_the_textbooks() -> None:
    a, b = pair()
    expected = peak_signal_noise_ratio(a.double().numpy(), b.double().numpy(), data_range=1)
    assert psnr(a, b) == pytest.approx(expected, abs=1e-6)
    assert psnr(a, a) == 100
    half = torch.full((20, 20, 3), 0.5)
    assert psnr(half, half + 0.1) == pytest.approx(20, abs=1e-4)


def test_masked_psnr_sees_only_the_mask() -> None:
    a, _ = pair()
    b = a.clone()
    b[:20] += 0.1
    mask = torch.zeros(a.shape[:2])
    mask[:10] = 1
    assert psnr(a, b, mask) == pytest.approx(20, abs=1e-3)
    mask.zero_()[30:] = 1
    assert psnr(a, b, mask) == 100


@pytest.mark.parametrize("noise", [0.02, 0.1, 0.4])
def test_ssim_equals_scikit_image(noise: float) -> None:
    a, b = pair(noise=noise)
    expected = structural_similarity(
        a.double().numpy(),
        b.double().numpy(),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1,
        channel_axis=-1,
    )
    assert ssim(a, b) == pytest.approx(expected, abs=1e-7)


def test_masked_ssim_is_the_mean_of_the_map_there() -> None:
    a, b = pair()
    mask = torch.zeros(a.shape[:2])
    mask[12:20, 15:30] = 1
    assert ssim(a, b, mask) == pytest.approx(float(ssim_map(a, b)[7:15, 10:25].mean()), abs=1e-7)


def test_ms_ssim_is_one_for_equal_and_falls_with_noise() -> None:
    a, b = pair(190, 200, 0.05)
    _, c = pair(190, 200, 0.3)
    assert ms_ssim(a, a) == pytest.approx(1, abs=1e-9)
    assert 1 > ms_ssim(a, b) > ms_ssim(a, c) > 0


def test_ms_ssim_of_a_constant_shift_is_the_luminance_term() -> None:
    """Contrast and structure are untouched by a shift; only the coarsest scale's luminance remains."""
    a, b = torch.full((176, 176, 3), 0.4, dtype=torch.float64), torch.full((176, 176, 3), 0.5, dtype=torch.float64)
    luminance = (2 * 0.4 * 0.5 + 1e-4) / (0.4**2 + 0.5**2 + 1e-4)
    assert ms_ssim(a, b) == pytest.approx(luminance**0.1333, abs=1e-9)


def test_wrong_input_is_said() -> None:
    a, b = pair()
    with pytest.raises(AvatarError, match="different size"):
        psnr(a, b[:-1])
    with pytest.raises(AvatarError, match="at least 11"):
        ssim(a[:8], b[:8])
    with pytest.raises(AvatarError, match="176"):
        ms_ssim(a, b)
    with pytest.raises(AvatarError, match="mask is empty"):
        psnr(a, b, torch.zeros(a.shape[:2]))
    assert np.isfinite(psnr(a, 1 - a))
