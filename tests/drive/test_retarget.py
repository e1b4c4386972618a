"""One person's motion on another's avatar."""

from dataclasses import replace

import pytest
import torch

from avatar3d import geometry, heads
from avatar3d.core import Avatar, AvatarError, Motion, Pose
from avatar3d.drive.retarget import RetargetOptions, clamped, limits_of, rest_of, retarget
from avatar3d.heads import ARKIT
from avatar3d.motions.neutral import Neutral, neutral_of

JAW, BLINK, SMILE = (ARKIT.index(n) for n in ("jawOpen", "eyeBlinkLeft", "mouthSmileLeft"))
OUT, IN = ARKIT.index("eyeLookOutLeft"), ARKIT.index("eyeLookInLeft")


def acting(frames: int = 60, smile: float = 0.3, turn: float = 0.2) -> Motion:
    """Returns somebody who talks with a constant smile, head turned a little."""
    head = heads.load("anny")
    t = torch.arange(frames) / 25
    expression = torch.zeros(frames, 52)
    expression[:, JAW] = 0.25 * (1 - torch.cos(6 * t)) / 2
    expression[:, SMILE] = smile
    expression[::20, BLINK] = 0.9
    joints = torch.zeros(frames, len(head.joints), 3)
    joints[:, 1, 1] = turn + 0.1 * torch.sin(3 * t)
    root = torch.eye(4).repeat(frames, 1, 1)
    root[:, 2, 3] = -0.8 + 0.01 * torch.sin(2 * t)
    return Motion(Pose(expression, joints, root), 25.0, ARKIT)


def acted(doll: Avatar, **changes) -> Avatar:
    return replace(doll, motion=acting(**changes))


def test_neutral_is_how_somebody_looks_when_nothing_happens() -> None:
    neutral = neutral_of(acting())
    assert neutral.expression[JAW] < 0.03 and neutral.expression[BLINK] == 0
    assert neutral.expression[SMILE] == pytest.approx(0.3, abs=1e-6)


def test_someone_who_never_stops_talking_has_a_closed_mouth_too() -> None:
    motion = acting(200)
    calm = motion.pose.expression.clone()
    calm[:, ARKIT.index("browInnerUp")] = torch.where(calm[:, JAW] > 0.15, 0.0, 1.0)  # calm only where the jaw is open
    neutral = neutral_of(replace(motion, pose=replace(motion.pose, expression=calm)))
    assert neutral.expression[JAW] < 0.03


def test_ones_own_motion_comes_back(doll: Avatar) -> None:
    avatar = acted(doll)
    back = retarget(acting(), avatar, RetargetOptions(clamp=False))
    for name in ("expression", "joints", "root"):
        torch.testing.assert_close(getattr(back.pose, name), getattr(acting().pose, name), atol=1e-5, rtol=0)


def test_differences_are_transferred_not_habits(doll: Avatar) -> None:
    """A smiling driver with a turned head does not make a serious avatar smile or turn."""
    serious = acted(doll, smile=0.0, turn=0.0)
    out = retarget(acting(smile=0.5, turn=0.3), serious)
    assert out.pose.expression[:, SMILE].max() < 1e-5
    assert out.pose.joints[:, 1, 1].mean().abs() < 0.03
    torch.testing.assert_close(out.pose.expression[:, JAW], acting().pose.expression[:, JAW], atol=0.02, rtol=0)
    absolute = retarget(acting(smile=0.5), serious, RetargetOptions(relative=False, clamp=False))
    assert absolute.pose.expression[:, SMILE].min() == 0.5


def test_gaze_crosses_the_middle(doll: Avatar) -> None:
    """Looking out and looking in are one axis: a driver whose neutral looks out a little looks in by more."""
    motion = acting()
    motion.pose.expression[:, OUT] = 0.2
    motion.pose.expression[30:, OUT], motion.pose.expression[30:, IN] = 0.0, 0.3
    neutral = Neutral(motion.pose.expression[0], motion.pose.joints[0], motion.pose.root[0])
    out = retarget(motion, acted(doll), RetargetOptions(), neutral).pose.expression
    assert out[:30, [OUT, IN]].max() < 1e-6
    assert out[40, IN] == pytest.approx(0.5) and out[40, OUT] == 0


def test_switches_leave_the_avatar_at_rest(doll: Avatar) -> None:
    avatar = acted(doll, smile=0.1)
    rest = rest_of(avatar)
    motion = acting(smile=0.5)
    motion.pose.expression[:, OUT] = torch.linspace(0, 0.4, len(motion))
    off = retarget(motion, avatar, RetargetOptions(expression=False)).pose.expression
    torch.testing.assert_close(off[:, JAW], rest.expression[JAW].expand(len(motion)))
    assert off[:, OUT].max() > 0.1
    assert retarget(motion, avatar, RetargetOptions(gaze=False)).pose.expression[:, OUT].std() < 1e-6
    still = retarget(motion, avatar, RetargetOptions(pose=False)).pose
    torch.testing.assert_close(still.joints, rest.joints.expand_as(still.joints))
    torch.testing.assert_close(still.root, rest.root.expand_as(still.root))


def test_nothing_goes_beyond_what_the_avatar_shows(doll: Avatar) -> None:
    avatar, wild = acted(doll), acting()
    wild.pose.expression[:, JAW] = 1.0
    wild.pose.expression[5, BLINK] = 1.0
    wild.pose.joints[:, 1] = torch.linspace(-2, 2, len(wild))[:, None]
    wild.pose.root[:, :3, :3] = geometry.rotvec_to_matrix(
        torch.linspace(-2, 2, len(wild))[:, None] * torch.tensor([0.0, 1, 0])
    )
    limits = limits_of(avatar)
    out = clamped(wild, limits).pose
    assert out.expression[:, JAW].max() <= 0.25 + 0.25 + 1e-6
    assert out.expression[5, BLINK] == 1  # eyes may always close
    assert (out.joints <= limits.joints_high + 1e-6).all() and (out.joints >= limits.joints_low - 1e-6).all()
    turned = geometry.matrix_to_rotvec(limits.home[:3, :3].T @ out.root[:, :3, :3])
    assert turned[:, 1].abs().max() <= limits.body_high[3 - 2] + 1e-5
    steps = out.joints[:, 1, 1].diff()
    assert (steps >= -1e-6).all()  # bent, in order
    gentle = acting()
    torch.testing.assert_close(clamped(gentle, limits).pose.joints, gentle.pose.joints, atol=0.02, rtol=0)


def test_strength_goes_by_region(doll: Avatar) -> None:
    half = retarget(acting(), acted(doll), RetargetOptions(strength={"jaw": 0.5, "head": 0.0}, clamp=False)).pose
    full = retarget(acting(), acted(doll), RetargetOptions(clamp=False)).pose
    rest = rest_of(acted(doll)).expression[JAW]
    torch.testing.assert_close(
        half.expression[:, JAW] - rest, 0.5 * (full.expression[:, JAW] - rest), atol=0.01, rtol=0
    )
    assert half.joints[:, 1].std(0).max() < 1e-6
    with pytest.raises(AvatarError, match="unknown name"):
        retarget(acting(), doll, RetargetOptions(strength={"elbow": 1.0}))
    with pytest.raises(AvatarError, match="0 to 3"):
        retarget(acting(), doll, RetargetOptions(strength={"jaw": -1.0}))


def test_motions_of_other_heads_are_refused(doll: Avatar) -> None:
    motion = acting()
    with pytest.raises(AvatarError, match="not on head"):
        retarget(replace(motion, names=tuple(reversed(ARKIT))), doll)


def test_one_photos_smile_is_no_neutral(doll: Avatar) -> None:
    smiling = acting(frames=1)
    assert smiling.pose.expression.max() > 0
    portrait = replace(doll, motion=smiling)
    assert (rest_of(portrait).expression == 0).all()
    limits = limits_of(portrait)  # nor does it say how far its head turns
    assert (limits.high == 1).all() and (limits.joints_high[0] > 0.2).all()
