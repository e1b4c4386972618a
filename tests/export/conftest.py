import pytest
import torch
from splat_samples import random_splats

from avatar3d.core import Gaussians


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
