"""Motions put together: rates, joints, loops, regions."""

import math

import pytest
import torch

from avatar3d import geometry, heads
from avatar3d.core import AvatarError, Motion, Pose
from avatar3d.motions.blend import REGIONS, joined, looped, mixed, region_of, resampled, scaled

HEAD = heads.load("anny")
NAMES = HEAD.expressions
JAW, SMILE, BLINK = (NAMES.index(n) for n in ("jawOpen", "mouthSmileLeft", "eyeBlinkLeft"))


def turning(count: int, fps: float, start: float = 0.0, end: float = 1.0) -> Motion:
    """Everything goes evenly from `start` to `end`: weights, the head's yaw (radians), the root's roll and place."""
    along = torch.linspace(start, end, count)
    joints = torch.zeros(count, 6, 3)
    joints[:, 1, 1] = along
    spin = torch.zeros(count, 3)
    spin[:, 2] = along
    root = geometry.rigid(geometry.rotvec_to_matrix(spin), along[:, None] * torch.ones(3))
    return Motion(Pose(along[:, None].expand(count, 52).clone().clamp(0, 1), joints, root), fps, NAMES)


@pytest.mark.parametrize("fps", [24.0, 25.0, 60.0, 12.5])
def test_resampling_keeps_times_and_turns_evenly(fps: float) -> None:
    motion = turning(61, 30.0)
    out = resampled(motion, fps)
    assert out.fps == fps and len(out) == int(2 * fps) + 1
    wanted = torch.arange(len(out)) / fps / 2
    assert torch.allclose(out.pose.expression[:, JAW], wanted, atol=1e-5)
    assert torch.allclose(out.pose.joints[:, 1, 1], wanted, atol=1e-4)
    assert torch.allclose(torch.atan2(out.pose.root[:, 1, 0], out.pose.root[:, 0, 0]), wanted, atol=1e-4)
    back = resampled(resampled(motion, 60.0), 30.0)
    assert torch.allclose(back.pose.expression, motion.pose.expression, atol=1e-6)


def test_rotations_go_the_short_way() -> None:
    motion = turning(2, 1.0)
    motion.pose.joints[:, 1, 1] = torch.tensor([math.pi - 0.1, -math.pi + 0.1])
    middle = resampled(motion, 2.0).pose.joints[1, 1]
    assert middle.norm() == pytest.approx(math.pi, abs=1e-3)


def test_joining_has_no_jump_and_keeps_both_ends() -> None:
    a, b = turning(50, 25.0, 0.0, 0.4), turning(60, 30.0, 0.9, 0.5)
    out = joined([a, b], fade=0.4)
    assert out.fps == 25.0 and len(out) == 50 + len(resampled(b, 25.0)) - 10
    assert torch.equal(out.pose.expression[:40], a.pose.expression[:40])
    assert torch.allclose(out.pose.expression[-1], resampled(b, 25.0).pose.expression[-1])
    assert out.pose.expression[:, JAW].diff().abs().max() < 0.1
    hard = joined([a, b], fade=0.0)
    assert hard.pose.expression[:, JAW].diff().abs().max() > 0.4  # the test can fail


def test_a_loop_closes() -> None:
    motion = turning(100, 25.0, 0.0, 0.8)
    loop = looped(motion, 0.8)
    assert len(loop) == 80
    inside = loop.pose.expression[:, JAW].diff().abs().max()
    seam = (loop.pose.expression[0, JAW] - loop.pose.expression[-1, JAW]).abs()
    assert seam < 1.05 * inside < 0.1
    with pytest.raises(AvatarError, match="loop"):
        looped(motion, 3.0)


def test_regions_are_taken_apart() -> None:
    rest, full = turning(20, 25.0, 0.0, 0.0), turning(20, 25.0, 1.0, 1.0)
    out = mixed(rest, full, {"jaw": 1.0, "lids": 0.5, "head": 1.0})
    assert (out.pose.expression[:, JAW] == 1).all() and (out.pose.expression[:, BLINK] == 0.5).all()
    assert (out.pose.expression[:, SMILE] == 0).all()
    assert torch.allclose(out.pose.joints[:, 1, 1], torch.ones(20)) and torch.equal(out.pose.root, rest.pose.root)
    assert {region_of(name) for name in NAMES} == set(REGIONS) - {"head", "body"}


def test_strengths_scale_regions() -> None:
    half = turning(20, 25.0, 0.5, 0.5)
    out = scaled(half, {"mouth": 0.5, "jaw": 4.0, "head": 0.0}).pose
    assert (out.expression[:, SMILE] == 0.25).all() and (out.expression[:, JAW] == 1).all()
    assert (out.expression[:, BLINK] == 0.5).all() and not out.joints.any()


def test_what_does_not_fit_is_refused() -> None:
    motion = turning(20, 25.0)
    with pytest.raises(AvatarError, match="unknown region 'lips'"):
        mixed(motion, motion, {"lips": 1.0})
    with pytest.raises(AvatarError, match="out of range"):
        scaled(motion, {"jaw": 9.0})
    with pytest.raises(AvatarError, match="no motions"):
        joined([])
    fewer = Motion(Pose(motion.pose.expression[:, 1:], motion.pose.joints, motion.pose.root), 25.0, NAMES[1:])
    with pytest.raises(AvatarError, match="browDownLeft"):
        joined([motion, fewer])
    turned = Motion(Pose(motion.pose.expression.flip(1), motion.pose.joints, motion.pose.root), 25.0, NAMES[::-1])
    assert torch.allclose(mixed(motion, turned, {"jaw": 1.0}).pose.expression, motion.pose.expression)
