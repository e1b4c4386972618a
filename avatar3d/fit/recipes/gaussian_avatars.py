"""GaussianAvatars (Qian et al., CVPR 2024): splats in the frames of triangles, multiplying where they are too few."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from avatar3d import rig
from avatar3d.core import Binding, Gaussians, Pose, Render
from avatar3d.fit import density
from avatar3d.fit.recipes.recipe import Body, Density, Recipe, plain
from avatar3d.fit.views import Batch, Views
from avatar3d.geometry import quat_to_matrix
from avatar3d.ops import image


class GaussianAvatars(Recipe):
    """One splat for each triangle in the triangle's frame; no blendshapes.

    As published: frames and scale (mean = k R mu + T, s = k exp(s)), the start (mu 0, size k, opacity 0.1, colours
    near grey), rates and their decay, 0.8 L1 + 0.2 (1 - SSIM) with the penalties of far and large splats, cloning,
    splitting and removing by 3DGS's rule with inherited triangles and the last splat of a triangle kept.

    Adapted: SH degree 0, which the author advises for one camera; rounds of densification counted in shares of the
    training (600 000 steps there) and without resets of opacity, from which so short a training does not recover;
    halves of split splats scatter by the local size (the published code takes the world's there).
    """

    RATES: ClassVar = {
        "means": (5e-3, 0.01),
        "quats": (1e-3, 1.0),
        "log_scales": (1.7e-2, 1.0),
        "logits": (5e-2, 1.0),
        "sh": (2.5e-3, 1.0),
    }
    AXES: ClassVar = dict.fromkeys(RATES, 0)
    DENSITY = Density(density.Rule(threshold=2e-4, coarse=0.01, keep_last=True), first=0.05, last=0.8)

    @classmethod
    def begin(cls, body: Body, views: Views, splats: int, pace: float) -> "GaussianAvatars":
        count = len(body.head.faces)
        binding = Binding(torch.arange(count), torch.full((count, 3), 1 / 3))
        start = plain(count) | {"means": torch.zeros(count, 3), "log_scales": torch.zeros(count, 3)}
        start["sh"] = 0.1 * torch.rand(count, 1, 3, generator=torch.Generator().manual_seed(body.seed))
        return cls(body, binding, start, pace)

    def posed(self, vertices: Float[Tensor, "b v 3"], pose: Pose) -> Gaussians:
        local = Gaussians(*(self.values[name] for name in ("means", "quats", "log_scales", "logits", "sh")))
        return rig.pose(local, self.binding, None, vertices, self.body.head.faces, pose)

    def loss(self, render: Render, seen: Batch, vertices: Float[Tensor, "b v 3"]) -> Float[Tensor, ""]:
        far = (self.values["means"].norm(dim=-1) - 1).relu().mean()
        large = (self.values["log_scales"].exp() - 0.6).relu().norm(dim=-1).mean()
        return image.l1_ssim(render.rgb, seen.target, None, 0.2) + 0.01 * far + large

    def change(self, change: density.Change) -> None:
        super().change(change)
        with torch.no_grad():
            values = self.values
            turn = quat_to_matrix(values["quats"])
            spread = values["log_scales"].exp() * change.jitter
            values["means"] += (turn @ spread[..., None])[..., 0]
            values["log_scales"][change.split] -= torch.tensor(density.SHRINK).log()
