"""Scores of held-out frames: what counts where, and what is written."""

from pathlib import Path

import numpy as np
import pytest

from avatar3d.core import AvatarError
from avatar3d.score import fit as fit_score
from avatar3d.score import score_frames
from avatar3d.score.fit import Truth, head_box, hull_mask


@pytest.fixture(autouse=True)
def no_lpips(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests are not about LPIPS; without it nothing is fetched."""

    def refuse(a, b):
        raise AvatarError("no weights")

    monkeypatch.setattr(fit_score, "lpips", refuse)


def disc(size: int = 120) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns a frame with a bright disc on a dark ground, the disc's matte, and landmarks around its middle."""
    y, x = np.mgrid[:size, :size] + 0.5
    inside = np.hypot(x - size / 2, y - size / 2) < 45
    frame = np.where(inside[..., None], np.array([200, 150, 100]), np.array([20, 30, 40])).astype(np.uint8)
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    points = np.stack([size / 2 + 25 * np.cos(angle), size / 2 + 25 * np.sin(angle), 0 * angle], axis=-1)
    return frame, (inside * 255).astype(np.uint8), points


def test_a_perfect_render_scores_full_marks() -> None:
    frame, matte, points = disc()
    truth = Truth(frame, matte, points)
    score = score_frames([(truth, truth.on_white)] * 2, seconds={"fit": 1.0})
    assert (score.psnr, score.ssim, score.frames) == (100, pytest.approx(1), 2)
    assert score.head["psnr"] == 100 and score.face["psnr"] == 100
    assert score.lpips is None and "no weights" in score.notes[0]
    assert score.as_json()["seconds"] == {"fit": 1.0}


def test_the_face_needs_no_matte() -> None:
    """A matte that calls the face background turns the truth white; the face score is not fooled by a white render."""
    frame, matte, points = disc()
    score = score_frames([(Truth(frame, np.zeros_like(matte), points), np.full_like(frame, 255))])
    assert score.psnr == 100
    assert score.face["psnr"] is not None and score.face["psnr"] < 12


def test_an_error_outside_the_hull_does_not_touch_the_face() -> None:
    frame, matte, points = disc()
    truth = Truth(frame, matte, points)
    render = truth.on_white.copy()
    render[:30] = 0
    score = score_frames([(truth, render)])
    assert score.face["psnr"] == 100 and score.face["ssim"] == pytest.approx(1)
    assert score.psnr < 15


def test_frames_without_a_face_count_for_the_whole_frame_only() -> None:
    frame, matte, points = disc()
    lost = Truth(frame, matte, np.full_like(points, np.nan))
    score = score_frames([(lost, lost.on_white)])
    assert score.frames == 1 and score.face["psnr"] is None and "no face in 1 of 1" in score.notes[-1]


def test_hull_holds_the_pixels_inside_a_square() -> None:
    mask = hull_mask(np.array([[10.0, 20.0], [30.0, 20.0], [30.0, 50.0], [10.0, 50.0], [15.0, 30.0]]), 64, 64)
    expected = np.zeros((64, 64), bool)
    expected[20:50, 10:30] = True
    assert (mask == expected).all()


def test_head_box_stays_in_the_frame() -> None:
    rows, columns = head_box(np.array([[-20.0, 5.0], [50.0, 60.0]]), 64, 48)
    assert (rows, columns) == (slice(0, 64), slice(0, 48))


def test_dump_writes_three_pictures_a_frame(tmp_path: Path) -> None:
    frame, matte, points = disc()
    truth = Truth(frame, matte, points)
    score_frames([(truth, truth.on_white)] * 2, dump=tmp_path / "new")
    names = sorted(p.name for p in (tmp_path / "new").iterdir())
    assert names == [f"{i:05d}_{kind}.png" for i in range(2) for kind in ("matte", "render", "truth")]


def test_wrong_input_is_said() -> None:
    frame, matte, points = disc()
    with pytest.raises(AvatarError, match="no held-out frames"):
        score_frames([])
    with pytest.raises(AvatarError, match="render of"):
        score_frames([(Truth(frame, matte, points), frame[:-2])])
