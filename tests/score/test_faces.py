"""Mouths in landmarks: neither place, size nor roll of the face counts, planted distances and blinks are found."""

import math

import numpy as np
import pytest

from avatar3d.core import AvatarError
from avatar3d.score.faces import landmark_distance, mouth_of_landmarks
from avatar3d.score.lips import compare_mouths, score_mouth
from avatar3d.speech.phones import Phone, PhoneTrack

LIPS = [*(61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)]
LOWER = [14, 87, 317, 17, 84, 314]


def face(opening: np.ndarray, lids: np.ndarray | None = None) -> np.ndarray:
    """A schematic face of 100 pixels between the eyes' outer corners, whose lower lip follows `opening` (pixels)."""
    rng = np.random.default_rng(0)
    one = rng.uniform(-60, 60, (478, 2))
    one[[33, 133, 362, 263]] = [[-50, 0], [-20, 0], [20, 0], [50, 0]]
    for a, b, x in ((13, 14, 0), (82, 87, -6), (312, 317, 6)):
        one[a] = one[b] = [x, 60]
    frames = np.tile(one, (len(opening), 1, 1))
    for upper, lower, x in ((160, 144, -40), (158, 153, -30), (385, 380, 30), (387, 373, 40)):
        shut = np.zeros(len(opening)) if lids is None else lids
        frames[:, upper] = np.stack([np.full(len(opening), x), -6 * (1 - 0.67 * shut)], -1)
        frames[:, lower] = np.stack([np.full(len(opening), x), 6 * (1 - 0.67 * shut)], -1)
    frames[:, LOWER, 1] += opening[:, None]
    return np.concatenate([frames, np.zeros((len(opening), 478, 1))], -1)


def moved(frames: np.ndarray, scale: float, roll: float, by: tuple[float, float]) -> np.ndarray:
    turn = scale * np.array([[math.cos(roll), -math.sin(roll)], [math.sin(roll), math.cos(roll)]])
    out = frames.copy()
    out[..., :2] = frames[..., :2] @ turn.T + np.array(by)
    return out


SPEECH = 12 * (0.5 + 0.5 * np.sin(np.linspace(0, 60, 400) + 2 * np.sin(np.linspace(0, 23, 400))))


def test_opening_is_a_share_of_the_face_wherever_it_is() -> None:
    frames = face(SPEECH)
    a, b = mouth_of_landmarks(frames, 25.0), mouth_of_landmarks(moved(frames, 2.3, 0.4, (300.0, 80.0)), 25.0)
    assert np.allclose(a.opening, SPEECH / 100, atol=1e-6)
    assert np.allclose(a.opening, b.opening, atol=1e-6)
    assert landmark_distance(moved(frames, 0.7, -0.3, (9.0, 5.0)), 25.0, frames, 25.0) < 1e-6


def test_planted_distances_are_found() -> None:
    frames, other = face(SPEECH), face(SPEECH)
    other[:, LIPS, 0] += 3.0  # half of the 40 points move by 3 % of the face
    assert landmark_distance(other, 25.0, frames, 25.0) == pytest.approx(1.5, rel=1e-3)
    assert landmark_distance(frames[::2], 12.5, frames, 25.0) < 1e-6  # paired by time


def test_offset_and_correlation_between_videos() -> None:
    a, b = mouth_of_landmarks(face(np.roll(SPEECH, 4)), 25.0), mouth_of_landmarks(face(SPEECH), 25.0)
    found = compare_mouths(a, b)
    assert found["offset_ms"] == pytest.approx(160, abs=4)
    same = compare_mouths(b, b)
    assert same["opening_correlation"] == pytest.approx(1)


def test_blinks_and_jitter_in_landmarks() -> None:
    lids = np.zeros(400)
    for start in (40, 150, 260):
        lids[start : start + 5] = (0.5, 1, 1, 0.7, 0.3)
    score = score_mouth(mouth_of_landmarks(face(np.full(400, 5.0), lids), 25.0))
    assert score["blink_rate"] == pytest.approx(3 / 16 * 60)
    noisy = face(np.full(400, 5.0))
    noisy[..., :2] += 0.4 * np.random.default_rng(1).standard_normal((400, 478, 2))
    found = score_mouth(mouth_of_landmarks(noisy, 25.0))["jitter"]
    assert found == pytest.approx(0.004, rel=0.15)


def test_closures_are_seen_in_landmarks_but_contact_is_not() -> None:
    phones = tuple(Phone("m" if i % 2 else "a", 0.4 * i + 0.5, 0.4 * i + 0.9) for i in range(30))
    track = PhoneTrack(16.0, phones)
    times = np.arange(400) / 25
    opening = np.full(400, 2.0)
    for p in phones:
        opening[(times >= p.start) & (times < p.end)] = 2.0 if p.phone == "m" else 12.0
    score = score_mouth(mouth_of_landmarks(face(opening), 25.0), track)
    assert score["closure_recall"] == 1 and score["closure_precision"] == 1
    assert score["labiodental_contact"] is None and any("cannot be seen" in note for note in score.notes)


def test_frames_without_a_face_are_bridged() -> None:
    frames = face(SPEECH)
    frames[100:103] = np.nan
    assert np.isfinite(mouth_of_landmarks(frames, 25.0).opening).all()
    with pytest.raises(AvatarError, match="no frame shows a face"):
        mouth_of_landmarks(np.full((5, 478, 3), np.nan), 25.0)
