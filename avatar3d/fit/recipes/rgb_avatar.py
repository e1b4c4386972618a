"""RGBAvatar (Li et al., CVPR 2025): splats of texels with reduced blendshapes that a small network weighs."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from avatar3d import rig
from avatar3d.core import Basis, Gaussians, Pose, Render
from avatar3d.fit.recipes.recipe import Body, Recipe, plain, spacing
from avatar3d.fit.start import SH0, spread
from avatar3d.fit.texels import texels
from avatar3d.fit.views import Batch, Views
from avatar3d.ops import image, splat
from avatar3d.rig.frames import anchors, face_frames

_SHAPES, _HIDDEN = 20, 128
_SHAPES_BEGIN = 0.1  # share of the training
_SEEN = 0.1  # pixels
_NETWORK = 3


class RgbAvatar(Recipe):
    """One splat for each texel at its barycentric point, offset in the tangent frame of its triangle without scale.

    As published: mean = R (mu + sum w_k dmu_k) + P, q = quat(R) (q + sum w_k dq_k), colour + sum w_k dc_k, w of a
    network with two hidden layers of 128; 20 blendshapes that start at zero and join later; sizes and opacities not
    blended; L1 alone over random backgrounds; SH degree 0; fixed count; the rates; and the colour fast-forward: the
    mean of the pixels that a splat covers.

    Adapted: texels are those of our head's texture, denser on the face, as in our own fits; the network sees our
    expression and joints; the fast-forward is done once, before the first step, over eight spread frames.
    """

    RATES: ClassVar = {
        "means": (8e-4, 0.01),
        "quats": (5e-3, 1.0),
        "log_scales": (2.5e-2, 1.0),
        "logits": (0.25, 1.0),
        "sh": (1.25e-2, 1.0),
        "shape_means": (4e-5, 0.01),
        "shape_quats": (2.5e-3, 1.0),
        "shape_sh": (6.25e-3, 1.0),
        "network": (1e-3, 1.0),
    }
    AXES: ClassVar = {"means": 0, "quats": 0, "log_scales": 0, "logits": 0, "sh": 0}

    @classmethod
    def begin(cls, body: Body, views: Views, splats: int, pace: float) -> "RgbAvatar":
        head = body.head
        binding = texels(head, body.rest, splats).binding
        count = len(binding.face)
        width = spacing(anchors(body.rest, head.faces, binding)).log()[:, None].expand(-1, 3)
        start = plain(count, 0.5) | {"means": torch.zeros(count, 3), "log_scales": width}
        for name, size in (("means", 3), ("quats", 4), ("sh", 3)):
            start[f"shape_{name}"] = torch.zeros(_SHAPES, count, size)
        generator = torch.Generator().manual_seed(body.seed)
        sizes = (len(head.expressions) + 3 * len(head.joints), *[_HIDDEN] * (_NETWORK - 1), _SHAPES)
        for i in range(_NETWORK):
            weight = torch.randn(sizes[i + 1], sizes[i], generator=generator) * (2 / sizes[i]) ** 0.5
            start |= {f"network.{2 * i}": weight, f"network.{2 * i + 1}": torch.zeros(sizes[i + 1])}
        recipe = cls(body, binding, start, pace)
        recipe._fast_forward(views)
        return recipe

    def posed(self, vertices: Float[Tensor, "b v 3"], pose: Pose) -> Gaussians:
        local = Gaussians(*(self.values[name] for name in ("means", "quats", "log_scales", "logits", "sh")))
        basis = None
        if self.share >= _SHAPES_BEGIN:
            network = tuple(self.values[f"network.{i}"] for i in range(2 * _NETWORK))
            shapes = (self.values[f"shape_{name}"] for name in ("means", "quats", "sh"))
            basis = Basis(*shapes, weights=network)
        faces = self.body.head.faces
        scaled = rig.pose(local, self.binding, basis, vertices, faces, pose)
        # Our op multiplies lengths by the triangle's size; here they are metres.
        size = face_frames(vertices, faces).scale[..., self.binding.face, None]
        foot = anchors(vertices, faces, self.binding)
        means = foot + (scaled.means - foot) / size
        return Gaussians(means, scaled.quats, scaled.log_scales - size.log(), scaled.logits, scaled.sh)

    def loss(self, render: Render, seen: Batch, vertices: Float[Tensor, "b v 3"]) -> Float[Tensor, ""]:
        return image.l1_ssim(render.rgb, seen.target, None, 0.0)

    @torch.no_grad()
    def _fast_forward(self, views: Views) -> None:
        total, sums = torch.zeros(len(self)), torch.zeros(len(self), 3)
        for row in spread(views, 8).tolist():
            pose = views.pose[torch.tensor([row])]
            vertices = self.body.head.vertices(self.body.identity[None], pose)
            alpha = (views.masks[row].float() / 255)[..., None]
            picture = views.images[row].float() / 255 * alpha + 1 - alpha
            posed = self.posed(vertices, pose).map(lambda x: x[0])
            weight, colour = splat.gather_colour(posed, views.camera.at(row), picture)
            total, sums = total + weight, sums + weight[:, None] * colour
        colours = sums / total.clamp(min=1e-6)[:, None]
        self.values["sh"][:, 0] = torch.where(total[:, None] > _SEEN, (colours - 0.5) / SH0, 0.0)
