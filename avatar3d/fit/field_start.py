"""The field a fit begins with: empty but for the cells around the head model that no frame shows the background at."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from avatar3d.core import Avatar, Binding, Camera, Field, HeadModel, Pose
from avatar3d.fields import occupancy, parts, warp
from avatar3d.fields.network import fresh_condition, fresh_network, fresh_table
from avatar3d.fields.settings import FieldSettings
from avatar3d.fit import unseen
from avatar3d.fit.start import rest_pose, spread
from avatar3d.fit.views import Views
from avatar3d.geometry import quat_to_matrix
from avatar3d.ops.closest import nearest, surface
from avatar3d.rig import pose as pose_splats

_OPEN = 0.35  # of jawOpen in canonical space: lips that touch could not be told apart
CELL = 0.005  # metres along a cell of canonical space
_MARGIN = 0.02  # metres around what the frames show of the mesh; hair stands out farther
# How far from the model something may stand, metres: by region, and elsewhere; and how deep below it.
_REACH = {"scalp": 0.06, "ears": 0.025, "neck": 0.05, "shoulders": 0.06, "torso": 0.06, "forehead": 0.025}
_ELSEWHERE, _DEPTH = 0.012, 0.007
_KNOWN, _KNOWN_DEPTH = 0.09, 0.02  # the same everywhere, where splats tell more
_SOLID = 0.1  # opacity from which a splat counts
_LOOKS = 12  # views that carve
_MISSES = 1  # of them may show the background at a cell: mattes and tracking err
_WIDER = 3  # pixels by which mattes are widened at 256 pixels


def canonical(head: HeadModel, identity: Float[Tensor, " s"]) -> Float[Tensor, "v 3"]:
    """Returns the mesh of canonical space: at rest, the mouth a little open."""
    pose = rest_pose(head)
    if "jawOpen" in head.expressions:
        pose.expression[list(head.expressions).index("jawOpen")] = _OPEN
    return head.vertices(identity, pose)


def begin(
    head: HeadModel,
    views: Views,
    settings: FieldSettings,
    seed: int,
    identity: Float[Tensor, " s"],
    known: Avatar | None,
) -> Field:
    """Returns the field before the first step.

    Args:
        head: The head model.
        views: Training frames.
        settings: How it is made.
        seed: Of its first numbers.
        identity: Whose head.
        known: The person in splats: then only cells around them may hold something.
    """
    random = torch.Generator().manual_seed(seed)
    mesh = canonical(head, identity)
    weights = parts.part_weights(head)
    empty = Field(
        canonical=mesh,
        parts=weights,
        box=_box(head, identity, views, mesh),
        occupied=torch.zeros(1, 1, 1, dtype=torch.bool),
        table=fresh_table(settings, random),
        network=fresh_network(settings, random),
        condition=fresh_condition(settings, weights.shape[1], parts.inputs(head, settings), random),
        settings=settings.as_json(),
    )
    near = _near(empty, head, identity, settings.covers == "hair", known is not None)
    if known is not None:
        near &= occupancy.dilated(_around(empty, head, known))
    return replace(empty, occupied=_carved(empty, head, identity, views, near))


def _around(field: Field, head: HeadModel, known: Avatar) -> Bool[Tensor, "z y x"]:
    """Returns the cells that splats reach into."""
    solid = (known.gaussians.opacities > _SOLID).nonzero()[:, 0]
    pose = rest_pose(head)
    splats = pose_splats(
        known.gaussians.gather(solid), known.binding.gather(solid), None, field.canonical, head.faces, pose
    )
    reach = quat_to_matrix(splats.quats) * splats.scales[:, None]  # columns: one standard deviation each way
    points = torch.cat([splats.means, *(splats.means + way * reach[..., k] for k in range(3) for way in (1, -1))])
    low, high = field.box
    counts = ((high - low) / CELL).round().long()
    index = ((points - low) / CELL).floor().long()
    x, y, z = index[((index >= 0) & (index < counts)).all(1)].unbind(1)
    grid = torch.zeros(*counts.flip(0).tolist(), dtype=torch.bool)
    grid[z, y, x] = True
    return grid


def bald(avatar: Avatar, head: HeadModel) -> Avatar:
    """Returns an avatar without the splats of its hair."""
    rest = head.vertices(avatar.identity, rest_pose(head))
    kept = (unseen.parts(head, avatar.binding, rest) != unseen.HAIR).nonzero()[:, 0]
    basis = None if avatar.basis is None else avatar.basis.gather(kept)
    return replace(avatar, gaussians=avatar.gaussians.gather(kept), binding=avatar.binding.gather(kept), basis=basis)


def looks(views: Views, count: int) -> Iterator[tuple[Pose, Camera, Tensor]]:
    """Yields pose, camera and matte of views that are spread over the poses of the head."""
    for row in spread(views, count).tolist():
        yield views.pose[row], views.camera.at(row), views.masks[row]


def _box(head: HeadModel, identity: Tensor, views: Views, mesh: Tensor) -> Float[Tensor, "2 3"]:
    """Returns the part of canonical space that frames show, a whole number of cells."""
    seen = torch.zeros(len(mesh), dtype=torch.bool)
    for pose, camera, _ in looks(views, _LOOKS):
        x, y, z = _project(head.vertices(identity, pose), camera)
        slack_x, slack_y = 0.03 * camera.width, 0.03 * camera.height
        seen |= (z > 0) & (x > -slack_x) & (x < camera.width + slack_x) & (y > -slack_y) & (y < camera.height + slack_y)
    reach = _reach(head)
    some = mesh[seen] if seen.any() else mesh
    far = (reach[seen] if seen.any() else reach).clamp(min=_MARGIN)[:, None]
    low, high = (some - far).amin(0), (some + far).amax(0)
    counts = ((high - low) / CELL).ceil()
    return torch.stack([low, low + counts * CELL])


def _reach(head: HeadModel) -> Float[Tensor, " v"]:
    """Returns how far from each vertex something may stand, metres."""
    reach = torch.full((head.soft.shape[0],), _ELSEWHERE)
    for name, far in _REACH.items():
        if name in head.regions:
            reach = torch.maximum(reach, far * head.regions[name].float())
    return reach


def _near(field: Field, head: HeadModel, identity: Tensor, hair: bool, known: bool) -> Bool[Tensor, "z y x"]:
    """Returns the cells near the mesh, or near its hair alone; farther off where splats tell more."""
    low, high = field.box
    nx, ny, nz = ((high - low) / CELL).round().long().tolist()
    z, y, x = torch.meshgrid(torch.arange(nz), torch.arange(ny), torch.arange(nx), indexing="ij")
    centres = (torch.stack([x, y, z], -1).reshape(-1, 3) + 0.5) * CELL + low
    reach = torch.full((len(field.canonical),), _KNOWN) if known else _reach(head)
    hit = nearest(centres, surface(field.canonical, head.faces), radius=float(reach.max()))
    near = (hit.face >= 0).nonzero()[:, 0]
    hit = hit.map(lambda t: t[near])
    values = torch.cat([field.canonical, reach[:, None]], dim=1)
    at, allowed = warp.at_surface(values, head.faces, hit).split([3, 1], dim=1)
    a, b, c = field.canonical[head.faces[hit.face.long()]].unbind(1)
    normal = torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a), dim=-1)
    outside = ((centres[near] - at) * normal).sum(-1) > 0
    kept = torch.where(outside, hit.distance < allowed[:, 0], hit.distance < (_KNOWN_DEPTH if known else _DEPTH))
    if hair:
        rest = head.vertices(identity, rest_pose(head))
        kept &= unseen.parts(head, Binding(hit.face, hit.bary), rest) == unseen.HAIR
    grid = torch.zeros(nz * ny * nx, dtype=torch.bool)
    grid[near[kept]] = True
    return grid.reshape(nz, ny, nx)


def _carved(
    field: Field, head: HeadModel, identity: Tensor, views: Views, near: Bool[Tensor, "z y x"]
) -> Bool[Tensor, "z y x"]:
    """Returns those of some cells that (nearly) no look shows the background at."""
    cells = occupancy.cells(replace(field, occupied=near), head)
    around = warp.incidence(field.canonical, head.faces)
    misses = torch.zeros(len(cells.centres))
    for pose, camera, matte in looks(views, _LOOKS):
        by = warp.carrier(field, head, around, identity, pose, field.parts)
        points = warp.carry_from(cells.centres, warp.inverse(by), cells.hang).points
        misses += _beside(points, camera, matte).float()
    grid = near.clone()
    grid[near] = misses <= _MISSES
    return grid


def _beside(points: Tensor, camera: Camera, matte: Tensor) -> Bool[Tensor, " n"]:
    """Returns which points a picture shows the background at."""
    h, w = matte.shape
    wide = 2 * max(1, round(_WIDER * max(h, w) / 256)) + 1
    person = torch.nn.functional.max_pool2d((matte > 12)[None].float(), wide, 1, wide // 2)[0] > 0
    x, y, z = _project(points, camera)
    shown = (z > 0) & (x >= 0) & (y >= 0) & (x < w) & (y < h)
    return shown & ~person[y.long().clamp(0, h - 1), x.long().clamp(0, w - 1)]


def _project(points: Tensor, camera: Camera) -> tuple[Tensor, Tensor, Tensor]:
    """Returns pixel coordinates and depth."""
    seen = (points @ camera.w2c[:3, :3].mT + camera.w2c[:3, 3]) @ camera.K.mT
    z = seen[:, 2]
    return seen[:, 0] / z.clamp(min=1e-3), seen[:, 1] / z.clamp(min=1e-3), z
