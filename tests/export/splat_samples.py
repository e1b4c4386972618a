"""Splats for the tests of file formats."""

import torch

from avatar3d.core import Gaussians


def random_splats(n: int = 700, degree: int = 0, seed: int = 0) -> Gaussians:
    """Splats about as a head has them: within 20 cm, 1 to 8 mm large, of any colour and rotation."""
    g = torch.Generator().manual_seed(seed)
    sh = torch.randn(n, (degree + 1) ** 2, 3, generator=g) * 0.15
    sh[:, 0] = (torch.rand(n, 3, generator=g) - 0.5) * 3
    return Gaussians(
        (torch.rand(n, 3, generator=g) - 0.5) * 0.4,
        torch.nn.functional.normalize(torch.randn(n, 4, generator=g), dim=-1),
        torch.log(torch.rand(n, 3, generator=g) * 0.007 + 0.001),
        torch.randn(n, generator=g) * 2,
        sh,
    )
