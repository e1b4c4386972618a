"""Smoother skin: blemishes and noise of colour are evened out, features stay."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from scipy.spatial import KDTree

from avatar3d.core import Avatar
from avatar3d.edit.base import Edit, named, ranged
from avatar3d.edit.look import regions
from avatar3d.edit.look.colour import to_oklab
from avatar3d.edit.look.surface import surface
from avatar3d.edit.look.tint import base_colours
from avatar3d.ops.reference import SH_C0

_NEIGHBOURS = 32
_REACH = 0.0045  # metres: standard deviation over which colours are averaged
_LIKE = 0.06  # OKLab: standard deviation of the difference up to which colours are averaged


@dataclass(frozen=True)
class Smooth(Edit):
    """Smooth the colours of a region, as a retoucher does: an average over a few millimetres that stops at features."""

    kind: ClassVar[str] = "smooth"

    amount: float = ranged(0.0, 1.0, 0.6)
    """0 changes nothing, 1 replaces each colour by its surroundings'."""
    region: str = named(regions.names, "skin")
    """What to smooth."""

    def apply(self, avatar: Avatar) -> Avatar:
        weights = regions.weights(avatar, self.region)
        rows = torch.nonzero(weights > 0.05)[:, 0]
        if not len(rows) or self.amount == 0:
            return avatar
        under = surface(avatar)
        at = under.splats.means[rows].double().numpy()
        k = min(_NEIGHBOURS, len(rows))
        distance, index = KDTree(at).query(at, k=k, workers=1)
        distance, index = np.reshape(distance, (len(rows), k)), np.reshape(index, (len(rows), k))
        near = torch.from_numpy(index)
        lab = to_oklab(base_colours(avatar)[rows])
        unlike = (lab[near] - lab[:, None]).square().sum(-1) / (2 * _LIKE**2)
        share = (-torch.from_numpy(distance).float().square() / (2 * _REACH**2) - unlike).exp()
        size = under.splats.scales[rows].sort(dim=-1).values[:, 1:].prod(-1)
        share = share * (avatar.gaussians.opacities[rows] * size * weights[rows])[near]
        share = share / share.sum(-1, keepdim=True).clamp_min(1e-20)
        step = (self.amount * weights[rows])[:, None]

        def smoothed(values: torch.Tensor) -> torch.Tensor:
            return values + step * ((values[near] * share[..., None]).sum(1) - values)

        g, basis = avatar.gaussians, avatar.basis
        sh = g.sh.clone()
        sh[rows, 0] = (smoothed(base_colours(avatar)[rows]) - 0.5) / SH_C0
        if basis is not None:
            offsets = basis.sh.clone()
            for i in range(len(offsets)):
                offsets[i, rows] = smoothed(offsets[i, rows])
            basis = replace(basis, sh=offsets)
        return replace(avatar, gaussians=replace(g, sh=sh), basis=basis)

    @classmethod
    def examples(cls) -> Mapping[str, Edit]:
        return {"smooth skin": cls(1.0)}
