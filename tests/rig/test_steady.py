"""Blendshapes beyond what a clip showed."""

import torch

from avatar3d.core import Basis, Pose
from avatar3d.rig import basis_weights
from avatar3d.rig.steady import steady


def poses(expression: torch.Tensor) -> Pose:
    count = len(expression)
    return Pose(expression, torch.zeros(count, 6, 3), torch.eye(4).expand(count, 4, 4))


def test_what_was_seen_stays_and_the_rest_is_clamped() -> None:
    make = torch.Generator().manual_seed(0)
    layers = tuple(torch.randn(s, generator=make) for s in ((16, 70), (16,), (5, 16), (5,)))
    basis = Basis(torch.zeros(5, 3, 3), torch.zeros(5, 3, 4), torch.zeros(5, 3, 3), layers)
    seen = poses(0.5 * torch.rand(20, 52, generator=make))
    firm = steady(basis, seen, margin=0.0)
    torch.testing.assert_close(basis_weights(firm, seen), basis_weights(basis, seen), atol=1e-4, rtol=1e-5)
    wild = poses(torch.rand(9, 52, generator=make) * 3 - 1)
    low, high = seen.expression.amin(0), seen.expression.amax(0)
    tame = poses(wild.expression.clamp(low, high))
    torch.testing.assert_close(basis_weights(firm, wild), basis_weights(basis, tame), atol=1e-4, rtol=1e-5)
    assert (basis_weights(basis, wild) - basis_weights(firm, wild)).abs().max() > 1
