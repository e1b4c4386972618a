"""Photometric tracking: poses refined until the picture of a known avatar matches each frame.

Landmarks place a head to about a pixel; the avatar's own picture says where it is more finely. The avatar stands still
here: only poses move.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from avatar3d import heads
from avatar3d.core import Avatar, AvatarError, Clip, HeadModel, Motion, Pose, Track
from avatar3d.fit import loss
from avatar3d.fit.corrections import corrected, pull
from avatar3d.fit.views import Batch, batch, read
from avatar3d.ops import splat
from avatar3d.rig import pose as pose_splats

# Step sizes of Adam: a few tens of steps reach a few times the usual error of landmark tracking (see `corrections`).
_RATES = {"view.expression": 1.5e-2, "view.joints": 3e-3, "view.turn": 2e-3, "view.shift": 4e-4}
_CARRIED = ("view.turn", "view.shift", "view.joints")
"""Corrections that hardly change from frame to frame: the next frames start from them."""
_FINAL = 0.1
"""Share of their rates that the last step is done with."""


@dataclass(frozen=True)
class FollowOptions:
    """How poses are refined."""

    steps: int = 30
    """Optimisation steps a frame, at half the clip's resolution."""
    batch: int = 8
    """Frames refined side by side."""
    features: float = 2.0
    """Extra weight of the pixels around the mouth and the eyes."""


def follow(
    avatar: Avatar,
    clip: Clip,
    track: Track,
    first: int = 0,
    options: FollowOptions | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Track:
    """Returns the track with the poses of the frames from `first` on refined against the avatar.

    Frames whose face was missing keep their bridged pose.

    Args:
        avatar: Whose pictures the frames are compared with; of the track's identity.
        clip: The frames.
        track: Their poses from landmarks; as many as the clip has frames.
        first: Frames before this one are left as they are.
        options: Settings.
        progress: Called with (frames done, frames in all).

    Raises:
        AvatarError: The track is not of this clip.
    """
    options = options or FollowOptions()
    if len(track.motion) != len(clip):
        raise AvatarError(
            f"the track has {len(track.motion)} frames and {clip.source} has {len(clip)}: track this clip again"
        )
    head = heads.load(avatar.head)
    rows = torch.nonzero(track.quality[first:] > 0)[:, 0] + first
    pose = track.motion.pose.map(torch.clone)
    start: dict[str, Tensor] = {}
    for done in range(0, len(rows), options.batch):
        index = rows[done : done + options.batch]
        views = read(clip, track, index)
        seen = batch(views, torch.arange(len(index)), torch.ones(len(index), 3), half=True)
        found, start = _refine(avatar, head, views.pose, seen, start, options)
        pose.expression[index], pose.joints[index], pose.root[index] = found.expression, found.joints, found.root
        if progress is not None:
            progress(min(done + options.batch, len(rows)), len(rows))
    return replace(track, motion=Motion(pose, track.motion.fps, track.motion.names))


def _refine(
    avatar: Avatar, head: HeadModel, tracked: Pose, seen: Batch, start: dict[str, Tensor], options: FollowOptions
) -> tuple[Pose, dict[str, Tensor]]:
    """Returns the poses of one batch, and the corrections that the next one starts from."""
    size = len(seen.rows)
    shapes = {"view.turn": (3,), "view.shift": (3,), "view.joints": tracked.joints.shape[1:]}
    shapes["view.expression"] = tracked.expression.shape[1:]
    change = {name: torch.zeros(size, *shape) for name, shape in shapes.items()}
    for name, value in start.items():
        change[name] += value
    for value in change.values():
        value.requires_grad_()
    groups = [{"params": [value], "lr": _RATES[name]} for name, value in change.items()]
    optimiser = torch.optim.Adam(groups, betas=(0.9, 0.98))
    decay = torch.optim.lr_scheduler.ExponentialLR(optimiser, _FINAL ** (1 / options.steps))
    regions = loss.feature_vertices(head)
    for _ in range(options.steps):
        optimiser.zero_grad()
        pose = corrected(tracked, change)
        vertices = head.vertices(avatar.identity.expand(size, -1), pose)
        posed = pose_splats(avatar.gaussians, avatar.binding, avatar.basis, vertices, head.faces, pose)
        render = splat.rasterize(posed, seen.camera, background=seen.background)
        weight = loss.feature_weights(vertices.detach(), regions, seen.camera, options.features)
        (loss.picture(render, seen, weight, 0.2) + pull(change)).backward()
        optimiser.step()
        decay.step()
    with torch.no_grad():
        found = corrected(tracked, change)
        return found, {name: change[name][-1].clone() for name in _CARRIED}
