"""Measures the field of a head on this machine: a training step and a picture, with the search for closest points."""

import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from avatar3d import fields, heads
from avatar3d.bench import head_camera, timed
from avatar3d.core import Camera, Field, HeadModel, Pose
from avatar3d.fields import occupancy, parts, picture, warp
from avatar3d.fields.network import fresh_condition, fresh_network
from avatar3d.ops import closest, field, native

CELL, SKIN = 0.005, 0.012
"""Metres: cells of canonical space, and how far from the mesh they are occupied."""
_CHIN = -0.14  # metres: shoulders are left out, as in a portrait
_ASKED = 300  # points that PyTorch alone searches for: it takes a second


@dataclass(frozen=True)
class Body:
    """A random field on a head that opens its mouth."""

    head: HeadModel
    identity: Tensor
    body: fields.Prepared
    pose: Pose

    def posed(self) -> fields.Posed:
        """Returns it in its pose."""
        return fields.pose_field(self.body, self.head, self.identity, self.pose)


def head_body(seed: int = 7) -> Body:
    """Returns a field whose occupied cells are a shell around the default head, opaque within a dozen samples."""
    random = torch.Generator().manual_seed(seed)
    head, settings = heads.load("anny"), fields.FieldSettings()
    identity = torch.zeros(len(head.identities))
    still = Pose(torch.zeros(len(head.expressions)), torch.zeros(len(head.joints), 3), torch.eye(4))
    mesh = head.vertices(identity, still)
    above = mesh[mesh[:, 1] > _CHIN]
    low, counts = above.amin(0) - 0.02, ((above.amax(0) - above.amin(0) + 0.04) / CELL).ceil().long()
    z, y, x = torch.meshgrid(*(torch.arange(n) for n in counts.flip(0).tolist()), indexing="ij")
    centres = (torch.stack([x, y, z], -1).reshape(-1, 3) + 0.5) * CELL + low
    near = closest.closest(centres, mesh, head.faces, SKIN).face >= 0
    weights = parts.part_weights(head)
    network = fresh_network(settings, random)
    network[-1][0] = 1.0  # about 200 a metre
    body = Field(
        canonical=mesh,
        parts=weights,
        box=torch.stack([low, low + counts * CELL]),
        occupied=near.reshape(z.shape),
        table=settings.grid.table(random) * 1e3,
        network=network,
        condition=fresh_condition(settings, weights.shape[1], parts.inputs(head, settings), random),
        settings=settings.as_json(),
    )
    opened = still.expression.clone()
    opened[list(head.expressions).index("jawOpen")] = 0.5
    turned = still.joints.clone()
    turned[list(head.joints).index("head"), 1] = 0.3
    return Body(head, identity, fields.prepared(body, head), Pose(opened, turned, still.root))


def head_pixels(body: Body, count: int, seed: int = 3) -> tuple[Camera, Tensor]:
    """Returns a camera and random pixels of it that see the head."""
    camera = head_camera(256)
    seen = picture.look(body.posed(), camera).alpha[..., 0] > 0.5
    places = seen.nonzero()
    random = torch.Generator().manual_seed(seed)
    some = places[torch.randint(len(places), (count,), generator=random).sort().values]
    return camera, some.flip(1) + torch.rand(count, 2, generator=random)


def head_rows(repeat: int, rays: int) -> list[Mapping[str, Any]]:
    """Returns rows as `bench_field.field_speed`, of a head's field.

    A step poses the head, finds where samples lie on it, and takes gradients of table, networks and what listens to the
    pose.

    The last row is the same step by PyTorch's own operations. Its search (every point against every face) is timed on a
    few points, and what it would take for all of them is reckoned.
    """
    body, before, rows = head_body(), torch.get_num_threads(), []
    camera, pixels = head_pixels(body, rays)
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            rows.append(_row(body, camera, pixels, threads, repeat))
        rows.append(_plain_row(body, camera, pixels))
    finally:
        torch.set_num_threads(before)
    return rows


def learning(body: Body) -> tuple[Body, list[Tensor]]:
    """Returns the body with everything that is learnt ready for gradients, and those tensors."""
    given = body.body.field
    table = given.table.clone().requires_grad_()
    network = tuple(x.clone().requires_grad_() for x in given.network)
    condition = tuple(x.clone().requires_grad_() for x in given.condition)
    made = Field(**{**vars(given), "table": table, "network": network, "condition": condition})
    prepared = fields.Prepared(**{**vars(body.body), "field": made})
    return Body(body.head, body.identity, prepared, body.pose), [table, *network, *condition]


def step_of(body: Body, camera: Camera, pixels: Tensor) -> Callable[[], None]:
    """Returns a training step: pose, march, search, warp, network, light, squared error, gradients."""
    learnt, inputs = learning(body)
    rays = picture.camera_rays(camera, pixels)

    def step() -> None:
        posed = learnt.posed()
        found = field.march(rays, posed.cells, learnt.body.settings.step)
        shown = picture.seen(posed, rays, found)
        torch.autograd.grad((shown.rgb - 0.5).square().mean(), inputs)

    return step


def _points(body: Body, camera: Camera, pixels: Tensor) -> Tensor:
    """Returns the samples of a step, in the world."""
    rays = picture.camera_rays(camera, pixels)
    return rays.points(field.march(rays, body.posed().cells, body.body.settings.step))


def _row(body: Body, camera: Camera, pixels: Tensor, threads: int, repeat: int) -> Mapping[str, Any]:
    step = step_of(body, camera, pixels)
    times, busy = _both(step, repeat)
    frames = {}
    for size in (128, 256):
        seen = head_camera(size)
        shown, spent = _both(lambda seen=seen: picture.look(body.posed(), seen), max(1, repeat // 2))
        frames[f"frames_per_second_{size}"] = round(1e3 / statistics.median(shown), 1)
        frames[f"frame_cpu_ms_{size}"] = round(spent, 1)
    points, posed = _points(body, camera, pixels), body.posed()
    mesh = closest.surface(posed.carrier.start, body.head.faces)
    at = closest.nearest(points, mesh)
    occupied = int((occupancy.cell_of(body.body.field, warp.carry(points, posed.carrier).points) >= 0).sum())
    calls: dict[str, Callable[[], object]] = {
        "pose": body.posed,
        "tree": lambda: closest.surface(posed.carrier.start, body.head.faces),
        "closest": lambda: closest.nearest(points, mesh),
        "warp": lambda: warp.carry_from(points, posed.carrier, at),
    }
    with torch.no_grad():
        stages = {name: round(_both(call, repeat)[1], 2) for name, call in calls.items()}
    return {
        "body": "head",
        "backend": f"native {native.isa()}",
        "threads": threads,
        "rays": len(pixels),
        "samples_per_ray": round(len(points) / len(pixels), 1),
        "samples_in_field_per_ray": round(occupied / len(pixels), 1),
        "step_ms": round(statistics.median(times), 1),
        "step_min_ms": round(min(times), 1),
        "step_cpu_ms": round(busy, 1),
        "stages": stages,
        **frames,
    }


def _both(call: Callable[[], object], repeat: int) -> tuple[list[float], float]:
    """Returns wall times of some runs, and the mean processor time of all threads, milliseconds."""
    busy = time.process_time()
    times = timed(call, repeat)
    return times, 1e3 * (time.process_time() - busy) / (repeat + 1)


def _plain_row(body: Body, camera: Camera, pixels: Tensor) -> Mapping[str, Any]:
    """Returns the row of the step in plain PyTorch; one run after one to warm up."""
    points, vertices = _points(body, camera, pixels), body.posed().carrier.start
    some = points[:: max(1, len(points) // _ASKED)][:_ASKED]
    clock, busy = time.perf_counter(), time.process_time()
    closest.closest(some, vertices, body.head.faces, backend="reference")
    each = 1e3 * len(points) / len(some)
    search, searching = each * (time.perf_counter() - clock), each * (time.process_time() - busy)
    before = os.environ.get("AVATAR3D_BACKEND")
    os.environ["AVATAR3D_BACKEND"] = ",".join(f"{op}=reference" for op in ("march", "encode", "mlp", "volume"))
    try:
        times, busy = _both(step_of(body, camera, pixels), 1)
    finally:
        os.environ.pop("AVATAR3D_BACKEND")
        if before is not None:
            os.environ["AVATAR3D_BACKEND"] = before
    return {
        "body": "head",
        "backend": "PyTorch",
        "threads": torch.get_num_threads(),
        "rays": len(pixels),
        "samples_per_ray": round(len(points) / len(pixels), 1),
        "step_ms": round(times[0] + search, 1),
        "step_cpu_ms": round(busy + searching, 1),
        "stages": {"closest": round(search, 1), "rest": round(times[0], 1)},
        "note": f"search reckoned from {len(some)} of {len(points)} points",
    }
