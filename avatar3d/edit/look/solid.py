"""Meshes as splats on a head: triangles into flat splats, tied to a place of the head that nothing but it moves."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatar3d.core import Avatar, AvatarError, Binding, Gaussians, HeadModel, Pose
from avatar3d.edit.look import regions
from avatar3d.edit.look.split import added
from avatar3d.edit.look.surface import Surface
from avatar3d.geometry import matrix_to_quat
from avatar3d.ops.reference import SH_C0
from avatar3d.rig.frames import face_frames

_FINE = 0.0024  # metres: longest edge of a triangle that becomes one splat
_MOST = 12_000  # splats of one thing, about: hats need not be finer
_WIDTH = 1.15  # of the deviation of a triangle's area: neighbours then close the surface
_THIN = 1.5e-4  # metres


@dataclass(frozen=True)
class Solid:
    """A mesh with a colour for each triangle, head space, metres."""

    points: Float[Tensor, "v 3"]
    faces: Int[Tensor, "f 3"]
    colours: Float[Tensor, "f 3"]
    opacity: Float[Tensor, " f"]


def together(parts: list[Solid]) -> Solid:
    """Returns several meshes as one."""
    shift, faces = 0, []
    for part in parts:
        faces.append(part.faces + shift)
        shift += len(part.points)
    points, colours, opacity = (torch.cat([getattr(p, n) for p in parts]) for n in ("points", "colours", "opacity"))
    return Solid(points, torch.cat(faces), colours, opacity)


def attached(avatar: Avatar, under: Surface, solid: Solid) -> Avatar:
    """Returns the avatar with a mesh on its head, as splats that move with the skull."""
    corners, colours, opacity = _fine(solid)
    middle = corners.mean(1)
    away = corners - middle[:, None]
    spread = away.mT @ away / 12  # covariance of a triangle's area about its middle
    values, vectors = torch.linalg.eigh(spread.double())
    vectors = vectors.float()[..., [2, 0, 1]]  # long, thin (the normal), wide
    vectors[..., 2] = torch.linalg.cross(vectors[..., 0], vectors[..., 1])
    sizes = values.float().clamp_min(0).sqrt()[:, [2, 0, 1]] * _WIDTH
    sizes[:, 1] = _THIN
    sizes = sizes.clamp_min(_THIN)
    face = _firm_face(under.head, avatar.identity, middle.mean(0))
    frames = face_frames(under.vertices, under.head.faces[face : face + 1])
    rotation, scale = frames.rotation[0], float(frames.scale[0])
    bary = torch.tensor(regions.MARK)
    anchor = (under.vertices[under.head.faces[face]] * bary[:, None]).sum(0)
    n = len(middle)
    made = Gaussians(
        means=(middle - anchor) @ rotation / scale,
        quats=matrix_to_quat(rotation.T @ vectors),
        log_scales=sizes.log() - math.log(scale),
        logits=torch.logit(opacity.clamp(1e-3, 0.995)),
        sh=((colours - 0.5) / SH_C0)[:, None],
    )
    return added(avatar, made, Binding(torch.full((n,), face, dtype=avatar.binding.face.dtype), bary.repeat(n, 1)))


def _fine(solid: Solid) -> tuple[Float[Tensor, "m 3 3"], Float[Tensor, "m 3"], Float[Tensor, " m"]]:
    """Returns triangles halved at their longest edge until that is short, shaded from above and the front."""
    corners = solid.points[solid.faces]
    src = torch.arange(len(corners))
    area = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).norm(dim=-1).sum() / 2
    limit = max(_FINE, math.sqrt(3 * float(area) / _MOST))
    for _ in range(24):
        edges = (corners - corners.roll(-1, 1)).norm(dim=-1)
        longest, which = edges.max(-1)
        halve = longest > limit
        if not bool(halve.any()):
            break
        if len(corners) + int(halve.sum()) > 10 * _MOST:
            raise AvatarError(f"the mesh would take more than {10 * _MOST} splats; make it smaller or simpler")
        # Turned so that the longest edge is the first one.
        order = (which[halve, None] + torch.arange(3)) % 3
        turned = torch.gather(corners[halve], 1, order[..., None].expand(-1, 3, 3))
        a, b, c = turned.unbind(1)
        half = (a + b) / 2
        corners = torch.cat([corners[~halve], torch.stack([a, half, c], 1), torch.stack([half, b, c], 1)])
        src = torch.cat([src[~halve], src[halve], src[halve]])
    normal = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    flat = normal.norm(dim=-1) < 1e-12
    light = torch.nn.functional.normalize(torch.tensor([0.15, 0.6, 0.75]), dim=0)
    facing = torch.nn.functional.normalize(normal, dim=-1) @ light
    shade = 0.62 + 0.38 * (0.5 + 0.5 * facing)
    keep = ~flat
    return corners[keep], (solid.colours[src] * shade[:, None])[keep], solid.opacity[src][keep]


def _firm_face(head: HeadModel, identity: Tensor, near: Float[Tensor, "3"]) -> int:
    """Returns the face nearest to a point that moves with the head joint and with nothing else."""
    e, j = len(head.expressions), len(head.joints)
    batch = Pose(torch.eye(e), torch.zeros(e, j, 3), torch.eye(4).expand(e, 4, 4))
    still = Pose(torch.zeros(e), torch.zeros(j, 3), torch.eye(4))
    rest = head.vertices(identity, still)
    moved = (head.vertices(identity.expand(e, -1), batch) - rest).norm(dim=-1).amax(0)
    firm = moved < 1e-4
    if "head" in head.joints:
        turns = torch.zeros(j, 3)
        turns[list(head.joints).index("head")] = torch.tensor([0.2, 0.3, 0.1])
        turned = Pose(still.expression, turns, still.root)
        carrier = head.joint_transforms(identity, turned)[list(head.joints).index("head")]
        rigid = rest @ carrier[:3, :3].T + carrier[:3, 3]
        firm &= (head.vertices(identity, turned) - rigid).norm(dim=-1) < 1e-4
    firm &= head.soft.sum(-1) < 1e-3 if bool((firm & (head.soft.sum(-1) < 1e-3)).any()) else firm
    rows = torch.nonzero(firm[head.faces].all(-1))[:, 0]
    if not len(rows):
        raise AvatarError(f"head '{head.name}' has no part that only the head moves; nothing can be attached to it")
    middles = rest[head.faces[rows]].mean(1)
    sizes = face_frames(rest, head.faces[rows]).scale
    away = (middles - near).norm(dim=-1) + 10 * (sizes < 1e-3)  # slivers turn with every breath
    return int(rows[away.argmin()])
