"""From the space of a posed head to canonical space and back, through the nearest point of the mesh.

Near the surface a point moves with the frame of the nearest triangle, far from it with the bones: the skull, or the
torso at the shoulders. Between the two it goes over smoothly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Int32
from torch import Tensor

from avatar3d.core import Field, HeadModel, Pose
from avatar3d.geometry import rigid_inverse
from avatar3d.ops.closest import Closest, Surface, nearest, surface
from avatar3d.ops.reference_fit import face_frames
from avatar3d.tensors import Tensors

NEAR, FAR = 0.010, 0.050
"""Metres from the mesh within which its frames carry everything, and beyond which nothing."""
_SIZES = (0.7, 1.4)  # how much thicker or thinner a triangle makes what lies on it: lids fold to nothing


@dataclass(frozen=True)
class Incidence(Tensors):
    """The faces around each vertex, one vertex after another."""

    face: Int[Tensor, " c"]
    first: Int[Tensor, " v"]
    share: Float[Tensor, " c"]
    """Of each face in its vertex, by area at rest; sums to one in each."""
    frame: Float[Tensor, "f 3 3"]
    """Of the faces at rest."""
    size: Float[Tensor, " f"]


@dataclass(frozen=True)
class Carrier(Tensors):
    """Two poses of one mesh, and for each vertex how what is around it moves from the one to the other."""

    start: Float[Tensor, "v 3"]
    end: Float[Tensor, "v 3"]
    turn: Float[Tensor, "v 9"]
    """Rotation, times a size, of the surface; column after column."""
    bone: Float[Tensor, "v 12"]
    """3 x 4 transform of the bones, column after column."""
    values: Float[Tensor, "v k"]
    """What else points take from the mesh."""
    faces: Int[Tensor, "f 3"]
    mesh: Surface | None = None
    """The start, ready for searches."""


@dataclass(frozen=True)
class Carried(Tensors):
    """Points and what they met on the way."""

    points: Float[Tensor, "m 3"]
    face: Int32[Tensor, " m"]
    """The nearest one."""
    bary: Float[Tensor, "m 3"]
    distance: Float[Tensor, " m"]
    """From the start's mesh, metres."""
    share: Float[Tensor, " m"]
    """How far the surface carried it, in [0, 1]; the bones did the rest."""
    values: Float[Tensor, "m k"]


def incidence(vertices: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"]) -> Incidence:
    """Returns which faces lie around each vertex of a mesh at rest."""
    corner = faces.flatten()
    order = torch.argsort(corner, stable=True)
    face = order // 3
    a, b, c = vertices[faces].unbind(1)
    area = torch.linalg.cross(b - a, c - a).norm(dim=-1).clamp(min=1e-12)[face]
    counts = torch.bincount(corner, minlength=len(vertices))
    total = torch.zeros(len(vertices)).index_add(0, corner[order], area)
    return Incidence(face, counts.cumsum(0) - counts, area / total[corner[order]], *face_frames(vertices, faces))


def carrier(
    field: Field,
    head: HeadModel,
    around: Incidence,
    identity: Float[Tensor, " s"],
    pose: Pose,
    values: Float[Tensor, "v k"],
) -> Carrier:
    """Returns the way from a pose's world to canonical space; differentiable in the pose, but for the surface's turn.

    Args:
        field: Whose canonical space.
        head: In the shape that edits gave it.
        around: Of the head's mesh.
        identity: Whose head.
        pose: One pose, unbatched.
        values: What points shall take from the mesh.
    """
    posed = head.vertices(identity, pose)
    with torch.no_grad():
        turn = _turns(posed.detach(), head.faces, around)
    bone = _bones(head, identity, pose)
    return Carrier(posed, field.canonical, turn, bone, values, head.faces, surface(posed, head.faces))


def inverse(given: Carrier) -> Carrier:
    """Returns the way back: exact for each vertex, and for all points whose nearest face stays the same."""
    turn = given.turn.unflatten(-1, (3, 3)).mT
    size = turn[:, 0].norm(dim=-1).clamp(min=1e-6)
    back = (turn / size[:, None, None]).mT / size[:, None, None]
    x, y, z, shift = given.bone.split(3, dim=1)
    rows = torch.stack([torch.linalg.cross(y, z), torch.linalg.cross(z, x), torch.linalg.cross(x, y)], dim=1)
    rows = rows / (rows[:, 0] * x).sum(-1)[:, None, None]  # of the inverse, by Cramer's rule
    bone = torch.cat([rows.mT.flatten(1), -(rows * shift[:, None]).sum(-1)], dim=1)
    return Carrier(given.end, given.start, back.mT.flatten(1), bone, given.values, given.faces)


def carry(points: Float[Tensor, "m 3"], by: Carrier) -> Carried:
    """Returns points moved from a carrier's start to its end; differentiable in the carrier.

    With p and q the nearest point of the start's mesh and the same point of the end's, R the turn and B the bones there
    and s falling smoothly from 1 to 0 between `NEAR` and `FAR`: x -> s (q + R (x - p)) + (1 - s) B x.
    """
    if len(by.faces) == 1:  # a scene: nothing bends
        return _carried_whole(points, by)
    mesh = surface(by.start, by.faces) if by.mesh is None else by.mesh
    return carry_from(points, by, nearest(points, mesh))


def _carried_whole(points: Float[Tensor, "m 3"], by: Carrier) -> Carried:
    """Returns points moved by the first vertex's bones alone."""
    m = len(points)
    first = points.new_tensor([1.0, 0, 0]).expand(m, 3)
    away, none = torch.full_like(points[:, 0], FAR), torch.zeros_like(points[:, 0])
    moved = _applied([x.expand(m, 3) for x in by.bone[0].split(3)], points)
    return Carried(moved, torch.zeros(m, dtype=torch.int32), first, away, none, by.values[:1].expand(m, -1))


def carry_from(points: Float[Tensor, "m 3"], by: Carrier, at: Closest | Carried) -> Carried:
    """Returns points moved by their places on the start's mesh, which are known already."""
    # What the pose moves, and what it does not, apart: the first has gradients, and they are dear.
    p, *bone = at_surface(torch.cat([by.start, by.bone], dim=1), by.faces, at).split(3, dim=1)
    fixed = at_surface(torch.cat([by.end, by.turn, by.values], dim=1), by.faces, at)
    q, *turn = fixed[:, :12].split(3, dim=1)
    share = falloff(at.distance)
    moved = _applied(bone, points).lerp(_applied([*turn, q], points - p), share[:, None])
    return Carried(moved, at.face, at.bary, at.distance, share, fixed[:, 12:])


def _applied(columns: Sequence[Tensor], points: Float[Tensor, "m 3"]) -> Float[Tensor, "m 3"]:
    """Returns points under transforms given by their columns: three of the matrix, then the shift."""
    moved = columns[3]
    for k in range(3):
        moved = torch.addcmul(moved, columns[k], points[:, k : k + 1])
    return moved


def falloff(distance: Float[Tensor, " m"]) -> Float[Tensor, " m"]:
    """Returns how far the surface carries points at a distance from it: from 1 at `NEAR` smoothly to 0 at `FAR`."""
    share = ((FAR - distance) / (FAR - NEAR)).clamp(0, 1)
    return share * share * (3 - 2 * share)


def near_shares(shares: Float[Tensor, "m p"], share: Float[Tensor, " m"]) -> Float[Tensor, "m p"]:
    """Returns how far points belong to the parts of the face: but for the first, the whole head, only near the face."""
    return torch.cat([shares[:, :1], shares[:, 1:] * share[:, None]], dim=1)


def at_surface(values: Float[Tensor, "v c"], faces: Int[Tensor, "f 3"], at: Closest | Carried) -> Float[Tensor, "m c"]:
    """Returns a quantity given at vertices, where points are nearest to the mesh; the same bits for any threads."""
    corners = faces.index_select(0, at.face)
    return torch.nn.functional.embedding_bag(corners, values, per_sample_weights=at.bary, mode="sum")


def _turns(posed: Tensor, faces: Tensor, around: Incidence) -> Float[Tensor, "v 9"]:
    """Returns how the surface around each vertex turns and grows from a pose to rest."""
    frame, size = face_frames(posed, faces)
    turn = (around.frame @ frame.mT).flatten(1)
    values = torch.cat([turn, (around.size / size).log()[:, None].clamp(-1, 1)], dim=1)
    mean = torch.nn.functional.embedding_bag(
        around.face, values, around.first, per_sample_weights=around.share, mode="sum"
    )
    turn = mean[:, :9].unflatten(-1, (3, 3))
    turn = turn / turn.flatten(1).norm(dim=-1).clamp(min=1e-6)[:, None, None] * 3**0.5
    for _ in range(4):  # Newton-Schulz: the nearest rotation
        turn = 1.5 * turn - 0.5 * turn @ turn.mT @ turn
    size = mean[:, 9].exp().clamp(*_SIZES)
    return (turn * size[:, None, None]).mT.flatten(1)


def _bones(head: HeadModel, identity: Tensor, pose: Pose) -> Float[Tensor, "v 12"]:
    """Returns the way from the world to rest that the bones of each vertex tell, soft nodes included."""
    joints = head.joint_transforms(identity, pose)
    every = torch.cat([pose.root[None], joints])
    back = rigid_inverse(every)[:, :3].mT.flatten(1)
    bone = _skinning(head) @ back
    if pose.soft is not None:
        bone = bone - torch.nn.functional.pad(head.soft @ pose.soft, (9, 0))
    return bone


def _skinning(head: HeadModel) -> Float[Tensor, "v j1"]:
    """Returns how far each vertex follows the torso (first) and the joints."""
    weights = getattr(head, "weights", None)
    if weights is not None:
        return weights
    weights = torch.zeros(head.soft.shape[0], 1 + len(head.joints))
    weights[:, list(head.joints).index("head") + 1 if "head" in head.joints else 0] = 1
    return weights
