"""Hiding or deleting a region; under hair and clothes that are taken off, skin is laid."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float
from scipy.spatial import KDTree
from torch import Tensor

from avatar3d.core import Avatar, Binding, Gaussians
from avatar3d.edit.base import Edit, named, ranged
from avatar3d.edit.look import regions
from avatar3d.edit.look.colour import to_oklab
from avatar3d.edit.look.split import added, gathered
from avatar3d.edit.look.surface import Surface, surface
from avatar3d.edit.look.tint import base_colours
from avatar3d.ops.reference import SH_C0
from avatar3d.rig.frames import face_frames

_COVERED = ("hair", "clothes")
_SPACING = 0.0028  # metres between the splats of new skin
_NEIGHBOURS = 48


@dataclass(frozen=True)
class Hide(Edit):
    """Hide or delete a region: hair, clothes, a hat; skin closes what hair and clothes leave."""

    kind: ClassVar[str] = "hide"

    region: str = named(regions.names)
    """What to take away."""
    amount: float = ranged(0.0, 1.0, 1.0)
    """1 hides it, less lets it shine through."""
    delete: bool = False
    """Remove its splats from the file instead of making them transparent; needs amount 1."""
    fill: bool = True
    """Lay skin where hair or clothes were."""

    def check(self) -> None:
        from avatar3d.core import AvatarError

        if self.delete and self.amount < 1:
            raise AvatarError(f"hide: amount is {self.amount:g}; to delete a region leave it at 1")

    def apply(self, avatar: Avatar) -> Avatar:
        weights = regions.weights(avatar, self.region)
        if self.amount == 0 or not bool((weights > 0.01).any()):
            return avatar
        fresh = None
        if self.fill and self.region in _COVERED:
            fresh = _skin(avatar, weights, surface(avatar))
        if self.delete:
            out = gathered(avatar, torch.nonzero(weights <= 0.3)[:, 0])
        else:
            # Hair's soft edge is still hair: half of the weight is enough to go.
            left = 1 - self.amount * (weights / 0.4).clamp(0, 1)
            opacity = (avatar.gaussians.opacities * left).clamp_min(1e-6)
            changed = torch.where(weights > 0.01, torch.logit(opacity), avatar.gaussians.logits)
            out = replace(avatar, gaussians=replace(avatar.gaussians, logits=changed))
        if fresh is not None and len(fresh[0]):
            gaussians, binding = fresh
            shown = replace(gaussians, logits=torch.logit(gaussians.opacities * self.amount, eps=1e-6))
            out = added(out, shown, binding)
        return out

    @classmethod
    def examples(cls) -> Mapping[str, Edit]:
        return {"no hair": cls("hair"), "no clothes": cls("clothes", fill=False)}


def _skin(avatar: Avatar, gone: Float[Tensor, " n"], under: Surface) -> tuple[Gaussians, Binding]:
    """Returns splats of skin on the faces over which a region lay, in the colours of the nearest skin."""
    head, vertices = under.head, under.vertices
    share = torch.zeros(len(head.faces)).index_add(0, under.place.face, gone)
    total = torch.zeros(len(head.faces)).index_add(0, under.place.face, torch.ones_like(gone))
    inner = torch.stack([head.regions[n].float() for n in ("mouth_interior", "eyes", "sockets") if n in head.regions])
    bare = (share > 0.3 * total) & (total > 0) & (inner.amax(0)[head.faces].mean(1) < 0.5)
    rows = torch.nonzero(bare)[:, 0]
    corners = vertices[head.faces[rows]]
    area = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).norm(dim=-1) / 2
    many = (area / _SPACING**2).ceil().clamp(1, 400).long()
    face = rows.repeat_interleave(many)
    nth = torch.arange(len(face)) - (many.cumsum(0) - many).repeat_interleave(many)
    # A low-discrepancy sequence (R2; M. Roberts 2018), folded into the triangle.
    u = (0.5 + 0.7548776662466927 * (nth + 1)) % 1
    v = (0.5 + 0.5698402909980532 * (nth + 1)) % 1
    fold = u + v > 1
    u, v = torch.where(fold, 1 - u, u), torch.where(fold, 1 - v, v)
    bary = torch.stack([1 - u - v, u, v], -1).float()
    points = (vertices[head.faces[face]] * bary[..., None]).sum(1)
    skin = torch.nonzero(
        (regions.weights(avatar, "skin") > 0.7) & (under.height < 0.006) & (under.region("face") > 0.5)
    )
    skin = skin[:, 0]
    if len(skin) < _NEIGHBOURS:
        skin = torch.arange(len(gone))
    distance, index = KDTree(under.splats.means[skin].numpy()).query(points.numpy(), k=_NEIGHBOURS, workers=1)
    weight = 1 / (torch.from_numpy(distance).float() + 0.01)
    base = base_colours(avatar)
    colours = (base[skin[torch.from_numpy(index)]] * weight[..., None]).sum(1) / weight.sum(-1)[:, None]
    # Far from any skin that was seen, what is nearest is mostly shade at its rim: the face's usual colour then.
    usual = base[skin].median(0).values
    far = (torch.from_numpy(distance[:, 0]).float()[:, None] / 0.03).clamp(0, 1)
    colours = colours * (1 - 0.8 * far) + usual * 0.8 * far
    dull = (to_oklab(usual)[0] - 0.1 - to_oklab(colours)[:, :1]).clamp_min(0)
    colours = colours + (usual - colours) * (dull / 0.1).clamp(0, 1)
    size = face_frames(vertices, head.faces).scale[face]
    width = 0.62 * _SPACING / size
    log_scales = torch.stack([width, 0.15 * width, width], -1).log()
    quats = torch.zeros(len(face), 4)
    quats[:, 0] = 1
    sh = ((colours - 0.5) / SH_C0)[:, None]
    made = Gaussians(torch.zeros(len(face), 3), quats, log_scales, torch.full((len(face),), 2.5), sh)
    return made, Binding(face, bary)
