"""The person's outline: edges against a known truth, colours at the edge, steadiness, the still backdrop."""

import cv2
import numpy as np
import pytest

from avatar3d.capture import matte
from avatar3d.capture.backdrop import Backdrop, find_backdrop
from avatar3d.capture.segment import Segmenter


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter()


@pytest.fixture(scope="module")
def scene():
    """A rough-edged blob before textured wood: image, true matte, a coarse matte like the network's, both colours."""
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[:192, :192]
    angle = np.arctan2(rows - 110, columns - 96)
    radius = 55 + 4 * np.sin(11 * angle) + 3 * np.sin(23 * angle + 1)
    inside = np.clip(radius - np.hypot(rows - 110, columns - 96) + 0.5, 0, 1).astype(np.float32)
    grain = cv2.GaussianBlur(rng.normal(0, 1, (192, 192)).astype(np.float32), (0, 0), 2) * 0.15
    back = np.float32([0.75, 0.5, 0.25]) + grain[..., None]
    front = np.float32([0.15, 0.1, 0.12]) + rng.normal(0, 0.01, (192, 192, 3)).astype(np.float32)
    image = inside[..., None] * front + (1 - inside[..., None]) * back
    smooth = cv2.GaussianBlur((55 - np.hypot(rows - 110, columns - 96) > 0).astype(np.float32), (0, 0), 3)
    return np.clip(image, 0, 1).astype(np.float32), inside, smooth, front, np.clip(back, 0, 1).astype(np.float32)


def test_network_finds_the_person(astronaut, segmenter):
    alpha = segmenter(astronaut)
    assert alpha.shape == (512, 512) and alpha.dtype == np.float32 and alpha.min() >= 0 and alpha.max() <= 1
    assert alpha[90:150, 195:250].min() > 0.95, "the face"
    assert alpha[:100, 330:].max() < 0.1, "the wall"


def test_last_layer_outside_the_graph_matches_its_definition(segmenter):
    """A 2x2 transposed convolution of stride 2: each input pixel writes its own 2x2 block."""
    features = np.random.default_rng(0).normal(size=(1, 4, 6, segmenter._kernel.shape[-1])).astype(np.float32)
    flat = features.reshape(-1, features.shape[-1]) @ segmenter._kernel.reshape(4, -1).T + segmenter._bias
    got = flat.reshape(4, 6, 2, 2).transpose(0, 2, 1, 3).reshape(8, 12)
    for y in range(8):
        for x in range(12):
            wanted = features[0, y // 2, x // 2] @ segmenter._kernel[0, y % 2, x % 2] + segmenter._bias[0]
            assert got[y, x] == pytest.approx(wanted, abs=1e-4)


def test_refining_brings_the_edge_to_the_pictures(scene):
    image, truth, rough, *_ = scene
    band = matte.trimap(truth, 10) == 128
    before, after = (np.abs(x - truth)[band].mean() for x in (rough, matte.refine(image, rough)))
    assert after < 0.5 * before and after < 0.04


def test_sure_pixels_stay_sure(scene):
    image, _, rough, *_ = scene
    refined, sure = matte.refine(image, rough), matte.trimap(rough, 9)
    assert (refined[sure == 255] == 1).all() and (refined[sure == 0] == 0).all()
    assert set(np.unique(sure)) == {0, 128, 255}


def test_filter_reproduces_a_matte_that_is_linear_in_colour():
    rng = np.random.default_rng(1)
    image = cv2.GaussianBlur(rng.random((96, 128, 3), dtype=np.float32), (0, 0), 6)
    image = (image - image.min()) / np.ptp(image)
    alpha = np.clip(image @ np.float32([0.2, 0.5, 0.3]), 0, 1)
    assert np.abs(matte._Guide(image, 8).filter(alpha) - alpha)[8:-8, 8:-8].max() < 0.02


def test_foreground_loses_the_old_background(scene):
    image, truth, _, front, _ = scene
    soft = (truth > 0.2) & (truth < 0.9)
    before, after = (np.abs(x - front)[soft].mean() for x in (image, matte.foreground(image, truth)))
    assert after < 0.3 * before


def test_steady_smooths_what_stands_still_and_nothing_else(scene):
    image, truth, *_ = scene
    noise = np.random.default_rng(0).uniform(-0.2, 0.2, truth.shape).astype(np.float32)
    other = np.clip(truth + noise * (matte.trimap(truth, 3) == 128), 0, 1)
    still = matte.steady(image, other, (image, truth))
    moved = matte.steady(image, other, (1 - image, truth))
    edge = matte.trimap(truth, 3) == 128
    assert np.abs(still - truth)[edge].mean() < 0.5 * np.abs(other - truth)[edge].mean()
    assert np.abs(moved - other)[edge].mean() < 0.1 * np.abs(other - truth)[edge].mean()


def test_head_square_lies_in_the_frame_and_is_skipped_when_useless():
    points = np.zeros((478, 3), np.float32) + np.float32([10, 20, 0])
    points[1, :2] = 110, 130
    x, y, side = matte.head_square(points, 400, 300)
    assert (x, y) >= (0, 0) and x + side <= 400 and y + side <= 300 and side == round(1.9 * 110)
    assert matte.head_square(points, 150, 150) is None


def test_two_looks_beat_one_around_a_small_head(astronaut, segmenter, landmarker):
    small = cv2.resize(astronaut, (256, 256), interpolation=cv2.INTER_AREA)
    canvas = np.zeros((512, 512, 3), np.uint8) + small[8:12, 100:104].mean((0, 1)).astype(np.uint8)
    canvas[256:, 128:384] = small
    face = landmarker.find(canvas)[0]
    head = matte.head_square(face.landmarks, 512, 512)
    truth = cv2.resize(matte.refine(astronaut.astype(np.float32) / 255, segmenter(astronaut)), (256, 256))
    x, y, side = head
    box = np.s_[max(y, 256) : y + int(0.7 * side), x : x + side]
    errors = []
    for square in (None, head):
        found = matte.coarse(segmenter, canvas, square)
        wanted = np.zeros((512, 512), np.float32)
        wanted[256:, 128:384] = truth
        errors.append(np.abs(found - wanted)[box].mean())
    assert errors[1] < errors[0]


def test_backdrop_removes_and_restores(scene):
    image, _, rough, _, back = scene
    seam, ring = np.s_[20:30, 90:94], np.s_[60:64, 150:160]
    image, alpha = image.copy(), rough.copy()
    alpha[seam], alpha[ring] = 0.6, 0.5  # the empty scene, half taken for the person; an earring, half lost
    image[ring] = (0.05, 0.9, 0.9)
    known = np.ones((192, 192), bool)
    known[:, :4] = False
    fixed = Backdrop(back, known).correct(image, alpha)
    assert fixed[seam].max() < 0.05 and fixed[ring].min() > 0.95
    assert np.array_equal(fixed[:, :4], alpha[:, :4])


@pytest.mark.parametrize("shift", [0, 9])
def test_backdrop_is_found_where_the_camera_stands_still(astronaut, segmenter, shift):
    """The person moves before a wall; with `shift` the whole picture moves."""
    rng = np.random.default_rng(0)
    alpha = matte.refine(astronaut.astype(np.float32) / 255, segmenter(astronaut))
    wall = cv2.GaussianBlur(rng.integers(0, 255, (512, 700, 3)).astype(np.float32), (0, 0), 3)
    wall = np.clip((wall - 128) * 6 + 128, 0, 255)
    frames = []
    for i in range(10):
        move = np.float32([[1, 0, 12 * (i % 5) - 24], [0, 1, 0]])
        a, person = (cv2.warpAffine(x, move, (512, 512)) for x in (alpha, astronaut))
        back = wall[:, shift * i : shift * i + 512]
        frames.append((person * a[..., None] + back * (1 - a[..., None])).astype(np.uint8))
    found = find_backdrop(frames, segmenter)
    if shift:
        assert found is None
    else:
        assert found.known[:60, 330:].mean() > 0.95 and not found.known[120:160, 200:250].any()
        assert np.abs(found.image - wall[:, :512] / 255)[found.known].mean() < 0.01
