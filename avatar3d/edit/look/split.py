"""More splats where something finer than a splat is to be shown; a change of topology is an index of old rows."""

from dataclasses import replace

import torch
from jaxtyping import Int
from torch import Tensor

from avatar3d.core import Avatar, Basis, Binding, Gaussians
from avatar3d.geometry import quat_to_matrix

# Four children in the plane of a splat's two long axes: sizes and offsets whose variances add up to the parent's.
_SIZE, OFFSET = 0.6, 0.8


def gathered(avatar: Avatar, src: Int[Tensor, " m"]) -> Avatar:
    """Returns the avatar with the splats at `src`, the old row of each new row."""
    return replace(
        avatar,
        gaussians=avatar.gaussians.gather(src),
        binding=avatar.binding.gather(src),
        basis=None if avatar.basis is None else avatar.basis.gather(src),
    )


def quartered(avatar: Avatar, rows: Int[Tensor, " m"], offset: float = OFFSET) -> Avatar:
    """Returns the avatar's splats at `rows` alone, each in four that together cover what it covered.

    Args:
        avatar: Whose.
        rows: Which.
        offset: How far the four lie from the middle along each axis, in standard deviations.
    """
    four = gathered(avatar, rows.repeat_interleave(4))
    g = four.gaussians
    order = g.log_scales.argsort(dim=-1, descending=True, stable=True)[:, :2]
    axes = torch.gather(quat_to_matrix(g.quats), 2, order[:, None].expand(-1, 3, -1))
    lengths = torch.gather(g.scales, 1, order) * offset
    signs = g.means.new_tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]).repeat(len(rows), 1)
    means = g.means + (axes * (signs * lengths)[:, None]).sum(-1)
    log_scales = g.log_scales.scatter_add(1, order, torch.full_like(lengths, _SIZE).log())
    return replace(four, gaussians=replace(g, means=means, log_scales=log_scales))


def joined(one: Avatar, other: Avatar) -> Avatar:
    """Returns `one` with the splats of `other` added; both have blendshapes of the same network, or none."""
    a, b = one.gaussians, other.gaussians
    basis = one.basis
    if basis is not None and other.basis is not None:
        basis = Basis(
            *(torch.cat([getattr(basis, n), getattr(other.basis, n)], 1) for n in ("means", "quats", "sh")),
            weights=basis.weights,
        )
    return replace(
        one,
        gaussians=Gaussians(*(torch.cat([getattr(a, n), getattr(b, n)]) for n in vars(a))),
        binding=Binding(*(torch.cat([getattr(one.binding, n), getattr(other.binding, n)]) for n in ("face", "bary"))),
        basis=basis,
    )


def added(avatar: Avatar, gaussians: Gaussians, binding: Binding) -> Avatar:
    """Returns the avatar with new splats, which no blendshape moves; their colour is the same from all sides."""
    n, k = len(gaussians), avatar.gaussians.sh.shape[1]
    sh = torch.cat([gaussians.sh[:, :1], torch.zeros(n, k - 1, 3)], 1)
    basis = avatar.basis
    if basis is not None:
        m = len(basis.means)
        basis = Basis(torch.zeros(m, n, 3), torch.zeros(m, n, 4), torch.zeros(m, n, 3), basis.weights)
    return joined(avatar, replace(avatar, gaussians=replace(gaussians, sh=sh), binding=binding, basis=basis))
