"""Measures radiance fields on this machine: a training step and a picture, beside the same in plain PyTorch."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from avatar3d.bench import HEAD_RADII, head_camera, timed
from avatar3d.core import AvatarError
from avatar3d.ops import field, native
from avatar3d.ops.field import Grid, Occupancy, Rays, Samples

RAYS = 4096
GRID = Grid(levels=8, features=4, log2_rows=16, base=16, growth=1.5)
WIDTHS = (GRID.width, 64, 64, 4)
"""Of the network: density and colour from the grid's features."""
STEP = 0.003
"""Metres between samples."""
_HALF, _CELLS = 0.16, 64
"""Half the side of the box, metres, and cells along it."""
_ROUND = 8
"""Samples of a ray between two looks at how opaque it is."""
_OPAQUE = 1e-3
"""Light that may be left where a picture ends a ray: less than one step of a byte."""


@dataclass(frozen=True)
class Scene:
    """A field like a head's: a shell of occupied cells around an ellipsoid, opaque after some samples."""

    table: Tensor
    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]
    occupancy: Occupancy

    def samples_to_light(self, points: Tensor, samples: Samples, backend: str) -> field.Light:
        """Returns what rays see."""
        unit = points / (2 * _HALF) + 0.5
        x = field.mlp(field.encode(unit, self.table, GRID, backend), self.weights, self.biases, backend)
        return field.composite(x[:, 0].exp(), x[:, 1:].sigmoid(), samples, backend)


def field_speed(repeat: int = 9, rays: int = RAYS) -> list[Mapping[str, Any]]:
    """Returns rows of body (`shell`: no head), backend, threads, rays, samples_per_ray, step_ms (wall, median),
    step_min_ms, step_cpu_ms (of all threads: what remains of a busy machine's figures), stages (ms), and
    frames_per_second of two sizes.

    A step is march, encode, network, compositing, squared error and all gradients to table and network, for random
    pixels of a head in view; a picture is 128 x 128 or 256 x 256 pixels in rounds of samples. The PyTorch row does the
    same with its own operations (`ops.reference_field`).

    Args:
        repeat: Runs of each kernel row; PyTorch takes three.
        rays: Of a step.

    Raises:
        AvatarError: A number is out of range.
    """
    if repeat < 1 or not 1 <= rays <= 1 << 20:
        raise AvatarError(f"bench field: repeat {repeat}, rays {rays}; give 1 or more, and 1 to {1 << 20}")
    scene, some = head_field(), head_rays(rays)
    before, rows = torch.get_num_threads(), []
    try:
        for backend, threads, runs in (("cpu", 1, repeat), ("cpu", 2, repeat), ("reference", 2, min(repeat, 3))):
            torch.set_num_threads(threads)
            name = f"native {native.isa()}" if backend == "cpu" else "PyTorch"
            rows.append(_row(name, backend, threads, scene, some, runs))
    finally:
        torch.set_num_threads(before)
    return rows


def head_field(seed: int = 7) -> Scene:
    """Returns a random field whose occupied cells are a shell of a head's size."""
    random = torch.Generator().manual_seed(seed)
    weights = [torch.randn(o, i, generator=random) * (2 / i) ** 0.5 for i, o in pairwise(WIDTHS)]
    biases = [torch.zeros(o) for o in WIDTHS[1:]]
    biases[-1][0] = 5.0  # about 150 a metre: a ray ends within a dozen samples
    centres = (torch.arange(_CELLS) + 0.5) / _CELLS * 2 * _HALF - _HALF
    z, y, x = torch.meshgrid(centres, centres, centres, indexing="ij")
    radius = sum((c / r) ** 2 for c, r in zip((x, y, z), HEAD_RADII, strict=True))
    shell = (torch.as_tensor(radius).sqrt() - 1).abs() < 0.2
    box = torch.tensor([[-_HALF] * 3, [_HALF] * 3])
    table = GRID.table(random) * 1e3
    return Scene(table, tuple(weights), tuple(biases), Occupancy(shell, box))


def head_rays(count: int, size: int = 0, seed: int = 3) -> Rays:
    """Returns rays of random pixels of the benchmark's camera, on the head; or all pixels of a size x size picture."""
    camera = head_camera(size or 512)
    if size:
        rows, columns = torch.meshgrid(torch.arange(size) + 0.5, torch.arange(size) + 0.5, indexing="ij")
        pixels = torch.stack([columns, rows], -1).reshape(-1, 2)
    else:
        angle, radius = torch.rand(2, count, generator=torch.Generator().manual_seed(seed))
        away = radius.sqrt()[:, None] * torch.stack([(6.2832 * angle).cos(), (6.2832 * angle).sin()], -1)
        pixels = camera.width / 2 + away * camera.K[0, 0] / 0.5 * torch.tensor(HEAD_RADII[:2])
    local = torch.cat([(pixels - camera.K[:2, 2]) / camera.K.diagonal()[:2], torch.ones(len(pixels), 1)], -1)
    directions = torch.nn.functional.normalize(local, dim=-1) @ camera.w2c[:3, :3]
    origins = camera.position.expand_as(directions).contiguous()
    return Rays(origins, directions, torch.full((len(pixels),), 0.2), torch.full((len(pixels),), 0.9))


def picture(scene: Scene, rays: Rays, backend: str = "auto") -> tuple[Tensor, Tensor]:
    """Returns colour and opacity of rays, sampled in rounds: rays that are opaque or at their end leave early."""
    rgb, left = torch.zeros(len(rays.near), 3), torch.ones(len(rays.near))
    alive, first = torch.arange(len(rays.near)), torch.zeros(len(rays.near), dtype=torch.int32)
    while len(alive):
        some = rays.map(lambda x, alive=alive: x[alive])
        samples = field.march(some, scene.occupancy, STEP, limit=_ROUND, first=first, backend=backend)
        light = scene.samples_to_light(some.points(samples), samples, backend)
        rgb[alive] += left[alive, None] * light.rgb
        left[alive] *= 1 - light.alpha
        going = (samples.next < (1 << 31) - 1) & (left[alive] > _OPAQUE)
        alive, first = alive[going], samples.next[going]
    return rgb, 1 - left


def _row(name: str, backend: str, threads: int, scene: Scene, rays: Rays, repeat: int) -> Mapping[str, Any]:
    samples = field.march(rays, scene.occupancy, STEP, backend=backend)
    leaves = Scene(
        scene.table.clone().requires_grad_(),
        tuple(w.clone().requires_grad_() for w in scene.weights),
        tuple(b.clone().requires_grad_() for b in scene.biases),
        scene.occupancy,
    )
    inputs = [leaves.table, *leaves.weights, *leaves.biases]

    def step() -> None:
        found = field.march(rays, scene.occupancy, STEP, backend=backend)
        light = leaves.samples_to_light(rays.points(found), found, backend)
        torch.autograd.grad((light.rgb - 0.5).square().mean(), inputs)

    busy = time.process_time()
    times = timed(step, repeat)
    busy = (time.process_time() - busy) / (repeat + 1)
    frames = {}
    for size in (128, 256):
        if backend == "cpu" or size == 128:
            whole = head_rays(0, size)
            with torch.no_grad():
                milliseconds = statistics.median(timed(lambda w=whole: picture(scene, w, backend), repeat))
            frames[f"frames_per_second_{size}"] = round(1e3 / milliseconds, 1)
    return {
        "body": "shell",
        "backend": name,
        "threads": threads,
        "rays": len(rays.near),
        "samples_per_ray": round(len(samples) / len(rays.near), 1),
        "step_ms": round(statistics.median(times), 1),
        "step_min_ms": round(min(times), 1),
        "step_cpu_ms": round(1e3 * busy, 1),
        "stages": _stages(scene, rays, samples, backend, repeat),
        **frames,
    }


def _stages(scene: Scene, rays: Rays, samples: Samples, backend: str, repeat: int) -> Mapping[str, float]:
    """Returns median milliseconds of the ops, forward, and backward with all gradients that a step needs."""
    points = rays.points(samples) / (2 * _HALF) + 0.5
    table = scene.table.clone().requires_grad_()
    features = field.encode(points, table, GRID, backend)
    given = [features.detach().requires_grad_(), *(w.clone().requires_grad_() for w in scene.weights)]
    out = field.mlp(given[0], given[1:], scene.biases, backend)
    density, colour = out[:, 0].detach().exp().requires_grad_(), out[:, 1:].detach().sigmoid().requires_grad_()
    light = field.composite(density, colour, samples, backend)

    def back(of: Tensor, by: list[Tensor]) -> Callable[[], object]:
        ones = torch.ones_like(of)
        return lambda: torch.autograd.grad(of, by, ones, retain_graph=True)

    calls: dict[str, Callable[[], object]] = {
        "march": lambda: field.march(rays, scene.occupancy, STEP, backend=backend),
        "encode": lambda: field.encode(points, scene.table, GRID, backend),
        "encode_backward": back(features, [table]),
        "mlp": lambda: field.mlp(given[0].detach(), scene.weights, scene.biases, backend),
        "mlp_backward": back(out, given),
        "composite": lambda: field.composite(density.detach(), colour.detach(), samples, backend),
        "composite_backward": back(light.rgb, [density, colour]),
    }
    return {name: round(statistics.median(timed(call, repeat)), 2) for name, call in calls.items()}
