"""A field in a pose, seen by a camera."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from avatar3d.core import Camera, Field, HeadModel, Pose, Render
from avatar3d.fields import occupancy, parts, warp
from avatar3d.fields.network import Matter, added, matter
from avatar3d.fields.settings import FieldSettings, settings_of
from avatar3d.ops import field as ops
from avatar3d.ops.field import Light, Occupancy, Rays, Samples
from avatar3d.tensors import Tensors

_ROUND = 8
"""Samples of a ray between two looks at how opaque it is."""
_OPAQUE = 1e-3
"""Light that may be left where a picture ends a ray: less than one step of a byte."""
_END = (1 << 31) - 1
_SOLID = 0.05  # alpha from which splats have a depth


@dataclass(frozen=True)
class Prepared:
    """A field with what all its poses share."""

    field: Field
    settings: FieldSettings
    around: warp.Incidence
    cells: occupancy.Cells


@dataclass(frozen=True)
class Posed:
    """A field in one pose."""

    body: Prepared
    carrier: warp.Carrier
    extra: Float[Tensor, "c p"]
    """What the pose adds to the network."""
    cells: Occupancy
    """In the world."""
    turn: Float[Tensor, "3 3"]
    """From the world to the head at rest: the frame of directions of sight."""


_last: list[Prepared] = []  # the one that was shown last: pictures of one avatar follow on each other


def prepared(field: Field, head: HeadModel) -> Prepared:
    """Returns a field with what all its poses share."""
    for body in _last:
        if body.field is field:
            return body
    around = warp.incidence(field.canonical, head.faces)
    body = Prepared(field, settings_of(field.settings), around, occupancy.cells(field, head))
    _last[:] = [body]
    return body


def pose_field(body: Prepared, head: HeadModel, identity: Float[Tensor, " s"], pose: Pose) -> Posed:
    """Returns a field in one pose; differentiable in the pose and in what the field learns."""
    field, settings = body.field, body.settings
    moves = parts.unspoken(head, pose) if settings.condition == "audio" else pose
    values = field.parts if field.paint is None else torch.cat([field.parts, field.paint], dim=1)
    carrier = warp.carrier(field, head, body.around, identity, moves, values)
    extra = added(field.condition, parts.said(head, settings, pose))
    turn = pose.root[:3, :3]
    if "head" in head.joints:
        turn = head.joint_transforms(identity, moves)[list(head.joints).index("head"), :3, :3]
    return Posed(body, carrier, extra, occupancy.posed(body.cells, carrier), turn.mT)


@dataclass(frozen=True)
class Inside(Tensors):
    """Samples that lie in the field."""

    samples: Samples
    """Packed ray after ray, their lengths in metres."""
    matter: Matter
    cell: Int64[Tensor, " m"]
    """Of the field's grid, flat."""


@dataclass(frozen=True)
class Seen(Tensors):
    """What rays see of a field and of splats among it."""

    rgb: Float[Tensor, "r 3"]
    """Over black."""
    alpha: Float[Tensor, " r"]
    cell: Int64[Tensor, " m"]
    """Of each sample."""
    weights: Float[Tensor, " m"]
    """How much of each sample shows."""


def seen(posed: Posed, rays: Rays, samples: Samples, layer: "Layer | None" = None) -> Seen:
    """Returns what rays see along samples, with splats among them; differentiable."""
    found = inside(posed, rays, samples)
    samples, what = found.samples, found.matter
    if layer is None:
        light = ops.composite(what.density, what.colour, samples)
        return Seen(light.rgb, light.alpha, found.cell, light.weights)
    hidden = samples.t > layer.depth.index_select(0, samples.ray)
    front, back = (ops.composite(what.density * part, what.colour, samples) for part in (~hidden, hidden))
    through = (1 - front.alpha) * (1 - layer.alpha)
    rgb = front.rgb + (1 - front.alpha)[:, None] * layer.rgb + through[:, None] * back.rgb
    return Seen(rgb, 1 - through * (1 - back.alpha), found.cell, front.weights + back.weights)


def inside(posed: Posed, rays: Rays, samples: Samples) -> Inside:
    """Returns the samples that lie in occupied cells of canonical space, and what is there."""
    field, settings = posed.body.field, posed.body.settings
    carried = warp.carry(rays.points(samples), posed.carrier)
    cell = occupancy.cell_of(field, carried.points.detach())
    keep = cell >= 0
    index = keep.nonzero()[:, 0]
    samples = _some(samples, rays, keep, index)
    points, values, share = (x.index_select(0, index) for x in (carried.points, carried.values, carried.share))
    shares = warp.near_shares(values[:, : field.parts.shape[1]], share)
    sight = None
    if settings.view:
        directions = torch.nn.functional.normalize(rays.directions, dim=-1) @ posed.turn.mT
        sight = directions.index_select(0, samples.ray)
    what = matter(field, settings, points, shares, posed.extra, sight)
    if field.paint is not None:
        gain, offset = values[:, -6:].split(3, dim=1)
        what = Matter(what.density, (gain * what.colour + offset).clamp(0, 1))
    return Inside(samples, what, cell.index_select(0, index))


def camera_rays(camera: Camera, pixels: Float[Tensor, "r 2"] | None = None) -> Rays:
    """Returns rays through pixels (x, y; centres at +0.5), or through all of a picture row by row; t is depth."""
    if pixels is None:
        y, x = torch.meshgrid(torch.arange(camera.height) + 0.5, torch.arange(camera.width) + 0.5, indexing="ij")
        pixels = torch.stack([x, y], -1).reshape(-1, 2)
    homogeneous = torch.cat([pixels, torch.ones(len(pixels), 1)], -1)
    directions = homogeneous @ (camera.w2c[:3, :3].mT @ torch.linalg.inv(camera.K)).mT
    near = torch.full((len(pixels),), 0.02)
    return Rays(camera.position.expand_as(directions).contiguous(), directions, near, torch.full_like(near, 1e4))


def look(posed: Posed, camera: Camera, among: Render | None = None) -> Render:
    """Returns what a camera sees of a field, over black; no gradient.

    Args:
        posed: The field.
        camera: One.
        among: Splats of the same head, over black: a layer at the depth where each pixel has them.
    """
    rays = camera_rays(camera)
    count, step = len(rays.near), posed.body.settings.step
    layer = Layer.of(among) if among is not None else None
    front, back = Gathered.of(count), Gathered.of(count)
    alive, first = torch.arange(count), torch.zeros(count, dtype=torch.int32)
    with torch.no_grad():
        while len(alive):
            some = rays.map(lambda x, alive=alive: x[alive])
            found = ops.march(some, posed.cells, step, limit=_ROUND, first=first)
            part = inside(posed, some, found)
            samples, what = part.samples, part.matter
            if layer is None:
                front.add(alive, ops.composite(what.density, what.colour, samples))
                left = front.left[alive]
            else:
                hidden = samples.t > layer.depth[alive][samples.ray]
                for side, here in ((front, ~hidden), (back, hidden)):
                    side.add(alive, ops.composite(what.density * here, what.colour, samples))
                passed = found.next * step + rays.near[alive] > layer.depth[alive]
                left = front.left[alive] * torch.where(passed, 1 - layer.alpha[alive], 1.0)
            going = (found.next < _END) & (left * back.left[alive] > _OPAQUE)
            alive, first = alive[going], found.next[going]
    if layer is not None:
        front = layer.between(front, back)
    h, w = camera.height, camera.width
    return Render(front.rgb.reshape(h, w, 3), 1 - front.left.reshape(h, w, 1), front.depth.reshape(h, w, 1))


@dataclass
class Gathered:
    """What rays have seen so far."""

    rgb: Float[Tensor, "r 3"]
    left: Float[Tensor, " r"]
    """Of the light."""
    depth: Float[Tensor, " r"]

    @staticmethod
    def of(count: int) -> "Gathered":
        """Returns nothing seen yet by so many rays."""
        return Gathered(torch.zeros(count, 3), torch.ones(count), torch.zeros(count))

    def add(self, rays: Tensor, seen: Light) -> None:
        """Adds what some rays see next."""
        self.rgb[rays] += self.left[rays, None] * seen.rgb
        self.depth[rays] += self.left[rays] * seen.depth
        self.left[rays] *= 1 - seen.alpha


@dataclass(frozen=True)
class Layer(Tensors):
    """Splats as a single layer of a picture, pixel after pixel."""

    rgb: Float[Tensor, "r 3"]
    alpha: Float[Tensor, " r"]
    depth: Float[Tensor, " r"]
    """Infinite where there is nothing."""

    @staticmethod
    def of(seen: Render) -> "Layer":
        """Returns the layer of a picture over black."""
        alpha = seen.alpha.reshape(-1)
        depth = seen.depth.reshape(-1) / alpha.clamp(min=1e-6)
        return Layer(seen.rgb.reshape(-1, 3), alpha, torch.where(alpha > _SOLID, depth, torch.inf))

    def between(self, front: Gathered, back: Gathered) -> Gathered:
        """Returns what rays see of a field before the layer, of the layer, and of the field behind it."""
        through = front.left * (1 - self.alpha)
        rgb = front.rgb + front.left[:, None] * self.rgb + through[:, None] * back.rgb
        own = torch.where(self.depth.isinf(), 0.0, self.alpha * self.depth)
        return Gathered(rgb, through * back.left, front.depth + front.left * own + through * back.depth)


def _some(samples: Samples, rays: Rays, keep: Tensor, index: Tensor) -> Samples:
    """Returns samples at `index`, still packed ray after ray, their lengths in metres."""
    before = torch.nn.functional.pad(keep.cumsum(0), (1, 0))
    t, dt, ray = (x.index_select(0, index) for x in (samples.t, samples.dt, samples.ray))
    dt = dt * rays.directions.norm(dim=-1).index_select(0, ray)
    return Samples(t, dt, ray, before[samples.offsets], samples.next)
