"""How close a render is to the truth: pixels, structure, perception."""

from avatar3d.ops.lpips import lpips
from avatar3d.score.fit import FitScore, Truth, score_frames
from avatar3d.score.image import ms_ssim, psnr, ssim, ssim_map

__all__ = ["FitScore", "Truth", "lpips", "ms_ssim", "psnr", "score_frames", "ssim", "ssim_map"]
