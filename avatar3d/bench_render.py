"""Measures how fast an avatar is animated and drawn on this machine: frames a second, milliseconds of each stage."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch

from avatar3d import heads, rig
from avatar3d.core import Avatar, AvatarError, Pose
from avatar3d.ops import image, splat
from avatar3d.render.bodies import shown
from avatar3d.render.image import frames, world_splats
from avatar3d.render.path import neutral, view

_STAGE_POSES = 4
"""Poses at a time in the stages, as `frames` takes them."""


def render_speed(avatar: Avatar, size: int = 512, count: int = 64, repeat: int = 5) -> Mapping[str, Any]:
    """Returns frames_per_second, frame_ms, frame_cpu_ms (of all threads), stages (ms a frame) and what was drawn:
    splats, blendshapes, size, threads.

    A frame is everything from the numbers of a pose to the bytes of its picture: mesh, blendshapes and their network,
    posing, rasterizing, quantising; on white, head and shoulders in view as `render` shows them by default. Expressions
    and turns are the avatar's own motion, repeated or cut to `count`; without one, random.

    Args:
        avatar: Whose frames.
        size: Side of the square picture, pixels.
        count: Frames of a run.
        repeat: Runs; the median counts.

    Raises:
        AvatarError: A number is out of range.
    """
    if not (16 <= size <= 4096 and 1 <= count <= 100_000 and repeat >= 1):
        raise AvatarError(f"bench render: size {size}, frames {count}, repeat {repeat}; give 16 to 4096, and 1 or more")
    poses, camera = _poses(avatar, count), view(size=(size, size))

    def run() -> None:
        for _ in frames(avatar, poses, camera):
            pass

    busy = time.process_time()
    frame_ms = _median(run, repeat) / count
    busy = (time.process_time() - busy) / (repeat + 1) / count
    head, some = heads.load(avatar.head), poses[: min(count, _STAGE_POSES)]
    identity = avatar.identity.expand(some.expression.shape[0], -1)
    with torch.no_grad():
        vertices = head.vertices(identity, some)
        posed = world_splats(avatar, some)
        seen = splat.rasterize(posed, camera, torch.ones(3))
        stages: dict[str, Callable[[], object]] = {
            "mesh": lambda: head.vertices(identity, some),
            "splats": lambda: rig.pose(avatar.gaussians, avatar.binding, avatar.basis, vertices, head.faces, some),
            "rasterize": lambda: splat.rasterize(posed, camera, torch.ones(3)),
            "bytes": lambda: image.to_bytes(seen.rgb),
        }
        if avatar.field is not None:
            stages["field"] = lambda: shown(avatar, posed, some, camera, torch.ones(3))
        each = {name: round(_median(stage, 3 * repeat) / len(identity), 3) for name, stage in stages.items()}
    return {
        "frames_per_second": round(1e3 / frame_ms, 1),
        "frame_ms": round(frame_ms, 3),
        "frame_cpu_ms": round(1e3 * busy, 3),
        "stages": each,
        "splats": len(avatar.gaussians),
        "blendshapes": 0 if avatar.basis is None else avatar.basis.means.shape[0],
        "size": size,
        "frames": count,
        "threads": torch.get_num_threads(),
    }


def _poses(avatar: Avatar, count: int) -> Pose:
    """Returns `count` poses at the origin, where the camera looks."""
    rest = neutral(heads.load(avatar.head), count)
    if avatar.motion is not None and len(avatar.motion):
        return replace(avatar.motion.pose[torch.arange(count) % len(avatar.motion)], root=rest.root)
    random = torch.Generator().manual_seed(0)
    expression = 0.5 * torch.rand(rest.expression.shape, generator=random)
    return replace(rest, expression=expression, joints=0.1 * torch.randn(rest.joints.shape, generator=random))


def _median(function: Callable[[], object], repeat: int) -> float:
    """Returns the median milliseconds of some runs, after one to warm up."""
    function()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        function()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)
