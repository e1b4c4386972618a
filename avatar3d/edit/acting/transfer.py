"""Parts of a face from different performances: the mouth of one, the upper face of another, the head of a third."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from avatar3d import heads
from avatar3d.core import AvatarError, Motion, first_of
from avatar3d.motions.blend import fitting, mixed_poses, region_of, resampled

PARTS = ("mouth", "upper", "pose")
"""mouth: jaw, lips, tongue and puffed cheeks; upper: brows, lids, gaze, nose and raised cheeks; pose: head and body."""
_FADE = 0.4
"""Seconds in which a part that ends early goes back to the first performance."""


def part_of(name: str) -> str:
    """Returns "mouth" or "upper" for an ARKit expression."""
    return "mouth" if region_of(name) in ("mouth", "jaw", "tongue") or name == "cheekPuff" else "upper"


def transferred(motion: Motion, part: str, other: Motion, head: str = "anny") -> Motion:
    """Returns the motion with one part of another; the rest keeps its bits.

    Args:
        motion: Gives the rate and the length.
        part: One of `PARTS`.
        other: Of the same head; resampled where its rate differs. Where it ends early, its part fades back.
        head: Name of the head model.

    Raises:
        AvatarError: An unknown part, an empty motion, or motions that do not fit together.
    """
    first_of(PARTS, part)
    if not len(motion) or not len(other):
        raise AvatarError(f"{part}: a motion without frames; give another")
    other = resampled(fitting(motion, other), motion.fps)
    held = torch.arange(len(motion)).clamp(max=len(other) - 1)
    share = _share(len(motion), len(other), motion.fps)
    mixed = mixed_poses(motion.pose, replace(other.pose, soft=None)[held], share)
    of_weights = torch.tensor([part_of(name) == part for name in motion.names])
    joints = heads.load(head).joints
    of_joints = torch.tensor([("upper" if name.startswith("eye") else "pose") == part for name in joints])
    pose = replace(
        motion.pose,
        expression=torch.where(of_weights, mixed.expression, motion.pose.expression),
        joints=torch.where(of_joints[:, None], mixed.joints, motion.pose.joints),
        root=mixed.root if part == "pose" else motion.pose.root,
    )
    return replace(motion, pose=pose)


def _share(count: int, given: int, fps: float) -> Float[Tensor, " t"]:
    """Returns 1 where there is something to take, falling to 0 where it ends before the motion does."""
    if given >= count:
        return torch.ones(count)
    x = ((given - 1 - torch.arange(count)) / max(_FADE * fps, 1.0)).clamp(0, 1)
    return x * x * (3 - 2 * x)
