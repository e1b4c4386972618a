"""Lips keep to bounds in millimetres."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from avatar3d.core import AvatarError, Motion, Pose
from avatar3d.edit.acting.contacts import bounds_of, closed_at, in_order, kept, with_weights
from avatar3d.heads.arkit import ARKIT
from avatar3d.heads.lips import lips

MEASURE = lips()


def motion(fps: float = 30.0, **curves: np.ndarray | float) -> Motion:
    """Returns a motion of 90 frames with the given weights; names without a side mean both."""
    weights = torch.zeros(90, len(ARKIT))
    for name, curve in curves.items():
        for column in [n for n in ARKIT if n in (name, name + "Left", name + "Right")]:
            weights[:, ARKIT.index(column)] = torch.as_tensor(curve, dtype=torch.float32)
    return Motion(Pose(weights, torch.zeros(90, 6, 3), torch.eye(4).repeat(90, 1, 1)), fps, ARKIT)


def babble() -> np.ndarray:
    """Returns a jaw that opens and closes twice a second."""
    return 0.1 * (1 - np.cos(2 * np.pi * 2 * np.arange(90) / 30))


def test_what_was_closed_stays_closed_and_what_was_open_may_open() -> None:
    before = motion(jawOpen=babble())
    after = motion(jawOpen=babble() + 0.2, mouthFunnel=0.2)
    gap = MEASURE.gap(in_order(before))
    shut = gap <= closed_at(gap)
    assert 5 < shut.sum() < 40
    assert (MEASURE.gap(in_order(after))[shut] > 2).all()
    held = MEASURE.gap(in_order(kept(after, bounds_of(before), before)))
    assert (held[shut] <= closed_at(gap) + 1e-5).all()
    assert held.max() > gap.max() + 1


def test_without_a_calm_motion_the_mouth_goes_to_rest() -> None:
    before = motion(jawOpen=babble())
    gap = MEASURE.gap(in_order(before))
    held = kept(motion(jawOpen=0.5, browInnerUp=0.7), bounds_of(before))
    shut = gap <= closed_at(gap)
    assert (MEASURE.gap(in_order(held))[shut] <= closed_at(gap) + 1e-5).all()
    assert (held.pose.expression[:, ARKIT.index("browInnerUp")] == torch.tensor(0.7)).all()


def test_open_vowels_are_not_pressed_shut() -> None:
    before = motion(jawOpen=babble())
    smiled = motion(jawOpen=babble(), mouthSmile=0.9)
    gap = MEASURE.gap(in_order(before))
    open_ = gap > 2 * closed_at(gap)
    lost = (gap - MEASURE.gap(in_order(smiled)))[open_]
    held = (gap - MEASURE.gap(in_order(kept(smiled, bounds_of(before), before))))[open_]
    assert lost.min() > 1.5 and held.max() < 0.05


def test_a_lip_on_the_teeth_stays_there() -> None:
    share = babble() / 0.2  # between f and a vowel, twice a second
    before = motion(jawOpen=0.06 + 0.2 * share, mouthRollLower=0.3, mouthUpperUp=0.36, mouthShrugUpper=0.2)
    meets = MEASURE.over_teeth(in_order(before)) > -0.5
    assert 5 < meets.sum() < 40
    after = motion(jawOpen=0.16 + 0.2 * share, mouthRollLower=0.3, mouthUpperUp=0.36, mouthShrugUpper=0.2)
    assert (MEASURE.over_teeth(in_order(after))[meets] < -0.5).all()
    assert (MEASURE.over_teeth(in_order(kept(after, bounds_of(before), before)))[meets] > -0.5).all()


def test_nothing_changes_where_nothing_breaks() -> None:
    before = motion(jawOpen=babble())
    after = motion(jawOpen=babble(), browInnerUp=0.4)
    assert kept(after, bounds_of(before), before).pose.expression.equal(after.pose.expression)


def test_the_correction_does_not_jump() -> None:
    """Bounds are continuous: corrected lips move no quicker than those of both motions together, and a little."""
    before = motion(jawOpen=babble())
    after = motion(jawOpen=babble() + 0.15)
    held = MEASURE.gap(in_order(kept(after, bounds_of(before), before)))
    gap = MEASURE.gap(in_order(before))
    assert np.abs(np.diff(held)).max() < 3.2 * np.abs(np.diff(gap)).max()


def test_a_mouth_at_rest_may_open() -> None:
    """Lips that are closed for long say nothing: surprise opens them."""
    still = motion()
    held = kept(motion(jawOpen=0.3), bounds_of(still), still)
    assert MEASURE.gap(in_order(held))[20:70].min() > 8


def test_columns_may_stand_in_any_order() -> None:
    before, after = motion(jawOpen=babble()), motion(jawOpen=babble() + 0.2)
    want = kept(after, bounds_of(before), before).pose.expression

    def turned(m: Motion) -> Motion:
        return replace(m, names=m.names[::-1], pose=replace(m.pose, expression=m.pose.expression.flip(1)))

    got = kept(turned(after), bounds_of(turned(before)), turned(before)).pose.expression
    assert got.flip(1).equal(want)


def test_weights_that_stay_keep_their_bits() -> None:
    given = motion(jawOpen=babble(), browInnerUp=0.1)
    weights = in_order(given).copy()
    weights[:, ARKIT.index("jawOpen")] += 0.1
    changed = with_weights(given, weights).pose.expression
    same = [i for i, n in enumerate(ARKIT) if n != "jawOpen"]
    assert changed[:, same].equal(given.pose.expression[:, same])
    assert not changed[:, ARKIT.index("jawOpen")].equal(given.pose.expression[:, ARKIT.index("jawOpen")])


def test_lengths_have_to_agree() -> None:
    with pytest.raises(AvatarError, match="frames"):
        kept(motion(), bounds_of(replace(motion(), pose=motion().pose[:10])))
