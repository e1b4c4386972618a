"""Filters over time."""

import numpy as np
from scipy.spatial.transform import Rotation

from avatar3d.track.smooth import bridge, bridge_rotations, steady, steady_rotations


def test_jitter_goes_where_nothing_moves():
    noise = np.random.default_rng(0).normal(0, 0.05, (100, 3))
    out = steady(noise, 25.0)
    assert np.diff(out, 2, axis=0).std() < 0.1 * np.diff(noise, 2, axis=0).std()


def test_jumps_and_nods_stay():
    t = np.arange(60)
    jump = np.where(t < 30, 0.0, 20.0)[:, None]
    assert np.abs(steady(jump, 25.0) - jump).max() < 0.2
    nod = 15 * np.sin(2 * np.pi * t / 12)[:, None]  # two nods a second
    assert np.abs(steady(nod, 25.0) - nod).max() < 0.5


def test_short_curves_pass():
    short = np.array([[1.0], [5.0]])
    assert np.array_equal(steady(short, 25.0), short)


def test_steady_rotations_keep_a_turn_beyond_half_a_circle():
    turn = Rotation.from_rotvec(np.linspace(0, 6, 80)[:, None] * [0, 1, 0]).as_matrix()
    out, others = steady_rotations(turn, np.zeros((80, 1)), 25.0)
    error = Rotation.from_matrix(out.swapaxes(1, 2) @ turn).magnitude()
    assert error.max() < 0.01 and np.array_equal(others, np.zeros((80, 1)))


def test_bridges():
    seen = np.array([False, True, False, False, True])
    assert np.allclose(bridge(np.array([[1.0], [4.0]]), seen)[:, 0], [1, 1, 2, 3, 4])
    ends = Rotation.from_rotvec([[0, 0, 0], [0, 0, 0.9]]).as_matrix()
    angles = Rotation.from_matrix(bridge_rotations(ends, seen)).magnitude()
    assert np.allclose(angles, [0, 0, 0.3, 0.6, 0.9], atol=1e-9)
    assert np.allclose(bridge_rotations(ends[:1], np.array([False, True])), np.eye(3))
