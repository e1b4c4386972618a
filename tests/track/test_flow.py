"""Motion of the shoulders: what is lost for a moment is bridged."""

import numpy as np
import pytest

from avatar3d.track.flow import Flow


def _moving(sure: list[bool]) -> Flow:
    t = len(sure)
    x = np.arange(t, dtype=float)
    known = np.array(sure)
    shift = np.stack([np.where(known, 3 * x, 0.0), np.where(known, -x, 0.0)], 1)
    return Flow(np.repeat(np.eye(2)[None], t, 0), shift, known)


def test_short_gaps_are_filled_linearly() -> None:
    flow = _moving([True, True, False, False, True, True]).bridged(4)
    assert flow.sure.all()
    np.testing.assert_allclose(flow.shift[:, 0], 3 * np.arange(6))
    np.testing.assert_allclose(flow.shift[:, 1], -np.arange(6))


def test_long_gaps_stay_unsure() -> None:
    flow = _moving([True] * 3 + [False] * 9 + [True]).bridged(4)
    assert flow.sure.tolist() == [True] * 3 + [False] * 9 + [True]


@pytest.mark.parametrize("end", ["first", "last"])
def test_ends_are_held_for_half_the_gap(end: str) -> None:
    sure = [False, False, False, True, True, True]
    flow = _moving(sure if end == "first" else sure[::-1]).bridged(4)
    held = flow.sure if end == "first" else flow.sure[::-1]
    assert held.tolist() == [False, True, True, True, True, True]


def test_nothing_sure_is_left_alone() -> None:
    flow = _moving([False, False])
    assert flow.bridged(4) is flow
