"""What is read off the landmark network's output."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from avatar3d.core import AvatarError
from avatar3d.heads import ARKIT
from avatar3d.track import embedding, reading

FOCAL = 1100.0


def degrees(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.degrees(Rotation.from_matrix(a.swapaxes(1, 2) @ b).magnitude())


@pytest.fixture(scope="module")
def portraits():
    """What the network sees of people whom the reader did not learn from."""
    from tools.portraits import seen

    return seen(24, seed=1000)


def test_portraits_of_other_people_are_read(portraits):
    stored = embedding.load()
    rotation, weights, trust = [], [], []
    for n in range(len(portraits.points)):  # each by itself: all are different people
        one = slice(n, n + 1)
        args = portraits.points[one], portraits.coefficients[one], 1 / portraits.focal[n]
        found = reading.read(reading.load(), stored, *args)
        rotation.append(found.rotation[0])
        weights.append(found.expression[0])
        trust.append(found.trust[0])
    assert min(trust) == 1
    assert degrees(np.stack(rotation), portraits.rotation).mean() < 2.5
    rough = reading.features(
        stored, portraits.points, portraits.coefficients, 1 / portraits.focal, reading.load().mean
    )[1]
    assert degrees(rough, portraits.rotation).mean() > 3.5  # what a similarity alone finds
    jaw = ARKIT.index("jawOpen")
    assert np.corrcoef(np.stack(weights)[:, jaw], portraits.weights[:, jaw])[0, 1] > 0.8
    assert np.stack(weights).min() >= 0 and np.stack(weights).max() <= 1


def test_a_tilted_picture_gives_a_tilted_head(portraits):
    stored, reader = embedding.load(), reading.load()
    few = portraits.points[:4], portraits.coefficients[:4]
    straight = reading.read(reader, stored, *few, 1 / FOCAL).rotation
    roll = Rotation.from_rotvec([0, 0, 0.1]).as_matrix()  # y up; pixels go down
    tilted = (few[0] * [1, -1, -1] @ roll.T) * [1, -1, -1]
    turned = reading.read(reader, stored, tilted, few[1], 1 / FOCAL).rotation
    assert degrees(turned, roll @ straight).max() < 1.0


def test_size_in_the_picture_changes_nothing_and_place_turns_with_the_ray(portraits):
    stored, reader = embedding.load(), reading.load()
    points, coefficients = portraits.points[:4], portraits.coefficients[:4]
    centred = points - points[:, :468].mean(1, keepdims=True) * [1, 1, 0]
    straight = reading.read(reader, stored, centred, coefficients, 1 / FOCAL)
    larger = reading.read(reader, stored, 2 * centred, coefficients, 1 / FOCAL)
    assert degrees(straight.rotation, larger.rotation).max() < 0.2
    assert np.allclose(straight.expression, larger.expression, atol=0.01)
    far = reading.read(reader, stored, centred + np.array([200.0, 0, 0]), coefficients, 1 / FOCAL)
    assert degrees(straight.rotation, far.rotation).max() < 3.0  # the same picture, seen on another ray


def test_landmarks_that_the_network_would_not_give_are_not_trusted(portraits):
    stored, reader = embedding.load(), reading.load()
    points, coefficients = portraits.points[:4].copy(), portraits.coefficients[:4]
    points[:, :468] += np.random.default_rng(0).normal(0, 8, (4, 468, 3))
    found = reading.read(reader, stored, points, coefficients, 1 / FOCAL)
    assert found.trust.max() == 0
    assert np.array_equal(found.expression, coefficients)


def test_an_older_file_is_refused(tmp_path):
    from safetensors.numpy import load_file, save_file

    older = {k: v for k, v in load_file(str(embedding.DATA)).items() if not k.startswith("reading")}
    save_file(older, str(tmp_path / "old.safetensors"))
    with pytest.raises(AvatarError, match="has no reading"):
        reading.load(tmp_path / "old.safetensors")
    assert replace(reading.load()).within.shape[1] == 55
