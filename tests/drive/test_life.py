"""Blinks, gaze, breath and sway: human statistics, the same bits in blocks, seamless loops."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avatar3d import geometry, heads
from avatar3d.core import AvatarError, Motion, Pose
from avatar3d.drive.eyes import Blinks
from avatar3d.drive.life import Life, LifeOptions, enliven, idle

HEAD = heads.load("anny")
NAMES = HEAD.expressions


def still(count: int, fps: float = 30.0) -> Motion:
    pose = Pose(torch.zeros(count, 52), torch.zeros(count, 6, 3), torch.eye(4).expand(count, 4, 4).clone())
    return Motion(pose, fps, NAMES)


def column(motion: Motion, name: str) -> np.ndarray:
    return motion.pose.expression[:, NAMES.index(name)].double().numpy()


def onsets(closure: np.ndarray, level: float = 0.4) -> np.ndarray:
    return np.flatnonzero((closure[1:] > level) & (closure[:-1] <= level)) + 1


def lids(rate: float, count: int, fps: float, seed: int) -> np.ndarray:
    """Returns the closure of lids that nothing but the clock moves."""
    blinks = Blinks(rate, fps, np.random.default_rng(seed))
    return np.array([blinks.step(n) for n in range(count)])


LONG = idle(7500, 25.0, LifeOptions(seed=5))
"""Five minutes."""


def test_blinks_are_as_frequent_as_asked() -> None:
    for rate in (10.0, 25.0):
        assert len(onsets(lids(rate, 18000, 30.0, 1))) / 10 == pytest.approx(0.85 * rate, rel=0.2)
    # Gaze shifts add the rest, and leave the rate as asked.
    assert len(onsets(column(LONG, "eyeBlinkLeft"))) / 5 == pytest.approx(17, rel=0.25)
    assert column(idle(3000, 30.0, LifeOptions(blinks=0.0)), "eyeBlinkRight").max() == 0


def test_pauses_between_blinks_are_log_normal() -> None:
    # Without gaze shifts the clock alone decides. Its law: sigma .6 of the logarithm.
    pauses = np.diff(onsets(lids(17.0, 36000, 30.0, 2))) / 30
    logs = np.log(pauses)
    assert logs.std() == pytest.approx(0.6, abs=0.08)
    assert abs(((logs - logs.mean()) ** 3).mean() / logs.std() ** 3) < 0.4  # symmetric in the logarithm


def test_lids_close_quickly_and_open_slowly() -> None:
    closure = lids(17.0, 40000, 500.0, 1)
    for start in onsets(closure, 0.0):
        one = closure[start : start + 250]
        top = one.max()
        met = int(np.argmax(one >= top - 1e-9))
        parted = int(np.flatnonzero(one >= top - 1e-9)[-1])
        up = int(np.flatnonzero(one > 0)[-1])
        assert 0.055 <= met / 500 <= 0.105
        assert 0.145 <= (up - parted) / 500 <= 0.255
        assert top == pytest.approx(1.0) or 0.5 < top < 0.9


@pytest.mark.parametrize("fps", [24.0, 25.0, 60.0])
def test_every_full_blink_is_seen_closed(fps: float) -> None:
    closure = lids(17.0, int(240 * fps), fps, 3)
    tops = [closure[i : i + int(0.25 * fps)].max() for i in onsets(closure, 0.3)]
    full = [top for top in tops if top > 0.9]
    assert len(full) / len(tops) > 0.8
    assert min(full) == pytest.approx(1.0)


def test_phrase_ends_get_blinks() -> None:
    cues = [4.0 * i + 2 for i in range(80)]
    blinks, given = Blinks(17.0, 30.0, np.random.default_rng(4)), {round(30 * c) for c in cues}
    closure = np.array([blinks.step(n, cues=int(n in given)) for n in range(9700)])
    times = onsets(closure, 0.2) / 30
    hit = np.mean([any(0 <= t - c < 0.4 for t in times) for c in cues])
    chance = np.mean([any(0 <= t - c < 0.4 for t in times) for c in np.array(cues) + 2])
    assert hit > 0.35
    assert chance < 0.25


def test_saccades_follow_the_main_sequence_and_both_eyes_agree() -> None:
    motion = idle(6000, 100.0, LifeOptions(6, head=0.0, breath=0.0, blinks=0.0, fixate=False, distance=1e4))
    angles = HEAD.gaze_angles(motion.pose.expression)  # type: ignore[attr-defined]
    yaw, pitch = np.degrees(angles[:, :, 1].numpy()), np.degrees(angles[:, :, 0].numpy())
    inside = np.abs(yaw).max(1) < 24  # beyond, each eye stops at what its weights can do
    assert np.abs(yaw[:, 0] - yaw[:, 1])[inside].max() < 0.1
    assert np.abs(pitch[:, 0] - pitch[:, 1]).max() < 0.01
    speed = np.hypot(np.diff(yaw[:, 0]), np.diff(pitch[:, 0]))
    moving = speed > 1e-4
    edges = np.flatnonzero(np.diff(np.concatenate([[0], moving.astype(int), [0]])))
    sizes, lengths = [], []
    for a, b in zip(edges[::2], edges[1::2], strict=True):
        sizes.append(math.hypot(yaw[b, 0] - yaw[a, 0], pitch[b, 0] - pitch[a, 0]))
        lengths.append((b - a) / 100)
    sizes, lengths = np.array(sizes), np.array(lengths)
    assert sizes.max() < 45 and np.median(sizes) < 5  # most are small
    assert np.abs(lengths - (0.025 + 0.0024 * sizes)).max() < 0.025  # to two frames
    away = np.hypot(yaw[:, 0], pitch[:, 0]) > 5
    assert 0.05 < away.mean() < 0.35


@pytest.mark.parametrize("target", [(0.0, 0.0), (12.0, 4.0), (-15.0, -6.0)])
def test_eyes_meet_at_the_target_while_the_head_turns(target: tuple[float, float]) -> None:
    turned = still(60)
    turned.pose.joints[:, 1, 1] = torch.linspace(-0.12, 0.12, 60)
    motion = enliven(turned, LifeOptions(gaze=0.0, blinks=0.0, breath=0.0, head=0.0, target=target, distance=0.7))
    eyes = HEAD.joint_transforms(torch.zeros(len(HEAD.identities)), motion.pose)[:, 2:4]
    yaw, pitch = (math.radians(x) for x in target)
    aim = 0.7 * torch.tensor([math.sin(yaw) * math.cos(pitch), -math.sin(pitch), math.cos(yaw) * math.cos(pitch)])
    rest = HEAD.rest_joints(torch.zeros(len(HEAD.identities)))[2:4]  # type: ignore[attr-defined]
    centre = geometry.apply(eyes, rest[:, None].expand(60, 2, 1, 3))[:, :, 0]
    wanted = torch.nn.functional.normalize(aim - centre, dim=-1)
    error = torch.rad2deg(torch.acos((wanted * eyes[..., :3, 2]).sum(-1).clamp(-1, 1)))
    assert error.max() < 1.5
    assert error.median() < 0.8


def test_eyes_go_where_they_are_told_when_they_are_told() -> None:
    off = LifeOptions(gaze=0.0, blinks=0.0, breath=0.0, head=0.0, distance=1e4)
    looks = replace(off, looks=((1.0, 15.0, 0.0), (2.0, -10.0, 8.0)))
    motion = idle(90, 30.0, looks)
    angles = np.degrees(HEAD.gaze_angles(motion.pose.expression)[:, 0].numpy())  # type: ignore[attr-defined]
    for n, yaw, pitch in ((29, 0, 0), (35, 15, 0), (59, 15, 0), (65, -10, 8)):
        assert angles[n, 1] == pytest.approx(yaw, abs=0.1) and angles[n, 0] == pytest.approx(pitch, abs=0.1)
    with pytest.raises(AvatarError, match="in order of time"):
        idle(5, 30.0, replace(off, looks=((2.0, 0.0, 0.0), (1.0, 0.0, 0.0))))


def test_a_head_at_rest_moves_little_and_slowly() -> None:
    turns = np.degrees(LONG.pose.joints[:, :2].sum(1).double().numpy())
    assert (turns.std(0) > 0.3).all() and (turns.std(0) < 2.5).all()
    spectrum = np.abs(np.fft.rfft(turns[:, 2] - turns[:, 2].mean())) ** 2  # roll has no glances in it
    frequency = np.fft.rfftfreq(len(turns), 1 / 25)
    assert spectrum[frequency > 2].sum() / spectrum.sum() < 1e-3


def test_breath_lifts_shoulders_fourteen_times_a_minute() -> None:
    rise = LONG.pose.root[:, 1, 3].double().numpy()
    assert rise.min() >= 0 and 0.0008 < rise.max() < 0.002
    breaths = len(onsets(rise, 0.0005))
    assert breaths / 5 == pytest.approx(14, rel=0.15)
    joints = HEAD.joints
    left, right = (LONG.pose.joints[:, joints.index(f"clavicle_{s}"), 2] for s in ("left", "right"))
    assert torch.equal(left, -right) and left.max() > 0


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(1, 97), min_size=1, max_size=6), st.integers(0, 1000))
def test_blocks_give_the_bits_of_the_whole(cuts: list[int], seed: int) -> None:
    total = sum(cuts)
    cues = [0.5 * i for i in range(total // 15)]
    options = LifeOptions(seed)
    whole = enliven(still(total), options, cues)
    life, parts, done = Life(30.0, options), [], 0
    for size in cuts:
        inside = [c for c in cues if done / 30 <= c < (done + size) / 30]
        parts.append(life(still(size), inside))
        done += size
    for name in ("expression", "joints", "root"):
        assert torch.equal(torch.cat([getattr(p.pose, name) for p in parts]), getattr(whole.pose, name))


def test_a_loop_has_no_seam() -> None:
    motion = idle(600, 25.0, LifeOptions(9, loop=12.0))
    pose = motion.pose
    for value in (pose.expression, pose.joints, pose.root):
        assert torch.equal(value[:300], value[300:])
    steps = pose.joints.diff(dim=0).abs().amax((1, 2))
    assert steps[299] <= steps.max() * 0.8 or steps[299] < 1e-3
    assert column(motion, "eyeBlinkLeft")[[0, 299, 300]].max() == 0
    assert len(onsets(column(motion, "eyeBlinkLeft")[:300])) >= 1


def test_seeds_differ_and_repeat() -> None:
    a, b, c = (idle(300, 30.0, LifeOptions(seed)).pose for seed in (1, 1, 2))
    assert torch.equal(a.expression, b.expression) and torch.equal(a.joints, b.joints)
    assert not torch.equal(a.expression, c.expression)


def test_life_leaves_what_the_motion_does() -> None:
    motion = still(200)
    motion.pose.expression[:, NAMES.index("jawOpen")] = 0.3
    motion.pose.expression[50:60, NAMES.index("eyeBlinkLeft")] = 1.0
    motion.pose.joints[:, 1] = torch.tensor([0.0, 0.6, 0.1])
    off = LifeOptions(blinks=0.0, gaze=0.0, head=0.0, breath=0.0, fixate=False)
    assert torch.equal(enliven(motion, off).pose.expression, motion.pose.expression)
    assert torch.allclose(enliven(motion, off).pose.joints, motion.pose.joints)
    lively = enliven(motion, replace(off, blinks=20.0))
    assert torch.equal(
        lively.pose.expression[:, NAMES.index("jawOpen")], motion.pose.expression[:, NAMES.index("jawOpen")]
    )
    assert (column(lively, "eyeBlinkLeft")[50:60] == 1).all()
    assert lively.pose.expression.min() >= 0 and lively.pose.expression.max() <= 1


@pytest.mark.parametrize(
    "options",
    [
        LifeOptions(blinks=-1.0),
        LifeOptions(away=1.0),
        LifeOptions(loop=0.5),
        LifeOptions(seed=-1),
        LifeOptions(gaze=float("nan")),
    ],
)
def test_options_out_of_range_are_refused(options: LifeOptions) -> None:
    with pytest.raises(AvatarError, match="life: "):
        idle(10, 30.0, options)


def test_a_motion_of_another_rate_is_refused() -> None:
    with pytest.raises(AvatarError, match="resample it"):
        Life(25.0)(still(5, 30.0))
