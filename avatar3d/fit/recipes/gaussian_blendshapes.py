"""GaussianBlendshapes (Ma et al., SIGGRAPH 2024): a neutral head of splats and one set of offsets per expression."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from avatar3d.core import Binding, Gaussians, Pose, Render
from avatar3d.fit import density
from avatar3d.fit.recipes.recipe import Body, Density, Recipe, carriers, plain, spacing, surface_samples, turns
from avatar3d.fit.start import rest_pose
from avatar3d.fit.views import Batch, Views
from avatar3d.geometry import matrix_to_quat, quat_product, quat_to_matrix
from avatar3d.ops import image
from avatar3d.rig.frames import anchors

_SIZES = {"means": 3, "quats": 4, "log_scales": 3, "logits": 1, "sh": 3}
_ALPHA = 10.0


class GaussianBlendshapes(Recipe):
    """Attributes are linear in the expression's own weights: A = A0 + sum_i w_i m_i dA_i.

    As published: offsets of place, rotation, log size, logit and colour for each expression; m_i grows with how far
    the mesh moves there under expression i, m = max(0, (|D_i| - 0.1 d_least) / (d_most - 0.1 d_least)); the whole
    moves by skinning; 0.8 L1 + 0.2 (1 - SSIM) + 10 (alpha - matte)^2; densification by 3DGS's rule at 1e-3 for the
    first three eighths; rates of 3DGS.

    Adapted: 12 000 points instead of 50 000, because each carries 52 sets of offsets; our ARKit expressions in
    place of FLAME's; the mesh's own motion, skinning included, carries the points; teeth and mouth are splats on the
    mesh's own teeth and mouth instead of two billboards; SH degree 0.
    """

    RATES: ClassVar = {
        "means": (1.6e-4, 0.01),
        "quats": (1e-3, 1.0),
        "log_scales": (5e-3, 1.0),
        "logits": (5e-2, 1.0),
        "sh": (2.5e-3, 1.0),
        "shape_means": (1.6e-4, 0.01),
        "shape_quats": (1e-3, 1.0),
        "shape_log_scales": (5e-3, 1.0),
        "shape_logits": (5e-2, 1.0),
        "shape_sh": (2.5e-3, 1.0),
    }
    AXES: ClassVar = dict.fromkeys(_SIZES, 0) | {f"shape_{name}": 1 for name in _SIZES}
    DENSITY = Density(density.Rule(threshold=1e-3, coarse=0.01), first=0.02, last=0.375, rounds=6)

    @classmethod
    def begin(cls, body: Body, views: Views, splats: int, pace: float) -> "GaussianBlendshapes":
        head = body.head
        binding = surface_samples(body.rest, head.faces, splats, body.seed)
        foot = anchors(body.rest, head.faces, binding)
        start = plain(len(foot)) | {"means": torch.zeros_like(foot)}
        start["log_scales"] = spacing(foot).log()[:, None].expand(-1, 3)
        for name, size in _SIZES.items():
            start[f"shape_{name}"] = torch.zeros(len(head.expressions), len(foot), size)
        recipe = cls(body, binding, start, pace)
        recipe._bind()
        return recipe

    _share: Tensor
    _carrier: Tensor

    def _bind(self) -> None:
        self._carrier = carriers(self.body.head, self.binding)
        self._share = shares(self.body, self.binding)

    def posed(self, vertices: Float[Tensor, "b v 3"], pose: Pose) -> Gaussians:
        now = {name: self._blended(name, pose) for name in _SIZES}
        turn = turns(self.body, self._carrier, pose)
        means = anchors(vertices, self.body.head.faces, self.binding) + (turn @ now["means"][..., None])[..., 0]
        quats = quat_product(matrix_to_quat(turn), normalize(now["quats"], dim=-1))
        return Gaussians(means, quats, now["log_scales"], now["logits"][..., 0], now["sh"][..., None, :])

    def _blended(self, name: str, pose: Pose) -> Float[Tensor, "b n c"]:
        offsets = self.values[f"shape_{name}"]
        base = self.values[name].reshape(len(self), -1)
        weighed = (offsets * self._share[..., None]).flatten(1)
        return base + (pose.expression @ weighed).unflatten(1, offsets.shape[1:])

    def loss(self, render: Render, seen: Batch, vertices: Float[Tensor, "b v 3"]) -> Float[Tensor, ""]:
        colour = image.l1_ssim(render.rgb, seen.target, None, 0.2)
        return colour + _ALPHA * (render.alpha[..., 0] - seen.mask).square().mean()

    def change(self, change: density.Change) -> None:
        super().change(change)
        self._bind()
        with torch.no_grad():
            values = self.values
            spread = values["log_scales"].exp() * change.jitter
            values["means"] += (quat_to_matrix(values["quats"]) @ spread[..., None])[..., 0]
            values["log_scales"][change.split] -= torch.tensor(density.SHRINK).log()


def shares(body: Body, binding: Binding) -> Float[Tensor, "e n"]:
    """Returns by how much each expression may move each splat: more where it moves the mesh."""
    head, pose = body.head, rest_pose(body.head)
    count = len(head.expressions)
    alone = Pose(torch.eye(count), pose.joints.expand(count, -1, -1), pose.root.expand(count, 4, 4))
    moved = head.vertices(body.identity.expand(count, -1), alone) - body.rest
    far = anchors(moved, head.faces, binding).norm(dim=-1)
    largest = moved.norm(dim=-1).amax(-1)
    moving = largest[largest > 0]
    least, most = (0.1 * moving.min(), moving.max()) if len(moving) else (torch.zeros(()), torch.ones(()))
    return ((far - least) / (most - least)).clamp(min=0)
