"""Splat blendshapes in few bits: turned into principal components of what poses ask for, then quantised."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from avatar3d.core import Basis

# Steps of the sums over blendshapes, as typical poses have them: position in units of a triangle (about 5 mm),
# quaternion, degree-0 coefficient (0.28 of it is sRGB). Half a step is the error in most splats.
_STEPS = {"means": 1 / 64, "quats": 1 / 64, "sh": 1 / 40}


@dataclass(frozen=True)
class TurnedBasis:
    """Blendshapes after a change of basis that leaves every pose as it was, up to rounding."""

    splats: np.ndarray
    """Index of each splat that has blendshapes, m."""
    values: np.ndarray
    """Whole numbers, k 10 m: three of position, four of the quaternion, three of colour."""
    steps: np.ndarray
    """What one of `values` stands for: k 10."""
    turn: Float[Tensor, "k k"]
    """New weights = turn @ old weights."""


def turned(basis: Basis, weights: Float[Tensor, "p k"], coarse: float = 1.0) -> TurnedBasis:
    """Returns blendshapes whose typical weights are uncorrelated, of variance one, and sorted by what they move.

    With W^T W / p = L L^T of typical weights W, and U S V = svd(L^T B) of the blendshapes B, weights w become
    U^T L^-1 w and blendshapes S V: the transform coding of pictures, with the poses as its statistics.

    Args:
        basis: k blendshapes of n splats.
        weights: What typical poses ask of them.
        coarse: Multiple of the steps.
    """
    values = torch.cat([basis.means, basis.quats, basis.sh], dim=-1).double()
    units = torch.tensor([_STEPS["means"]] * 3 + [_STEPS["quats"]] * 4 + [_STEPS["sh"]] * 3).double() * coarse
    flat = (values / units).flatten(1)
    moment = (weights.double().mT @ weights.double()) / len(weights)
    moment += 1e-6 * moment.diagonal().mean().clamp(min=1e-12) * torch.eye(len(moment), dtype=torch.float64)
    lower = torch.linalg.cholesky(moment)
    scaled = lower.mT @ flat
    # The left singular vectors alone, from the small Gram matrix.
    strength, vectors = torch.linalg.eigh(scaled @ scaled.mT)
    vectors = vectors[:, strength.argsort(descending=True)]
    whole = (vectors.mT @ scaled).round().reshape(values.shape)
    used = (whole != 0).any(-1).any(0)
    turn = vectors.mT @ torch.linalg.inv(lower)
    return TurnedBasis(
        splats=used.nonzero()[:, 0].numpy(),
        values=whole[:, used].permute(0, 2, 1).numpy(),
        steps=units.expand(len(turn), 10).float().numpy(),
        turn=turn.float(),
    )
