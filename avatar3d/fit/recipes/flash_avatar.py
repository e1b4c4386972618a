"""FlashAvatar (Xiang et al., CVPR 2024): splats of texels that one network moves, turns and stretches with the pose."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import linear, normalize

from avatar3d.core import Gaussians, Pose, Render
from avatar3d.fit.loss import check_perceived, feature_weights, perceived
from avatar3d.fit.recipes.recipe import Body, Recipe, carriers, plain, spacing, turns
from avatar3d.fit.texels import texels
from avatar3d.fit.views import Batch, Views
from avatar3d.geometry import matrix_to_quat, quat_product
from avatar3d.rig.frames import anchors

_FREQUENCIES = 8
_HIDDEN, _LAYERS = 64, 6
_REACH = 0.1  # metres, of the network's tanh
_MOUTH, _HUBER = 40.0, 0.1
_PERCEPTUAL = 0.05


class FlashAvatar(Recipe):
    """A fixed field of about 14 000 splats, one for each texel, on the mesh; a network of place and pose deforms it.

    As published: eight frequencies of the texel's place at rest and the pose's numbers go through six layers to a
    shift, a rotation (its real part through exp) and a factor of the log sizes (exp), all after tanh, applied in the
    head's space; Huber loss (0.1) with forty times the weight at the mouth, and 0.05 LPIPS in the second half; no
    densification, no pruning; rates of 3DGS and 1e-4 for the network.

    Adapted: layers of 64 instead of 256 (on a CPU those leave a twentieth of the steps); the last layer starts
    near zero and shifts are at most 10 cm; the mouth's mask is a bump around its landmarks; LPIPS through AlexNet
    on crops instead of VGG on the head; splats of the torso, neck and eyes turn with those.
    """

    RATES: ClassVar = {
        "quats": (1e-3, 1.0),
        "log_scales": (5e-3, 1.0),
        "logits": (5e-2, 1.0),
        "sh": (2.5e-3, 1.0),
        "network": (1e-4, 1.0),
    }
    AXES: ClassVar = {"quats": 0, "log_scales": 0, "logits": 0, "sh": 0}

    @classmethod
    def begin(cls, body: Body, views: Views, splats: int, pace: float) -> "FlashAvatar":
        check_perceived()
        head = body.head
        binding = texels(head, body.rest, splats).binding
        foot = anchors(body.rest, head.faces, binding)
        start = plain(len(foot), 0.5) | {"log_scales": spacing(foot).log()[:, None].expand(-1, 3)}
        generator = torch.Generator().manual_seed(body.seed)
        inputs = 6 * _FREQUENCIES + 3 + len(head.expressions) + 3 * len(head.joints)
        sizes = (inputs, *[_HIDDEN] * _LAYERS, 10)
        for i in range(len(sizes) - 1):
            gain = (2 / sizes[i]) ** 0.5 if i + 2 < len(sizes) else 1e-3
            start[f"network.{2 * i}"] = torch.randn(sizes[i + 1], sizes[i], generator=generator) * gain
            start[f"network.{2 * i + 1}"] = torch.zeros(sizes[i + 1])
        recipe = cls(body, binding, start, pace)
        recipe._code = encoded(foot)
        recipe._carrier = carriers(head, binding)
        return recipe

    _code: Tensor
    _carrier: Tensor

    def posed(self, vertices: Float[Tensor, "b v 3"], pose: Pose) -> Gaussians:
        out = self._deformation(pose)
        values, batch = self.values, len(vertices)
        turn = turns(self.body, self._carrier, pose)
        means = anchors(vertices, self.body.head.faces, self.binding)
        means = means + _REACH * (turn @ out[..., :3, None])[..., 0]
        bend = normalize(torch.cat([out[..., 3:4].exp(), out[..., 4:7]], dim=-1), dim=-1)
        quats = quat_product(normalize(values["quats"], dim=-1).expand(batch, -1, -1), bend)
        quats = quat_product(matrix_to_quat(turn), quats)
        log_scales = values["log_scales"] * out[..., 7:10].exp()
        count = len(self)
        return Gaussians(
            means, quats, log_scales, values["logits"].expand(batch, -1), values["sh"].expand(batch, count, 1, 3)
        )

    def _deformation(self, pose: Pose) -> Float[Tensor, "b n 10"]:
        condition = torch.cat([pose.expression, pose.joints.flatten(-2)], dim=-1)
        wide = self._code.shape[-1]
        first, bias = self.values["network.0"], self.values["network.1"]
        # The place's part of the first layer is the same for all poses.
        x = linear(self._code, first[:, :wide], bias) + linear(condition, first[:, wide:])[:, None]
        for i in range(1, _LAYERS + 1):
            x = linear(x.relu(), self.values[f"network.{2 * i}"], self.values[f"network.{2 * i + 1}"])
        return x.tanh()

    def loss(self, render: Render, seen: Batch, vertices: Float[Tensor, "b v 3"]) -> Float[Tensor, ""]:
        head = self.body.head
        lips = [torch.nonzero(head.regions["lips"] > 0.5)[:, 0]] if "lips" in head.regions else []
        weight = feature_weights(vertices.detach(), lips, seen.camera, _MOUTH)
        huber = torch.nn.functional.huber_loss(render.rgb, seen.target, reduction="none", delta=_HUBER)
        colour = (huber * weight[..., None]).mean()
        return colour if self.share < 0.5 else colour + _PERCEPTUAL * perceived(render, seen, self.steps)


def encoded(points: Float[Tensor, "n 3"]) -> Float[Tensor, "n c"]:
    """Returns points in metres with sines and cosines of doubling frequencies; the first takes 63 cm for a turn."""
    scaled = 10 * points
    waves = scaled[..., None] * 2.0 ** torch.arange(_FREQUENCIES)
    return torch.cat([scaled, waves.sin().flatten(-2), waves.cos().flatten(-2)], dim=-1)
