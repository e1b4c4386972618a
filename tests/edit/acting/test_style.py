"""The manner of performances, and blinks."""

import numpy as np
import pytest
import torch

from avatar3d.core import AvatarError, Motion, Pose
from avatar3d.edit.acting import blinks
from avatar3d.edit.acting.contacts import closed_at, in_order
from avatar3d.edit.acting.style import distance, style_of, styled
from avatar3d.heads.arkit import ARKIT
from avatar3d.heads.lips import lips


def performance(seed: int, lively: float = 1.0, crooked: float = 0.0, count: int = 450, fps: float = 30.0) -> Motion:
    """Returns somebody who talks, raises brows, nods, and smiles more on the left by `crooked`."""
    rng = np.random.default_rng(seed)
    t = np.arange(count) / fps
    weights = np.zeros((count, 52))

    def wave(low: float, high: float) -> np.ndarray:
        parts = [np.sin(2 * np.pi * rng.uniform(low, high) * t + rng.uniform(0, 6.28)) for _ in range(4)]
        return np.sum(parts, 0) / 4

    at = {n: i for i, n in enumerate(ARKIT)}
    weights[:, at["jawOpen"]] = 0.1 * (1 - np.cos(2 * np.pi * 2.5 * t)) * (0.6 + 0.4 * wave(0.2, 0.6))
    for name in ("browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekSquintLeft"):
        weights[:, at[name]] = 0.2 + 0.12 * lively * wave(0.1, 0.4) + 0.03 * lively * wave(1.5, 3)
    weights[:, at["mouthSmileLeft"]] = 0.1 + crooked + 0.05 * lively * wave(0.2, 0.5)
    weights[:, at["mouthSmileRight"]] = 0.1 + 0.05 * lively * wave(0.2, 0.5)
    joints = np.zeros((count, 6, 3))
    joints[:, 1, 0] = 0.03 * lively * wave(0.1, 0.4) + 0.03 * lively * wave(1.2, 2.5)
    joints[:, 1, 1] = 0.05 * lively * wave(0.1, 0.4)
    pose = Pose(
        torch.from_numpy(weights.clip(0, 1)).float(), torch.from_numpy(joints).float(), torch.eye(4).repeat(count, 1, 1)
    )
    return Motion(pose, fps, ARKIT)


def test_a_performance_comes_nearer_to_a_manner_the_stronger_it_is_taken() -> None:
    calm, lively = performance(0, 0.5), blinks.with_rate(performance(1, 1.6, crooked=0.25), 25.0)
    manner = style_of(lively)
    away = [distance(style_of(styled(calm, manner, x)), manner) for x in (0.0, 0.5, 1.0)]
    assert away[0] > away[1] > away[2] and away[2] < 0.5 * away[0]
    full = style_of(styled(calm, manner, 1.0))
    crooked = full.neutral["mouthSmileLeft"] - full.neutral["mouthSmileRight"]
    assert crooked == pytest.approx(0.25, abs=0.08)
    assert full.blinks == pytest.approx(manner.blinks, abs=4.1)
    assert full.nods > style_of(calm).nods


def test_speech_stays_readable() -> None:
    calm, manner = performance(0, 0.5), style_of(performance(1, 2.0, crooked=0.3))
    before, after = (lips().gap(in_order(m)) for m in (calm, styled(calm, manner, 1.0)))
    shut = before <= closed_at(before)
    assert shut.sum() > 10 and (after[shut] <= max(closed_at(before), 0.5) + 1e-5).all()
    assert np.corrcoef(before, after)[0, 1] > 0.9


def test_the_own_manner_changes_little_and_no_strength_nothing() -> None:
    motion = performance(0)
    own = style_of(motion)
    assert distance(own, own) == 0
    assert styled(motion, own, 0.0) is motion
    assert (styled(motion, own, 1.0).pose.expression - motion.pose.expression).abs().max() < 1e-4


def test_what_is_asked_is_checked() -> None:
    with pytest.raises(AvatarError, match="25"):
        style_of(performance(0, count=20))
    with pytest.raises(AvatarError, match="0 to 2"):
        styled(performance(0), style_of(performance(1)), 3.0)


@pytest.mark.parametrize("wanted", [0.0, 8.0, 20.0, 40.0])
def test_blinks_are_put_in_and_taken_out(wanted: float) -> None:
    for start in (0.0, 16.0):
        motion = blinks.with_rate(performance(0, count=1800), start, seed=1)
        assert blinks.rate(motion) == pytest.approx(start, abs=0.51)
        done = blinks.with_rate(motion, wanted, seed=2)
        assert blinks.rate(done) == pytest.approx(wanted, abs=0.51)
        assert np.abs(np.diff(blinks.closure(done))).max() < 0.75
        spans = blinks.blinks_of(done)
        assert all(0.1 < (b - a) / 30 < 0.45 and blinks.closure(done)[a : b + 1].max() == 1 for a, b in spans)


def test_the_same_seed_gives_the_same_blinks() -> None:
    motion = performance(0)
    one, two, other = (blinks.with_rate(motion, 20.0, seed=s).pose.expression for s in (3, 3, 4))
    assert one.equal(two) and not one.equal(other)
