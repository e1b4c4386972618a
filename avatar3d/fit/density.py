"""Adaptive density control of 3D Gaussian splatting (Kerbl et al. 2023): where splats are added and which are removed.

A change of topology is an index, the old row of each new row, by which splats, binding and optimiser are gathered.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from avatar3d.core import Camera

SHRINK = 1.6
"""Halves of a split splat are that much smaller: 0.8 times the number of halves."""


@dataclass(frozen=True)
class Rule:
    """When a splat is too coarse for what it shows, and when it does nothing."""

    threshold: float = 2e-4
    """Mean gradient of the loss by its place in the picture (picture = [-1, 1]^2) above which it asks for more."""
    coarse: float = 0.01
    """Size in metres above which it is split; smaller ones are cloned."""
    faint: float = 0.005
    """Opacity below which it is removed."""
    vast: float = 0.1
    """Size in metres above which it is removed."""
    keep_last: bool = False
    """Never remove the last splat of a triangle."""


@dataclass(frozen=True)
class Change:
    """New splats in terms of the old ones."""

    src: Int[Tensor, " m"]
    """The old row of each new row."""
    split: Bool[Tensor, " m"]
    """Which new rows are halves of a split splat; all others are where and as their old row was."""
    jitter: Float[Tensor, "m 3"]
    """For the halves, where in their splat they lie, in its standard deviations along its axes; 0 for the others."""


class Evidence:
    """Gradients of splats by their place in the picture, over the views in which they show."""

    def __init__(self, count: int) -> None:
        self.total, self.views = torch.zeros(count), torch.zeros(count)

    def add(self, means: Float[Tensor, "b n 3"], gradient: Float[Tensor, "b n 3"], camera: Camera) -> None:
        """Takes in a step.

        The gradient by the place in the picture is taken from that by the place in space: across the view,
        du = f dx / z, while what a shift does to the projected shape is small.

        Args:
            means: Splats in the world.
            gradient: Of the step's loss, a mean over its b views.
            camera: Batched over b.
        """
        turned = gradient @ camera.w2c[:, :3, :3].mT
        z = (means @ camera.w2c[:, 2, :3, None] + camera.w2c[:, 2, 3, None, None]).clamp(min=1e-2)
        size = means.new_tensor([camera.width / 2, camera.height / 2])
        focal = torch.stack([camera.K[:, 0, 0], camera.K[:, 1, 1]], dim=-1)
        size_of = (turned[..., :2] * z / focal[:, None] * size).norm(dim=-1) * len(means)
        self.total += size_of.sum(0)
        self.views += (size_of > 0).sum(0)

    @property
    def mean(self) -> Float[Tensor, " n"]:
        return self.total / self.views.clamp(min=1)


def densify(
    asked: Float[Tensor, " n"],
    sizes: Float[Tensor, " n"],
    opacities: Float[Tensor, " n"],
    face: Int[Tensor, " n"],
    rule: Rule,
    room: tuple[int, int],
) -> Change:
    """Returns the splats after a round of cloning, splitting and removing.

    Args:
        asked: Mean gradient of each splat, from `Evidence`.
        sizes: Largest standard deviation of each in the world, metres.
        opacities: In [0, 1].
        face: Triangle that each rides on.
        rule: Thresholds.
        room: Most splats there may be afterwards (those with the largest gradients come first), and a seed.
    """
    most, seed = room
    dead = (opacities < rule.faint) | (sizes > rule.vast)
    if rule.keep_last:
        dead &= ~_last_of_face(face, dead)
    asks = (asked >= rule.threshold) & ~dead
    spare = max(0, most - int((~dead).sum()))
    if int(asks.sum()) > spare:
        first = torch.where(asks, asked, -1.0).argsort(descending=True, stable=True)[:spare]
        asks = torch.zeros_like(asks)
        asks[first] = True
    halved = asks & (sizes > rule.coarse)
    kept, cloned, split = (torch.nonzero(x)[:, 0] for x in (~dead & ~halved, asks & ~halved, halved))
    src = torch.cat([kept, cloned, split, split])
    is_half = torch.arange(len(src)) >= len(kept) + len(cloned)
    generator = torch.Generator().manual_seed(seed)
    jitter = torch.randn(len(src), 3, generator=generator) * is_half[:, None]
    return Change(src, is_half, jitter)


def _last_of_face(face: Tensor, dead: Tensor) -> Bool[Tensor, " n"]:
    """Returns for each face that would lose all its splats the first of them."""
    alive = torch.zeros(int(face.max()) + 1, dtype=torch.bool)
    alive[face[~dead]] = True
    doomed = torch.nonzero(~alive[face])[:, 0]
    keep = torch.zeros_like(dead)
    order = face[doomed].argsort(stable=True)
    sorted_faces = face[doomed][order]
    first = torch.ones(len(order), dtype=torch.bool)
    first[1:] = sorted_faces[1:] != sorted_faces[:-1]
    keep[doomed[order[first]]] = True
    return keep
