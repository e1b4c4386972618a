"""The calibrated landmarks that ship with the default head."""

from dataclasses import replace

import numpy as np
import torch

from avatar3d import heads
from avatar3d.core import Pose
from avatar3d.heads import ARKIT
from avatar3d.track.embedding import POINTS, SKIN, closest, fingerprint, load, on, place, surface


def rest() -> np.ndarray:
    head = heads.load("anny")
    pose = Pose(torch.zeros(52), torch.zeros(len(head.joints), 3), torch.eye(4))
    return head.vertices(torch.zeros(len(head.identities)), pose).double().numpy()


def test_calibration_belongs_to_the_shipped_head():
    head = heads.load("anny")
    assert load().topology == fingerprint(head), "the head changed: run python -m tools.calibrate_landmarks"
    moved = place(rest(), head.faces.numpy(), load()) - load().point
    assert np.abs(moved).max() < 1e-3, "the head's shape changed: run python -m tools.calibrate_landmarks"


def test_landmarks_lie_where_a_face_has_them():
    stored, head = load(), heads.load("anny")
    assert stored.point.shape == (POINTS, 3)
    assert np.allclose(stored.bary.sum(1), 1, atol=1e-5) and stored.bary.min() >= 0
    right, left = stored.point[468], stored.point[473]
    assert right[0] < -0.025 and left[0] > 0.025  # +x is the head's left
    assert abs(right[1]) < 0.004 and abs(left[1]) < 0.004  # head space begins between the eyes
    assert stored.point[152, 1] < stored.point[14, 1] < stored.point[1, 1] < stored.point[168, 1] < stored.point[10, 1]
    assert stored.point[1, 2] == np.max(stored.point[:SKIN, 2]) or stored.point[4, 2] == np.max(stored.point[:SKIN, 2])
    lips = surface(head, stored).expression[ARKIT.index("jawOpen")]
    assert -lips[14, 1] > 0.015 and abs(lips[13, 1]) < 0.008  # each lip's landmarks are on that lip


def test_response_is_nearly_what_geometry_says():
    stored, head = load(), heads.load("anny")
    geometry = surface(head, stored).expression[:, :SKIN, :2]
    for name in ("jawOpen", "eyeBlinkLeft", "mouthSmileLeft", "browInnerUp"):
        a, b = geometry[ARKIT.index(name)].ravel(), stored.response[ARKIT.index(name), :SKIN].ravel()
        assert np.corrcoef(a, b)[0, 1] > 0.6
        assert 0.1 < (a @ b) / (a @ a) < 1.3


def test_landmarks_move_to_the_nearest_points_of_other_triangles(caplog):
    head = heads.load("anny")
    turned = replace(head, faces=head.faces[:, [1, 2, 0]].flip(0), uv=head.uv.flip(0))
    moved = on(turned)
    assert "run tools/calibrate_landmarks.py" in caplog.text
    points = place(rest(), turned.faces.numpy(), moved)
    assert np.linalg.norm(points - load().point, axis=1).max() < 1e-3


def test_closest_point_of_a_triangle():
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [5, 5, 5]])
    face, bary = closest(vertices, np.array([[0, 1, 3], [0, 1, 2]]), np.array([0.25, 0.25, -0.3]))
    assert face == 1
    assert np.allclose(bary, [0.5, 0.25, 0.25])
