"""The lips' gap on the mesh: what opens and closes it."""

import numpy as np
import pytest
import torch

from avatar3d import heads
from avatar3d.heads.arkit import ARKIT
from avatar3d.heads.lips import lips


def weights(**values: float) -> np.ndarray:
    row = np.zeros((1, 52))
    for name, value in values.items():
        row[0, ARKIT.index(name)] = value
    return row


def test_lips_touch_at_rest_and_open_with_the_jaw() -> None:
    measure = lips()
    gaps = measure.gap(np.concatenate([weights(jawOpen=x) for x in (0.0, 0.1, 0.2, 0.5)]))
    assert gaps[0] == pytest.approx(0, abs=1e-6)
    assert (np.diff(gaps) > 2).all() and gaps[-1] > 12


def test_what_closes_lips_closes_them() -> None:
    measure = lips()
    assert abs(measure.gap(weights(jawOpen=0.3, mouthClose=0.3))[0]) < 0.2
    assert measure.gap(weights(mouthPressLeft=0.5, mouthPressRight=0.5))[0] < -0.5
    assert measure.gap(weights(mouthFunnel=0.4))[0] > 2


def test_the_lower_lip_meets_the_teeth_when_the_mouth_is_nearly_closed() -> None:
    measure = lips()
    assert measure.over_teeth(weights(jawOpen=0.02))[0] > 0
    assert measure.over_teeth(weights(jawOpen=0.2))[0] < -2


def test_points_are_those_of_the_head() -> None:
    head, measure = heads.load("anny"), lips()
    row = weights(jawOpen=0.4, mouthSmileLeft=0.5)
    pose = head.neutral()  # type: ignore[attr-defined]
    pose.expression[:] = torch.from_numpy(row[0]).float()
    vertices = head.vertices(torch.zeros(len(head.identities)), pose)[head.regions["lips"] > 0.5]
    assert np.abs(measure.points(row)[0] - 1e3 * vertices.numpy()).max() < 1e-3
