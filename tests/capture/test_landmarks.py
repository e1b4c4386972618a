"""Landmarks under known motions of the picture, on edges, among several faces; coefficients; no face."""

import cv2
import numpy as np
import pytest

from avatar3d.capture.landmarks import Box, Face, following, overlap
from avatar3d.capture.measure import Follower, Person


@pytest.fixture(scope="module")
def face(astronaut, landmarker) -> Face:
    return landmarker.find(astronaut)[0]


def _moved(image, face, degrees: float, scale: float, size: int = 512):
    """The picture turned and scaled about the face to the middle of a square, and where its landmarks go."""
    middle = face.landmarks[:, :2].mean(0).astype(float)
    matrix = cv2.getRotationMatrix2D(tuple(middle - 0.5), degrees, scale)  # OpenCV: pixel centres are whole numbers
    matrix[:, 2] += size / 2 - middle
    if scale < 1:  # average, as a camera would
        image = cv2.GaussianBlur(image, (0, 0), 0.4 / scale)
    moved = cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR)
    return moved, (face.landmarks[:, :2] - 0.5) @ matrix[:, :2].T + matrix[:, 2] + 0.5


def _error(found, truth) -> float:
    """Mean distance over the distance of the outer eye corners."""
    return float(np.linalg.norm(found - truth, axis=1).mean() / np.linalg.norm(truth[33] - truth[263]))


@pytest.mark.parametrize(
    ("degrees", "scale", "tolerance"),
    [(0, 1, 0.01), (0, 2.5, 0.015), (0, 0.5, 0.03), (-30, 1, 0.02), (45, 2, 0.02), (90, 1, 0.02), (180, 1, 0.02)],
)
def test_landmarks_move_with_the_picture(astronaut, landmarker, face, degrees, scale, tolerance):
    moved, truth = _moved(astronaut, face, degrees, scale)
    found = landmarker.find(moved)
    assert len(found) == 1 and found[0].score > 0.99
    assert _error(found[0].landmarks[:, :2], truth) < tolerance


@pytest.mark.parametrize(("side", "angle"), [(60.0, 0.0), (171.0, 0.6), (400.0, -2.0), (900.0, 0.3)])
def test_crop_maps_back_exactly(landmarker, monkeypatch, side, angle):
    """A network that answers with the centre of light must give the light's place, at any scale and angle."""

    def light(crop):
        weight = crop.sum(-1)
        rows, columns = np.mgrid[:256, :256] + 0.5
        centre = [(columns * weight).sum() / weight.sum(), (rows * weight).sum() / weight.sum(), 0]
        return {478 * 3: np.tile(centre, 478)[None], 1: np.ones((1, 1))}

    monkeypatch.setattr(landmarker, "_landmarks", light)
    rows, columns = np.mgrid[:600, :700] + 0.5
    blob = np.exp(-((columns - 331.3) ** 2 + (rows - 280.8) ** 2) / (2 * (side / 12) ** 2))
    image = np.repeat((blob[..., None] * 255 + 0.5).astype(np.uint8), 3, 2)
    points, _ = landmarker._measure(image, Box(320.0, 290.0, side, angle))
    assert points[0, :2] == pytest.approx([331.3, 280.8], abs=0.01 + side / 256 * 0.05)


def test_face_at_the_border(astronaut, landmarker, face):
    x, y = int(face.box.x - 0.35 * face.box.side), int(face.box.y - 0.45 * face.box.side)
    cut = np.ascontiguousarray(astronaut[y:, x:])  # through the temple and the forehead
    found = landmarker.find(cut)[0]
    assert _error(found.landmarks[:, :2] + [x, y], face.landmarks[:, :2]) < 0.06


def test_a_box_from_the_frame_before_is_enough(astronaut, landmarker, face):
    shifted, truth = _moved(astronaut, face, 4, 1.03)
    start = following(face)
    offset = truth.mean(0) - face.landmarks[:, :2].mean(0) + 6
    found = landmarker.measure(shifted, Box(start.x + offset[0], start.y + offset[1], start.side, start.angle))
    assert _error(found.landmarks[:, :2], truth) < 0.02


def test_coefficients_of_a_smile(face):
    from avatar3d.heads.arkit import ARKIT

    value = dict(zip(ARKIT, face.blendshapes, strict=True))
    assert value["mouthSmileLeft"] > 0.6 and value["mouthSmileRight"] > 0.6
    assert value["mouthFrownLeft"] < 0.1 and value["eyeBlinkLeft"] < 0.3 and value["tongueOut"] == 0
    assert face.blendshapes.min() >= 0 and face.blendshapes.max() <= 1


def test_depth_points_away_from_the_camera(face):
    nose, temple = 1, 234
    assert face.landmarks[nose, 2] < face.landmarks[temple, 2] - 0.2 * face.box.side


def test_no_face(landmarker):
    noise = np.random.default_rng(0).integers(0, 255, (256, 256, 3), dtype=np.uint8)
    assert landmarker.find(np.full((200, 300, 3), 128, np.uint8)) == []
    assert landmarker.find(noise) == []


def test_several_faces_largest_first(astronaut, landmarker, face):
    large, _ = _moved(astronaut, face, 0, 1.6, 320)
    small, _ = _moved(astronaut, face, 0, 0.9, 320)
    found = landmarker.find(np.hstack([small, large]))
    assert len(found) == 2
    assert found[0].box.x > 320 > found[1].box.x and found[0].box.side > found[1].box.side


def test_follower_stays_with_its_person_and_comes_back(astronaut, landmarker, face):
    large, _ = _moved(astronaut, face, 0, 1.6, 320)
    small, _ = _moved(astronaut, face, 0, 1.2, 320)
    both, blank = np.hstack([small, large]), np.full((320, 640, 3), 90, np.uint8)
    right = landmarker.find(both)[0].box
    follower = Follower(landmarker, Person(right, (0.0, 0.0, 640.0, 320.0)))
    seen = [follower(image) for image in (both, both, blank, blank, both)]
    assert seen[2] is None and seen[3] is None
    assert all(seen[i] is not None and seen[i].box.x > 320 for i in (0, 1, 4))


def test_overlap():
    a = Box(10.0, 10.0, 4.0)
    assert overlap(a, a) == 1 and overlap(a, Box(20.0, 10.0, 4.0)) == 0
    assert overlap(a, Box(12.0, 10.0, 4.0)) == pytest.approx(8 / 24)
