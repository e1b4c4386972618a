"""Soft nodes: weights that are local, bounded, and the same for both ways to say that nothing moved."""

from dataclasses import replace

import pytest
import torch

from avatar3d import heads
from avatar3d.core import AvatarError
from avatar3d.heads.soft import soft_weights

HEAD = heads.load("anny")


def test_weights_are_shares_that_fade_with_distance():
    line = torch.zeros(50, 3)
    line[:, 0] = torch.linspace(0, 0.49, 50)
    part = torch.ones(50)
    weights = soft_weights(line, part, line[:, 0] < 0.11, 3, 0.02)
    assert weights.min() >= 0 and weights.sum(1).max() < 1 + 1e-6
    assert torch.allclose(weights[:11].sum(1), torch.ones(11))
    assert weights[-1].sum() < 1e-6
    assert torch.equal(soft_weights(line, 0.6 * part, line[:, 0] < 0.11, 3, 0.02), 0.6 * weights)


def test_clothes_and_hair_are_soft_and_the_face_is_not():
    held = HEAD.soft.sum(1)
    assert held.max() < 1 + 1e-4
    for name in ("lips", "eyes", "brows", "nose", "teeth"):
        assert held[HEAD.regions[name] > 0.5].max() < 1e-6, name
    front = (HEAD.regions["torso"] > 0.5) & (HEAD.template[:, 1] > -0.2) & (HEAD.template[:, 2] > -0.1)
    assert held[front].mean() > 0.5


def test_nodes_that_stay_change_nothing():
    identity, pose = torch.zeros(len(HEAD.identities)), HEAD.neutral(2)
    still = replace(pose, soft=torch.zeros(2, HEAD.soft.shape[1], 3))
    assert torch.equal(HEAD.vertices(identity, pose), HEAD.vertices(identity, still))


def test_nodes_of_another_head_are_refused():
    strange = replace(HEAD.neutral(2), soft=torch.zeros(2, 7, 3))
    with pytest.raises(AvatarError, match="7 soft nodes, head 'anny' has 72"):
        HEAD.vertices(torch.zeros(len(HEAD.identities)), strange)


def test_all_nodes_together_carry_the_clothes():
    identity, pose = torch.zeros(len(HEAD.identities)), HEAD.neutral()
    shift = torch.tensor([0.01, 0.0, 0.0])
    moved = HEAD.vertices(identity, replace(pose, soft=shift.expand(HEAD.soft.shape[1], 3)))
    far = (moved - HEAD.vertices(identity, pose))[:, 0]
    assert torch.allclose(far, 0.01 * HEAD.soft.sum(1), atol=1e-6)
