import pytest
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


@pytest.fixture(params=[0, 1, 3], ids=lambda d: f"degree{d}")
def splats(request) -> Gaussians:
    return random_splats(degree=request.param)


@pytest.fixture(scope="session")
def small(doll):
    """The doll with every seventh splat, and two frames of its performance: quick to write, and still a face."""
    from dataclasses import replace

    keep = torch.arange(0, len(doll.gaussians), 7)
    motion = replace(doll.motion, pose=doll.motion.pose[:3])
    return replace(doll, gaussians=doll.gaussians.gather(keep), binding=doll.binding.gather(keep), motion=motion)
