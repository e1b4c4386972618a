"""SplattingAvatar (Shao et al., CVPR 2024): splats at a height above points that walk on the mesh."""

from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from avatar3d.core import Binding, Gaussians, Pose, Render
from avatar3d.fit import density
from avatar3d.fit.loss import check_perceived, perceived
from avatar3d.fit.recipes.recipe import Body, Density, Recipe, plain, spacing, surface_samples
from avatar3d.fit.recipes.walk import Neighbours, neighbours, walk
from avatar3d.fit.views import Batch, Views
from avatar3d.geometry import matrix_to_quat, quat_product, quat_to_matrix
from avatar3d.rig.frames import Frames, anchors, face_frames

_LARGEST, _LONGEST = 0.008, 10.0  # metres, and ratio of the axes
_MSE, _PERCEPTUAL, _SCALING = 10.0, 0.01, 1.0
_WALK_EVERY = 25  # steps; 100 of 30 000 there


class SplattingAvatar(Recipe):
    """mean = P(u, v) + d n(u, v): a point on the mesh and a height along its interpolated normal.

    As published: rotation from those of the triangle's corners between rest and pose, blended by (u, v); size times
    the stretch of the triangle; (u, v, d) are optimised and every so often a walk carries points over edges to the
    neighbouring triangle; 10 000 random samples at the start; 3DGS's densification at 2e-4; 10 MSE, 0.01 LPIPS and the
    penalty of large and long splats; SH degree 0.

    Adapted: the walk comes every 25 steps and densification in shares of the training; the stretch multiplies the
    size (the published code multiplies its logarithm); LPIPS through AlexNet on crops.
    """

    RATES: ClassVar = {
        "uv": (5e-3, 0.01),
        "height": (1.6e-4, 0.01),
        "quats": (1e-3, 1.0),
        "log_scales": (5e-3, 1.0),
        "logits": (5e-2, 1.0),
        "sh": (2.5e-3, 1.0),
    }
    AXES: ClassVar = dict.fromkeys(RATES, 0)
    DENSITY = Density(density.Rule(threshold=2e-4, coarse=0.01), first=0.02, last=0.95)

    @classmethod
    def begin(cls, body: Body, views: Views, splats: int, pace: float) -> "SplattingAvatar":
        check_perceived()
        faces = body.head.faces
        binding = surface_samples(body.rest, faces, splats, body.seed)
        foot = anchors(body.rest, faces, binding)
        start = plain(len(foot)) | {"uv": binding.bary[:, 1:], "height": torch.zeros(len(foot))}
        start["log_scales"] = spacing(foot).log()[:, None].expand(-1, 3)
        recipe = cls(body, binding, start, pace)
        recipe._beside = neighbours(faces)
        recipe._fans = fans(faces, len(body.rest))
        recipe._resting = face_frames(body.rest, faces)
        return recipe

    _beside: Neighbours
    _fans: Tensor
    _resting: Frames

    def posed(self, vertices: Float[Tensor, "b v 3"], pose: Pose) -> Gaussians:
        values, faces, face = self.values, self.body.head.faces, self.binding.face
        now = face_frames(vertices, faces)
        rotations = corner_quats(now.rotation @ self._resting.rotation.mT, self._fans)
        normals = normalize((now.rotation[..., 1] * now.scale[..., None])[:, self._fans].sum(2), dim=-1)
        bary = torch.cat([1 - values["uv"].sum(-1, keepdim=True), values["uv"]], dim=-1)
        corners = faces[face]
        foot, normal, turn = (self._at(x, corners, bary) for x in (vertices, normals, rotations))
        stretch = (now.scale / self._resting.scale)[:, face]
        batch, count = len(vertices), len(face)
        return Gaussians(
            foot + values["height"][:, None] * normalize(normal, dim=-1),
            quat_product(normalize(turn, dim=-1), normalize(values["quats"], dim=-1).expand(batch, -1, -1)),
            values["log_scales"] + stretch.log()[..., None],
            values["logits"].expand(batch, -1),
            values["sh"].expand(batch, count, 1, 3),
        )

    @staticmethod
    def _at(of: Float[Tensor, "b v c"], corners: Int[Tensor, "n 3"], bary: Float[Tensor, "n 3"]) -> Tensor:
        return sum(bary[:, i, None] * of[:, corners[:, i]] for i in range(3))  # type: ignore[return-value]

    def loss(self, render: Render, seen: Batch, vertices: Float[Tensor, "b v 3"]) -> Float[Tensor, ""]:
        squared = (render.rgb - seen.target).square().mean()
        sizes = self.values["log_scales"].exp()
        large = (sizes.amax(-1) - _LARGEST).relu()
        long = (sizes.amax(-1) / sizes.amin(-1) - _LONGEST).relu()
        seen_as = perceived(render, seen, self.steps)
        return _MSE * squared + _PERCEPTUAL * seen_as + _SCALING * (large.mean() + long.mean())

    def settle(self, step: int) -> None:
        if step % _WALK_EVERY == 0:
            self._walk()

    @torch.no_grad()
    def _walk(self) -> None:
        uv = self.values["uv"]
        bary = torch.cat([1 - uv.sum(-1, keepdim=True), uv], dim=-1)
        self.binding = walk(Binding(self.binding.face, bary), self.body.rest, self.body.head.faces, self._beside)
        uv.copy_(self.binding.bary[:, 1:])

    def change(self, change: density.Change) -> None:
        super().change(change)
        with torch.no_grad():
            values = self.values
            moved = values["log_scales"].exp() * change.jitter
            moved = (quat_to_matrix(values["quats"]) @ moved[..., None])[..., 0]
            turn = self._resting.rotation[self.binding.face]
            values["height"] += (moved * turn[..., 1]).sum(-1)
            a, b, c = self.body.rest[self.body.head.faces[self.binding.face]].unbind(1)
            edges = torch.stack([b - a, c - a], dim=-1)
            values["uv"] += (torch.linalg.pinv(edges) @ moved[..., None])[..., 0]
            values["log_scales"][change.split] -= torch.tensor(density.SHRINK).log()
        self._walk()


def fans(faces: Int[Tensor, "f 3"], count: int) -> Int[Tensor, "v m"]:
    """Returns the triangles around each vertex, the first ones repeated where it has fewer than others."""
    around: list[list[int]] = [[] for _ in range(count)]
    for i, corners in enumerate(faces.tolist()):
        for v in corners:
            around[v].append(i)
    # Repeats weigh some triangles twice, which no normal or rotation shows much; sums stay in one order.
    width = max(len(x) for x in around)
    return torch.tensor([[x[i % len(x)] if x else 0 for i in range(width)] for x in around])


def corner_quats(turns: Float[Tensor, "b f 3 3"], around: Int[Tensor, "v m"]) -> Float[Tensor, "b v 4"]:
    """Returns the mean rotation of the triangles around each vertex, wxyz."""
    quats = matrix_to_quat(turns)[:, around]
    same = torch.where((quats * quats[:, :, :1]).sum(-1, keepdim=True) < 0, -1.0, 1.0)
    return normalize((quats * same).sum(2), dim=-1)
