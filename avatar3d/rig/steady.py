"""Splat blendshapes that stay as they were seen when a face does what its clip never showed."""

import torch
from jaxtyping import Float
from torch import Tensor

from avatar3d.core import Basis, Pose


def steady(basis: Basis, seen: Pose, margin: float = 0.05) -> Basis:
    """Returns the blendshapes with a network that is not asked for more than it learnt: its inputs are clamped.

    Beyond what a clip showed the network's answer is chance (a weight that never moved has the weights it began with):
    splats flew apart in strong expressions. The mesh moves on all the same. The clamp is two layers of the same kind
    in front, low + relu(x - low) - relu(x - high), so that whoever evaluates networks needs to know nothing of it.

    Args:
        basis: As fitted.
        seen: Poses of the clip it was fitted to, a batch of t frames.
        margin: How far inputs may go beyond (weights; radians).
    """
    x = torch.cat([seen.expression, seen.joints.flatten(-2)], dim=-1).to(basis.weights[0])
    low, high = x.amin(0) - margin, x.amax(0) + margin
    first, bias, *rest = basis.weights
    one: Float[Tensor, "i i"] = torch.eye(len(low), dtype=first.dtype, device=first.device)
    entry = torch.cat([one, one]), torch.cat([-low, -high])
    inner = torch.cat([first, -first], dim=1), bias + first @ low
    return Basis(basis.means, basis.quats, basis.sh, (*entry, *inner, *rest))
