"""Gain, offset, smoothing and clamp of weights."""

import numpy as np
import pytest
import torch

from avatar3d.core import AvatarError, Motion, Pose
from avatar3d.edit.acting.adjust import Adjustment, adjusted, names_of, recentred
from avatar3d.edit.acting.contacts import closed_at, in_order
from avatar3d.heads.arkit import ARKIT
from avatar3d.heads.lips import lips


def noisy(count: int = 100) -> Motion:
    make = torch.Generator().manual_seed(0)
    weights = 0.3 + 0.2 * torch.rand(count, 52, generator=make)
    return Motion(
        Pose(weights, 0.1 * torch.randn(count, 6, 3, generator=make), torch.eye(4).repeat(count, 1, 1)), 30.0, ARKIT
    )


def column(motion: Motion, name: str) -> np.ndarray:
    return motion.pose.expression[:, ARKIT.index(name)].double().numpy()


def test_names_mean_sides_regions_and_units() -> None:
    assert names_of("mouthSmileLeft") == ("mouthSmileLeft",)
    assert set(names_of("brows")) == {n for n in ARKIT if n.startswith("brow")}
    assert names_of("AU4") == ("browDownLeft", "browDownRight")
    with pytest.raises(AvatarError, match="mouthSmile"):
        names_of("mouthSmil")


def test_gain_offset_and_clamp_follow_each_other() -> None:
    given = noisy()
    done = adjusted(given, {"browDown": Adjustment(gain=2.0, offset=-0.5, low=0.1, high=0.4)})
    want = (2 * column(given, "browDownLeft") - 0.5).clip(0.1, 0.4)
    np.testing.assert_allclose(column(done, "browDownLeft"), want, atol=1e-6)
    others = [i for i, n in enumerate(ARKIT) if not n.startswith("browDown")]
    assert done.pose.expression[:, others].equal(given.pose.expression[:, others])


def test_smoothing_keeps_what_is_slow() -> None:
    given = noisy(300)
    t = np.arange(300) / 30
    slow = 0.4 + 0.2 * np.sin(2 * np.pi * 0.3 * t)
    at = ARKIT.index("browInnerUp")
    given.pose.expression[:, at] = torch.from_numpy(slow + 0.05 * np.sin(2 * np.pi * 9 * t)).float()
    done = column(adjusted(given, {"browInnerUp": Adjustment(smooth=2.0)}), "browInnerUp")
    assert np.abs(done - slow)[20:-20].max() < 0.01


def test_lips_that_met_still_meet() -> None:
    given = noisy(90)
    given.pose.expression.zero_()
    given.pose.expression[:, ARKIT.index("jawOpen")] = torch.from_numpy(
        0.1 * (1 - np.cos(2 * np.pi * 2 * np.arange(90) / 30))
    )
    gap = lips().gap(in_order(given))
    shut = gap <= closed_at(gap)
    change = {"jaw": Adjustment(gain=1.5, offset=0.1)}
    assert (lips().gap(in_order(adjusted(given, change)))[shut] <= closed_at(gap) + 1e-5).all()
    assert (lips().gap(in_order(adjusted(given, change, contacts=False)))[shut] > 3).all()


def test_somebody_elses_neutral_is_taken_out() -> None:
    given = noisy(100)
    calm = given.pose.expression.clone()
    calm[:] = 0.2
    calm[50:60] = 0.6
    given.pose.expression[:] = calm
    done = recentred(given).pose.expression
    assert done[:40].abs().max() < 1e-6 and (done[52:58] - 0.4).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (Adjustment(gain=9), "gain"),
        (Adjustment(offset=2), "offset"),
        (Adjustment(low=0.5, high=0.2), "lower"),
        (Adjustment(smooth=-1), "smooth"),
        (Adjustment(high=float("nan")), "high"),
    ],
)
def test_ranges_are_told(change: Adjustment, said: str) -> None:
    with pytest.raises(AvatarError, match=said):
        adjusted(noisy(), {"jawOpen": change})
