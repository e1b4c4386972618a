"""Photometric tracking: poses refined until the picture of a known avatar matches each frame.

Landmarks place a head to about a pixel; the avatar's own picture says where it is more finely. The avatar stands still
here: only poses move.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatar3d import heads
from avatar3d.core import Avatar, Clip, Gaussians, HeadModel, Motion, Pose, Track
from avatar3d.fit import loss
from avatar3d.fit.corrections import Corrector
from avatar3d.fit.field_follow import refine_field
from avatar3d.fit.views import Batch, Views, batch, check, read
from avatar3d.ops import splat
from avatar3d.rig import pose as pose_splats

_RATE = 0.12
"""Step size of Adam: a few tens of steps reach a few times the usual error of landmark tracking (see `corrections`)."""
_FINAL = 0.1
"""Share of their rates that the last step is done with."""


@dataclass(frozen=True)
class FollowOptions:
    """How poses are refined."""

    steps: int = 40
    """Optimisation steps a frame, at the clip's full resolution. The rasterizer blurs by a fixed part of a pixel: half
    as many pixels would show the avatar wider and push it away from the camera, and lose lips and lids."""
    batch: int = 8
    """Pictures refined side by side."""
    features: float = 2.0
    """Extra weight of the pixels around the mouth and the eyes."""


@runtime_checkable
class Posable(Protocol):
    """Anything else that can be posed as an avatar can: a baseline of the benchmark."""

    @property
    def head(self) -> str: ...
    @property
    def identity(self) -> Float[Tensor, " s"]: ...
    def posed(self, vertices: Float[Tensor, "b v 3"], pose: Pose) -> Gaussians:
        """Returns the splats in the world on a posed mesh."""
        ...


def follow(
    avatar: Avatar | Posable,
    clip: Clip,
    track: Track,
    first: int = 0,
    options: FollowOptions | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Track:
    """Returns the track with the poses of the time steps from `first` on refined against the avatar.

    Frames whose face was missing keep their bridged pose.

    Args:
        avatar: Whose pictures the frames are compared with; of the track's identity.
        clip: The frames.
        track: Their poses from landmarks.
        first: Time steps (frames, unless several show the same moment) before this one are left as they are.
        options: Settings.
        progress: Called with (time steps done, time steps in all).

    Raises:
        AvatarError: The track is not of this clip.
    """
    options = options or FollowOptions()
    check(clip, track)
    head = heads.load(avatar.head)
    corrector = Corrector(head, avatar.identity)
    rows = torch.nonzero(track.quality[first:] > 0)[:, 0] + first
    pose = with_soft(track.motion.pose.map(torch.clone), head)
    start = torch.zeros(corrector.width)
    steps, size = torch.from_numpy(clip.steps), max(1, options.batch * len(track.motion) // len(clip))
    for done in range(0, len(rows), size):
        index = rows[done : done + size]
        views = read(clip, track, torch.nonzero(torch.isin(steps, index))[:, 0])
        here = torch.arange(len(views))
        shown = Shown(
            track.motion.pose[index], views.moment(here), batch(views, here, torch.ones(len(views), 3)), views
        )
        found, start = _refine(avatar, corrector, shown, start, options)
        for name in ("expression", "joints", "root", "soft"):
            getattr(pose, name)[index] = getattr(found, name)
        if progress is not None:
            progress(min(done + size, len(rows)), len(rows))
    return replace(track, motion=Motion(pose, track.motion.fps, track.motion.names))


def with_soft(pose: Pose, head: HeadModel) -> Pose:
    """Returns poses (batched over t) that tell where the soft nodes are."""
    if pose.soft is not None:
        return pose
    return replace(pose, soft=pose.joints.new_zeros(len(pose.joints), head.soft.shape[1], 3))


@dataclass(frozen=True)
class Shown:
    """Some time steps and the pictures that show them."""

    tracked: Pose
    """Batched over the time steps."""
    moment: Int[Tensor, " b"]
    """Which of them each picture shows."""
    seen: Batch
    """The pictures."""
    views: Views


def _refine(
    avatar: Avatar | Posable, corrector: Corrector, shown: Shown, start: Tensor, options: FollowOptions
) -> tuple[Pose, Tensor]:
    """Returns the poses of some time steps, and the correction that the next ones start from."""
    tracked, seen = shown.tracked, shown.seen
    if isinstance(avatar, Avatar) and avatar.field is not None:
        rates = _RATE * _FINAL ** (torch.arange(options.steps) / options.steps)
        found, last = refine_field(avatar, tracked, shown.views, start, rates)
        return found, torch.cat([last[: corrector.carried], start[corrector.carried :]])
    size, head = len(tracked.root), corrector.head
    change = start.repeat(size, 1).requires_grad_()
    optimiser = torch.optim.Adam([change], lr=_RATE, betas=(0.9, 0.98))
    decay = torch.optim.lr_scheduler.ExponentialLR(optimiser, _FINAL ** (1 / options.steps))
    regions = loss.feature_vertices(head)
    for _ in range(options.steps):
        optimiser.zero_grad()
        pose = corrector.apply(tracked, change)
        vertices = head.vertices(avatar.identity.expand(size, -1), pose)[shown.moment]
        posed = _posed(avatar, head, vertices, pose[shown.moment])
        render = splat.rasterize(posed, seen.camera, background=seen.background)
        weight = loss.feature_weights(vertices.detach(), regions, seen.camera, options.features)
        (loss.picture(render, seen, weight, 0.2) + corrector.pull(change)).backward()
        optimiser.step()
        decay.step()
    found = change.detach()
    carried = torch.cat([found[-1, : corrector.carried], start[corrector.carried :]])
    return corrector.apply(tracked, found), carried


def _posed(avatar: Avatar | Posable, head: HeadModel, vertices: Tensor, pose: Pose) -> Gaussians:
    if isinstance(avatar, Avatar):
        return pose_splats(avatar.gaussians, avatar.binding, avatar.basis, vertices, head.faces, pose)
    return avatar.posed(vertices, pose)
