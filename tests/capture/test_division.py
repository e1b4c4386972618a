"""What is fitted to and what is kept back."""

from pathlib import Path

import numpy as np
import pytest

from avatar3d.capture import divide, select
from avatar3d.core import AvatarError, Clip


def clip(steps: int, views: int = 1, held: tuple[int, ...] = ()) -> Clip:
    """Returns a clip of some views of some moments; `held` are the views that it sets aside."""
    count = steps * views
    view = np.tile(np.arange(views), steps)
    return Clip(
        source=Path("made"),
        width=64,
        height=64,
        fps=25.0,
        frames=[np.zeros((64, 64, 3), np.uint8)] * count,
        times=None if views == 1 else np.repeat(np.arange(steps), views),
        held=np.isin(view, held) if held else None,
    )


def test_of_a_video_the_end_is_kept_back() -> None:
    found = divide(clip(10), 0.2)
    assert found.train == list(range(8)) and found.held == [8, 9] and found.steps == 8
    assert divide(clip(10), 0.0).held == [] and divide(clip(1), 0.5).train == [0]


def test_of_several_views_the_last_moments_are_kept_back() -> None:
    found = divide(clip(5, 3), 0.4)
    assert found.train == list(range(9)) and found.held == list(range(9, 15)) and found.steps == 3


def test_views_set_aside_are_scored_in_moments_that_were_fitted() -> None:
    found = divide(clip(4, 3, held=(2,)), 0.0)
    assert found.train == [0, 1, 3, 4, 6, 7, 9, 10] and found.held == [2, 5, 8, 11]


def test_of_moments_kept_back_only_the_fitted_cameras_are_scored() -> None:
    found = divide(clip(4, 3, held=(2,)), 0.5)
    assert found.train == [0, 1, 3, 4] and found.held == [6, 7, 9, 10]


def test_of_one_moment_every_nth_camera_is_kept_back() -> None:
    found = divide(clip(1, 10), 0.2)
    assert found.held == [2, 7] and set(found.train) == set(range(10)) - {2, 7} and found.steps == 1


def test_nothing_to_fit_to_is_said() -> None:
    with pytest.raises(AvatarError, match="set aside"):
        divide(clip(2, 2, held=(0, 1)), 0.0)
    with pytest.raises(AvatarError, match="hold-out"):
        divide(clip(4), 0.95)


def test_selected_moments_are_counted_anew() -> None:
    part = select(clip(4, 3, held=(2,)), [3, 5, 9])
    assert part.times is not None and part.times.tolist() == [0, 0, 1]
    assert part.held is not None and part.held.tolist() == [False, True, False]
