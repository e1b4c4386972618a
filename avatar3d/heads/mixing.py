"""Weighted sums of shapes whose gradients have the same bits for any number of threads."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


def mixed(weights: Float[Tensor, "*b k"], shapes: Float[Tensor, "k m"]) -> Float[Tensor, "*b m"]:
    """Returns weights @ shapes, differentiable in the weights alone.

    The gradient of a matrix product sums over all coordinates m, and libraries split a long sum between as many threads
    as there are. Here each sum is one thread's.
    """
    return _Mixed.apply(weights, shapes)  # type: ignore[return-value]


def spread(shares: Float[Tensor, "m k"], moved: Float[Tensor, "*b k c"]) -> Float[Tensor, "*b m c"]:
    """Returns shares @ moved, differentiable in what is moved alone; see `mixed`."""
    return _Spread.apply(shares, moved)  # type: ignore[return-value]


class _Mixed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weights: Tensor, shapes: Tensor) -> Tensor:
        ctx.save_for_backward(shapes)
        return weights @ shapes

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        (shapes,) = ctx.saved_tensors
        rows = [(shapes * row).sum(-1) for row in gradient.reshape(-1, gradient.shape[-1])]
        return torch.stack(rows).reshape(*gradient.shape[:-1], -1), None


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, shares: Tensor, moved: Tensor) -> Tensor:
        ctx.save_for_backward(shares)
        return shares @ moved

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:  # type: ignore[override]
        columns = ctx.saved_tensors[0].mT.contiguous()
        rows = [(columns[:, None] * each.mT).sum(-1) for each in gradient.reshape(-1, *gradient.shape[-2:])]
        return None, torch.stack(rows).reshape(*gradient.shape[:-2], *rows[0].shape)
