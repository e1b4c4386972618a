"""Eyes, keyframes, and paths between them."""

import math

import numpy as np
import pytest
import torch

from avatar3d.core import AvatarError
from avatar3d.render.path import view
from avatar3d.studio.cameras import Keyframe, added, between, facing, of_camera


def test_the_front_view_is_that_of_rendered_pictures() -> None:
    ours, theirs = facing(0, 0).camera(256, 256), view(0.0, 0.0, (256, 256))
    assert torch.allclose(ours.w2c, theirs.w2c, atol=1e-5)
    assert torch.allclose(ours.K, theirs.K, rtol=1e-5)


def test_an_eye_of_a_camera_gives_that_camera() -> None:
    camera = facing(33, 12).camera(320, 240)
    again = of_camera(camera).camera(320, 240)
    assert torch.allclose(again.w2c, camera.w2c, atol=1e-5) and torch.allclose(again.K, camera.K, rtol=1e-5)


def test_a_path_goes_through_its_keyframes_smoothly() -> None:
    keys = [Keyframe(facing(a, 0), t, {"jawOpen": v}) for a, t, v in ((0, 0.0, 0.0), (40, 2.0, 1.0), (-30, 3.0, 0.5))]
    for key in keys:
        here = between(keys, key.seconds)
        assert np.allclose(here.eye.position, key.eye.position, atol=1e-9)
        assert abs(np.dot(here.eye.wxyz, key.eye.wxyz)) == pytest.approx(1.0)
        assert here.values["jawOpen"] == pytest.approx(key.values["jawOpen"])
    way = np.array([between(keys, t).eye.position for t in np.linspace(0, 3, 301)])
    steps = np.linalg.norm(np.diff(way, axis=0), axis=1)
    assert steps.max() < 0.03 and np.abs(np.diff(steps)).max() < 0.004  # no jump, no kink
    assert between(keys, 99.0).eye == between(keys, 3.0).eye
    for t in np.linspace(0, 3, 31):
        assert math.isclose(np.linalg.norm(between(keys, t).eye.wxyz), 1.0, rel_tol=1e-9)


def test_keyframes_keep_their_order_and_replace_each_other() -> None:
    first, second = Keyframe(facing(0, 0), 2.0), Keyframe(facing(10, 0), 1.0)
    assert added(added((), first), second) == (second, first)
    other = Keyframe(facing(20, 0), 2.0)
    assert added((second, first), other) == (second, other)
    assert between([first], 5.0).eye.position == pytest.approx(first.eye.position)
    with pytest.raises(AvatarError, match="keyframes"):
        between([], 0.0)


def test_keyframes_survive_json_and_refuse_nonsense() -> None:
    key = Keyframe(facing(12, 3), 1.25, {"jawOpen": 0.5}, 7)
    assert Keyframe.from_json(key.to_json()) == key
    for broken in ({**key.to_json(), "seconds": float("nan")}, {**key.to_json(), "eye": {"fov": 1}}):
        with pytest.raises((ValueError, KeyError)):
            Keyframe.from_json(broken)
