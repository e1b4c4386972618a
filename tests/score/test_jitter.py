"""Tremor: slow motion passes unnoticed, fast trembling counts in full."""

import numpy as np
import pytest

from avatar3d.score.jitter import stillest, tremor

TIME = np.arange(200) / 25.0


def wave(hertz: float) -> np.ndarray:
    return np.sqrt(2) * np.sin(2 * np.pi * hertz * TIME)[:, None]


def test_trembling_counts_in_full_and_slow_motion_not_at_all():
    assert tremor(wave(10.0), 25.0) == pytest.approx(1.0, rel=0.03)
    assert tremor(wave(1.0), 25.0) < 0.01
    assert tremor(3 * wave(1.0) + 0.5 * wave(10.0), 25.0) == pytest.approx(0.5, rel=0.05)


def test_the_stillest_stretch_is_where_nothing_moves():
    points = np.cumsum(np.ones((60, 4, 3)), axis=0)
    points[20:40] = points[20]
    part = stillest(points, 15)
    assert part.start >= 20 and part.stop <= 41


def test_a_clip_too_short_or_too_slow_is_refused():
    with pytest.raises(ValueError, match="16 frames"):
        tremor(np.zeros((10, 3)), 25.0)
    with pytest.raises(ValueError, match="12 a second"):
        tremor(np.zeros((40, 3)), 10.0)
