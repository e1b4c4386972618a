"""Smoothing takes the jitter and leaves closures: planted p's and blinks keep their depth."""

import numpy as np
import pytest
import torch

from avatar3d import geometry, heads
from avatar3d.core import AvatarError, Motion, Pose
from avatar3d.heads.lips import lips
from avatar3d.motions.smooth import Smoother, SmoothOptions, closed_lips, smooth

NAMES = heads.load("anny").expressions
JAW, BLINK = NAMES.index("jawOpen"), NAMES.index("eyeBlinkLeft")
CLOSED = (20, 47, 75, 110)


def speaking(noise: float = 0.0, count: int = 140, fps: float = 25.0) -> Motion:
    """A mouth that opens and closes in three frames, over a slow swing of the jaw, with blinks."""
    t = np.arange(count)
    jaw = 0.25 + 0.08 * np.sin(2 * np.pi * t * 2.2 / fps)
    blink = np.zeros(count)
    for c in CLOSED:
        jaw[c - 1 : c + 2] *= (0.3, 0.0, 0.3)
        blink[c + 8 : c + 11] = (0.7, 1.0, 0.5)
    expression = np.zeros((count, 52))
    expression[:, JAW], expression[:, BLINK], expression[:, BLINK + 1] = jaw, blink, blink
    trembling = expression + noise * np.random.default_rng(0).standard_normal(expression.shape)
    keep = np.isin(t, CLOSED)
    trembling[keep] = expression[keep]
    pose = Pose(
        torch.from_numpy(trembling.clip(0, 1)).float(),
        torch.from_numpy(noise * np.random.default_rng(1).standard_normal((count, 6, 3))).float(),
        torch.eye(4).expand(count, 4, 4).clone(),
    )
    return Motion(pose, fps, NAMES)


def gaps(motion: Motion) -> np.ndarray:
    return lips().gap(motion.pose.expression.double().numpy())


def test_closures_keep_their_gap_where_plain_smoothing_opens_them() -> None:
    motion = speaking()
    kept, shaved = (gaps(smooth(motion, SmoothOptions(mouth=5.0, keep=keep))) for keep in (True, False))
    before = gaps(motion)
    at = list(CLOSED)
    assert np.abs(kept[at] - before[at]).max() < 0.1
    assert shaved[at].min() > 0.5  # the test can fail
    blink = smooth(motion).pose.expression[[c + 9 for c in CLOSED], BLINK]
    assert blink.min() > 0.98


def test_jitter_goes_and_the_rest_stays() -> None:
    clean, noisy = speaking(), speaking(0.03)
    out = smooth(noisy)
    free = np.ones(len(clean), bool)
    for c in CLOSED:
        free[c - 5 : c + 13] = False
    brow = NAMES.index("browInnerUp")
    jerk = [m.pose.expression[:, brow].diff(n=2).std() for m in (noisy, out)]
    assert jerk[1] < 0.25 * jerk[0]
    error = [(m.pose.expression - clean.pose.expression)[free, JAW].square().mean().sqrt() for m in (noisy, out)]
    assert error[1] < 0.9 * error[0]
    assert out.pose.joints.diff(dim=0).std() < 0.4 * noisy.pose.joints.diff(dim=0).std()


def test_root_rotations_stay_rotations_and_rest_stays_at_rest() -> None:
    motion = speaking()
    spin = torch.zeros(140, 3)
    spin[:, 1] = torch.linspace(-2.5, 2.5, 140)
    motion.pose.root[:, :3, :3] = geometry.rotvec_to_matrix(spin)
    root = smooth(motion).pose.root
    eye = root[:, :3, :3] @ root[:, :3, :3].mT
    assert torch.allclose(eye, torch.eye(3).expand(140, 3, 3), atol=1e-5)
    assert torch.allclose(root[30:110], motion.pose.root[30:110], atol=1e-3)
    off = SmoothOptions(0.0, 0.0, 0.0, 0.0)
    assert torch.equal(smooth(motion, off).pose.expression, motion.pose.expression)


def test_a_mouth_at_rest_is_not_a_row_of_closures() -> None:
    motion = speaking()
    motion.pose.expression[:60, JAW] = 0
    closed = closed_lips(motion)
    assert not closed[10:50].any() and closed[59] and closed[75]


def test_live_smoothing_lets_closures_through_and_blocks_do_not_matter() -> None:
    noisy = speaking(0.03)
    whole = Smoother(25.0)(noisy)
    assert np.abs(gaps(whole)[list(CLOSED)] - gaps(noisy)[list(CLOSED)]).max() < 0.1
    brow = NAMES.index("browInnerUp")
    assert whole.pose.expression[:, brow].diff().std() < 0.6 * noisy.pose.expression[:, brow].diff().std()
    live, parts = Smoother(25.0), []
    for a, b in ((0, 1), (1, 8), (8, 90), (90, 140)):
        parts.append(live(Motion(noisy.pose[a:b], 25.0, NAMES)).pose.expression)
    assert torch.equal(torch.cat(parts), whole.pose.expression)


def test_bad_frequencies_are_refused() -> None:
    with pytest.raises(AvatarError, match="mouth"):
        smooth(speaking(), SmoothOptions(mouth=-1.0))
