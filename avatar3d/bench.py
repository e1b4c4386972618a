"""Measures the rasterizer on this machine: milliseconds, beside the plain twin and a peer from the package index."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from avatar3d.core import Camera, Gaussians
from avatar3d.geometry import look_at, pinhole
from avatar3d.ops import native
from avatar3d.ops.image import l1_ssim
from avatar3d.ops.reference import SH_C0
from avatar3d.ops.splat import rasterize

HEAD_RADII = (0.09, 0.12, 0.10)
"""Half axes of the ellipsoid that stands for a head, metres."""
CAMERA_DISTANCE, CAMERA_SPAN = 0.5, 0.3
"""Metres from the head's centre, and the width that the image spans there."""
SIZES = ((10_000, 256), (50_000, 512), (100_000, 1024))
"""Splats and image side of each row."""
_SLOW_LIMIT = 50_000
"""The twin, a thousand times slower, runs up to this many splats only."""


def raster(repeat: int = 15, sizes: tuple[tuple[int, int], ...] = SIZES) -> list[Mapping[str, Any]]:
    """Returns rows of backend, splats, size, threads, forward_ms, both_ms (medians) and their minima.

    `both` is a forward pass, the L1 loss and the backward pass to all splat parameters, as a user calls them. Rows
    that cannot run have None for the times and say why in `note`.

    Args:
        repeat: Runs of each fast row; slow rows take three.
        sizes: (splats, image side) of each row.
    """
    rows: list[Mapping[str, Any]] = []
    before = torch.get_num_threads()
    for splats, size in sizes:
        scene, camera, target = head_scene(splats), head_camera(size), smooth_picture(size)
        try:
            for threads in (1, 2):
                torch.set_num_threads(threads)
                forward, both = _calls(scene, camera, target, "cpu")
                rows.append(timed_row(f"native {native.isa()}", splats, size, threads, forward, both, repeat))
            if splats <= _SLOW_LIMIT:
                forward, both = _calls(scene, camera, target, "reference")
                rows.append(timed_row("twin", splats, size, 2, forward, both, 1))
            else:
                rows.append(_absent("twin", splats, size, f"above {_SLOW_LIMIT} splats it takes minutes and 13 GB"))
        finally:
            torch.set_num_threads(before)
        rows.append(_peer(splats, size))
    return rows


def head_scene(splats: int, seed: int = 7) -> Gaussians:
    """Returns splats spread evenly over an ellipsoid of a head's size, as dense as a fitted avatar.

    Axes scatter around 0.6 of the mean spacing, opacities are uniform in [0.05, 0.99].
    """
    random = torch.Generator().manual_seed(seed)
    a, b, c = HEAD_RADII
    points: list[Tensor] = []
    while sum(map(len, points)) < splats:
        direction = torch.nn.functional.normalize(torch.randn(2 * splats, 3, generator=random), dim=-1)
        # Area of the ellipsoid per area of the sphere; rejection makes the density even.
        stretch = (direction * torch.tensor([b * c, a * c, a * b])).norm(dim=-1) / max(a * b, a * c, b * c)
        kept = torch.rand(2 * splats, generator=random) < stretch
        points.append(direction[kept] * torch.tensor(HEAD_RADII))
    means = torch.cat(points)[:splats]
    p = 1.6075  # Knud Thomsen's approximation of an ellipsoid's area
    area = 4 * torch.pi * (((a * b) ** p + (a * c) ** p + (b * c) ** p) / 3) ** (1 / p)
    log_scales = torch.tensor(0.6 * (area / splats) ** 0.5).log() + 0.4 * torch.randn(splats, 3, generator=random)
    opacity = 0.05 + 0.94 * torch.rand(splats, generator=random)
    waves = torch.tensor([[40.0, 12.0, 20.0], [10.0, 35.0, 6.0], [5.0, 9.0, 45.0]])
    colour = 0.5 + 0.35 * torch.sin(means @ waves + torch.arange(3)) + 0.15 * torch.randn(splats, 3, generator=random)
    return Gaussians(
        means,
        torch.nn.functional.normalize(torch.randn(splats, 4, generator=random), dim=-1),
        log_scales,
        torch.logit(opacity),
        (colour.clamp(0.02, 0.98)[:, None] - 0.5) / SH_C0,
    )


def head_camera(size: int) -> Camera:
    """Returns a camera half a metre in front; the head covers about 40 % of the image."""
    w2c = look_at(torch.tensor([0.0, 0.0, CAMERA_DISTANCE]), torch.zeros(3))
    return Camera(w2c, pinhole(size, size, size * CAMERA_DISTANCE / CAMERA_SPAN), size, size)


def smooth_picture(size: int) -> Tensor:
    """Returns a random smooth picture, size size 3, to compare with."""
    coarse = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(3))
    return torch.nn.functional.interpolate(coarse, size=(size, size), mode="bilinear")[0].permute(1, 2, 0).contiguous()


def _calls(
    scene: Gaussians, camera: Camera, target: Tensor, backend: str
) -> tuple[Callable[[], object], Callable[[], object]]:
    """Returns the forward call and the forward + loss + backward call."""
    leaves = scene.map(lambda x: x.clone().requires_grad_())

    def forward() -> None:
        with torch.no_grad():
            rasterize(scene, camera, backend=backend)

    def both() -> None:
        for leaf in (leaves.means, leaves.quats, leaves.log_scales, leaves.logits, leaves.sh):
            leaf.grad = None
        l1_ssim(rasterize(leaves, camera, backend=backend).rgb[None], target[None], ssim_share=0.0).backward()

    return forward, both


def timed_row(
    backend: str,
    splats: int,
    size: int,
    threads: int,
    forward: Callable[[], object],
    both: Callable[[], object],
    repeat: int,
) -> Mapping[str, Any]:
    """Returns a row of the benchmark: medians and minima of the two calls."""
    times = {"forward": timed(forward, repeat), "both": timed(both, repeat)}
    row: dict[str, Any] = {"backend": backend, "splats": splats, "size": size, "threads": threads}
    row |= {f"{name}_ms": round(statistics.median(t), 2) for name, t in times.items()}
    return row | {f"{name}_min_ms": round(min(t), 2) for name, t in times.items()}


def _absent(backend: str, splats: int, size: int, note: str) -> Mapping[str, Any]:
    row = {"backend": backend, "splats": splats, "size": size, "threads": 2}
    return row | {"forward_ms": None, "both_ms": None, "note": note}


def _peer(splats: int, size: int) -> Mapping[str, Any]:
    """Runs the peer in a process of its own: Mitsuba compiles with the LLVM it finds, and an old one aborts."""
    command = [sys.executable, "-m", "avatar3d.bench_peer", str(splats), str(size)]
    backend = "mitsuba ellipsoids"
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    except subprocess.TimeoutExpired:
        return _absent(backend, splats, size, "took more than ten minutes")
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    if done.returncode < 0:
        return _absent(backend, splats, size, "aborted inside LLVM: name a newer libLLVM in DRJIT_LIBLLVM_PATH")
    said = done.stderr.strip().splitlines() or [f"ended with code {done.returncode}"]
    return _absent(backend, splats, size, said[-1])


def timed(function: Callable[[], object], repeat: int) -> list[float]:
    """Returns milliseconds of each of `repeat` runs; several come after one to warm up."""
    if repeat > 1:
        function()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        function()
        times.append((time.perf_counter() - start) * 1e3)
    return times
