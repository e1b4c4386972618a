"""Where splats lie at rest: the nearest point of the head's mesh, its texture coordinates, normal and distance."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.spatial import KDTree
from torch import Tensor

from avatar3d import heads, rig
from avatar3d.core import Avatar, AvatarError, Binding, Gaussians, HeadModel, Pose
from avatar3d.render.path import neutral
from avatar3d.render.shade import normals

# A splat is looked for on the part of the mesh that carries it: the teeth lie a few millimetres behind the lips.
_LAYERS = (("mouth_interior",), ("eyes",), ("sockets",))
_CANDIDATES = 8  # faces with the nearest centres, among which the nearest point is found exactly


@dataclass(frozen=True)
class Surface:
    """An avatar's splats at rest and the mesh under them, head space, metres."""

    head: HeadModel
    vertices: Float[Tensor, "v 3"]
    splats: Gaussians
    """In the world of the rest pose."""
    place: Binding
    """The nearest point of the mesh (not where the splat is tied)."""
    point: Float[Tensor, "n 3"]
    """That point."""
    normal: Float[Tensor, "n 3"]
    """Smooth unit normal of the mesh there, outwards."""

    @property
    def height(self) -> Float[Tensor, " n"]:
        """How far each splat is from the mesh, metres."""
        return (self.splats.means - self.point).norm(dim=-1)

    @property
    def uv(self) -> Float[Tensor, "n 2"]:
        """Texture coordinates of the nearest points, v up."""
        return (self.head.uv[self.place.face] * self.place.bary[..., None]).sum(1)

    def at(self, values: Float[Tensor, " v"] | Float[Tensor, "v c"]) -> Tensor:
        """Returns a quantity given at vertices, interpolated at the nearest points."""
        corners = values[self.head.faces[self.place.face]]
        return (corners * (self.place.bary if corners.ndim == 2 else self.place.bary[..., None])).sum(1)

    def region(self, name: str) -> Float[Tensor, " n"]:
        """Returns a region of the head at the nearest points, 0 where the head has none of that name."""
        if name not in self.head.regions:
            return torch.zeros(len(self.point))
        return self.at(self.head.regions[name].float())


def surface(avatar: Avatar) -> Surface:
    """Returns where the avatar's splats lie at rest.

    Raises:
        AvatarError: It has none (a radiance field alone).
    """
    if not len(avatar.gaussians):
        raise AvatarError("this avatar has no splats, whose looks could be edited; fit one with splats")
    head = heads.of(avatar)
    pose = neutral(head)
    vertices = head.vertices(avatar.identity, pose).float()
    splats = at_rest(avatar)
    place, point = nearest(head, vertices, splats.means, avatar.binding.face)
    corners = normals(vertices, head.faces)[head.faces[place.face]]
    normal = torch.nn.functional.normalize((corners * place.bary[..., None]).sum(1), dim=-1)
    return Surface(head, vertices, splats, place, point, normal)


def at_rest(avatar: Avatar, pose: Pose | None = None) -> Gaussians:
    """Returns the splats in head space at rest, or in a pose; without what edits of the bearing add."""
    head = heads.of(avatar)
    pose = pose or neutral(head)
    vertices = head.vertices(avatar.identity, pose)
    return rig.pose(avatar.gaussians, avatar.binding, avatar.basis, vertices, head.faces, pose)


def nearest(
    head: HeadModel, vertices: Float[Tensor, "v 3"], points: Float[Tensor, "n 3"], carrier: Int[Tensor, " n"]
) -> tuple[Binding, Float[Tensor, "n 3"]]:
    """Returns the nearest points of the mesh, each on the layer (skin, mouth, eyes) of the face that carries it.

    Args:
        head: Its faces and regions.
        vertices: The mesh, metres.
        points: What to project.
        carrier: A face on the layer to look at, for each point.
    """
    layer = _layers(head)
    face = torch.zeros(len(points), dtype=torch.long)
    bary = torch.full((len(points), 3), 1 / 3)
    corners = vertices[head.faces].double()
    middles = corners.mean(1)
    wanted = points.double()
    for nth in layer[carrier].unique().tolist():
        rows = torch.nonzero(layer[carrier] == nth)[:, 0]
        group = torch.nonzero(layer == nth)[:, 0]
        k = min(_CANDIDATES, len(group))
        _, found = KDTree(middles[group].numpy()).query(wanted[rows].numpy(), k=k, workers=1)
        tried = group[torch.from_numpy(np.asarray(found).reshape(len(rows), k))]
        weights = _closest(corners[tried], wanted[rows])
        at = (corners[tried] * weights[..., None]).sum(2)
        best = (at - wanted[rows][:, None]).square().sum(-1).argmin(1)
        pick = torch.arange(len(rows))
        face[rows], bary[rows] = tried[pick, best], weights[pick, best].float()
    point = (vertices[head.faces[face]] * bary[..., None]).sum(1)
    return Binding(face, bary), point


def _layers(head: HeadModel) -> Int[Tensor, " f"]:
    layer = torch.zeros(len(head.faces), dtype=torch.long)
    for i, names in enumerate(_LAYERS, start=1):
        for name in names:
            if name in head.regions:
                layer[head.regions[name][head.faces].mean(-1) > 0.5] = i
    return layer


def _closest(corners: Float[Tensor, "n c 3 3"], point: Float[Tensor, "n 3"]) -> Float[Tensor, "n c 3"]:
    """Returns the barycentric coordinates of the points of triangles nearest to a point.

    The foot of the perpendicular where it lies inside, else the best of the three edges.
    """
    a, b, c = (x.contiguous().unbind(-1) for x in corners.unbind(2))
    p = [x[:, None] for x in point.unbind(-1)]
    ab, ac, ap = _minus(b, a), _minus(c, a), _minus(p, a)
    d00, d01, d11, d20, d21 = _dot(ab, ab), _dot(ab, ac), _dot(ac, ac), _dot(ap, ab), _dot(ap, ac)
    whole = (d00 * d11 - d01 * d01).clamp_min(1e-30)
    second, third = (d11 * d20 - d01 * d21) / whole, (d00 * d21 - d01 * d20) / whole
    best = torch.stack([1 - second - third, second, third])
    least = torch.where((best >= 0).all(0), 0.0, torch.inf)
    zero = torch.zeros_like(second)
    for i, (start, end) in enumerate(((a, b), (b, c), (c, a))):
        along = _minus(end, start)
        part = (_dot(_minus(p, start), along) / _dot(along, along).clamp_min(1e-30)).clamp(0, 1)
        off = [s + part * x - y for s, x, y in zip(start, along, p, strict=True)]
        away = _dot(off, off)
        ring = [1 - part, part, zero]
        weights = torch.stack([ring[(k - i) % 3] for k in range(3)])
        better = away < least
        best, least = torch.where(better, weights, best), torch.where(better, away, least)
    return best.permute(1, 2, 0)


def _minus(one, other) -> list[Tensor]:
    return [x - y for x, y in zip(one, other, strict=True)]


def _dot(one, other) -> Tensor:
    return one[0] * other[0] + one[1] * other[1] + one[2] * other[2]
