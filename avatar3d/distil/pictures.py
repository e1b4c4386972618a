"""Splats fitted to pictures of a field: its own performance, from the camera that saw it and from around it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from avatar3d import heads
from avatar3d.core import Avatar, AvatarError, Camera, Clip, Motion, Pose, Track
from avatar3d.fit import FitOptions, fit
from avatar3d.fit.field_aside import aside
from avatar3d.geometry import pinhole
from avatar3d.render import frames
from avatar3d.render.path import posed

_AROUND = 3  # of so many pictures one is taken from elsewhere
_YAW, _PITCH = 25.0, 8.0  # degrees, at most, that those look from the side
_LARGEST = 384  # pixels


@dataclass(frozen=True)
class DistilOptions:
    """How splats are fitted to pictures of a field."""

    pictures: int = 160
    """How many."""
    steps: int = 700
    """Optimisation steps."""
    splats: int = 30000
    """Splats laid on the head model's texture."""
    size: int | None = None
    """Side of the pictures; by default the clip's, at most 384 pixels."""
    seed: int = 0
    """Seed of everything random."""

    def check(self) -> None:
        """Raises an `AvatarError` that names the first setting out of range."""
        for name, least in (("pictures", 4), ("steps", 1), ("splats", 1)):
            if getattr(self, name) < least:
                raise AvatarError(f"distil: {name} is {getattr(self, name)}: give {least} or more")
        if self.size is not None and not 32 <= self.size <= 2048:
            raise AvatarError(f"distil: size is {self.size}: give 32 to 2048 pixels")


def distil(
    avatar: Avatar,
    options: DistilOptions | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Avatar:
    """Returns an avatar of splats that looks like one with a field; its performance and bearing stay.

    Args:
        avatar: Its body is a field, or a hybrid.
        options: Settings.
        progress: Called with (what is done: "look" or "fit", done, in all).

    Raises:
        AvatarError: The avatar has no field or no head, or an option is out of range.
    """
    options = options or DistilOptions()
    options.check()
    if avatar.field is None:
        raise AvatarError("distil: this avatar has no field; its splats are what distilling would give")
    if not heads.load(avatar.head).joints:
        raise AvatarError(f"distil: splats ride on a head, and this field is of a '{avatar.head}' without one")
    began = time.perf_counter()
    plain = replace(avatar, shape=None, bearing=None)  # the splats will follow both as the field does
    camera = _camera(avatar, options)
    pose = _poses(avatar, options)
    clip = _looks(plain, pose, camera, progress)
    motion = Motion(pose, 25.0, tuple(heads.load(avatar.head).expressions))
    track = Track(avatar.head, avatar.identity, motion, camera, torch.ones(len(motion)))
    settings = FitOptions(steps=options.steps, splats=options.splats, refine_pose=False, seed=options.seed)
    report = None if progress is None else lambda done, total: progress("fit", done, total)
    made = fit(clip, track, settings, progress=report)
    facts = {k: v for k, v in avatar.about.items() if k != "body"}
    told = {"pictures": len(motion), "steps": options.steps, "seconds": round(time.perf_counter() - began, 2)}
    return replace(
        made, about={**facts, "distilled": told}, motion=avatar.motion, shape=avatar.shape, bearing=avatar.bearing
    )


def _camera(avatar: Avatar, options: DistilOptions) -> Camera:
    """Returns the camera that saw the avatar, or one before it, at the size of the pictures."""
    known = avatar.about.get("camera")
    if known is None or avatar.motion is None:
        size = options.size or 256
        w2c = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
        w2c[2, 3] = 0.7
        return Camera(w2c, pinhole(size, size, size * 1.9), size, size)
    w2c = torch.tensor(known.get("w2c") or torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0])).tolist())
    camera = Camera(w2c, torch.tensor(known["K"]), known["width"], known["height"])
    longest = max(camera.width, camera.height)
    return camera.scaled((options.size or min(longest, _LARGEST)) / longest)


def _poses(avatar: Avatar, options: DistilOptions) -> Pose:
    """Returns poses of the performance, spread evenly over it, some of them turned before the camera."""
    if avatar.motion is None:
        pose = posed(avatar.head, {}).map(lambda x: x.expand(options.pictures, *x.shape).clone())
    else:
        index = torch.linspace(0, len(avatar.motion) - 1, options.pictures).round().long()
        pose = avatar.motion.pose[index]
    root = pose.root.clone()
    for i in range(_AROUND - 1, len(root), _AROUND):
        root[i] = aside(pose[i], options.seed + i, _YAW, _PITCH).root
    return replace(pose, root=root)


def _looks(avatar: Avatar, pose: Pose, camera: Camera, progress: Callable[[str, int, int], None] | None) -> Clip:
    """Returns pictures of an avatar and their mattes as a clip."""
    count = len(pose.root)
    images = np.empty((count, camera.height, camera.width, 3), np.uint8)
    masks = np.empty(images.shape[:3], np.uint8)
    for i, picture in enumerate(frames(avatar, pose, camera, None)):
        images[i], masks[i] = picture[..., :3], picture[..., 3]
        if progress is not None:
            progress("look", i + 1, count)
    return Clip(Path("field"), camera.width, camera.height, 25.0, images, masks)
