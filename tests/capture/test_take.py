"""From a source to a clip: photos, folders, videos, masks of one's own, bounded memory, and clear refusals."""

import logging
import tracemalloc

import cv2
import numpy as np
import pytest
from PIL import Image

import avatar3d.capture as capturing
from avatar3d.capture import CaptureOptions, capture, measure, select
from avatar3d.capture.landmarks import Box, Face, Landmarker
from avatar3d.capture.segment import Segmenter
from avatar3d.capture.spool import Held, Spool
from avatar3d.core import AvatarError

PLAIN = CaptureOptions(matte=False)


@pytest.fixture(scope="module")
def portrait(astronaut, tmp_path_factory):
    path = tmp_path_factory.mktemp("photo") / "portrait.png"
    Image.fromarray(astronaut).save(path)
    return path


@pytest.fixture(scope="module")
def shots(astronaut) -> list[np.ndarray]:
    """Twelve frames of 192x160: the portrait's head drifting; the sixth and seventh without a face."""
    frames = []
    for i in range(12):
        move = np.float32([[1, 0, 2 * i - 140], [0, 1, -38 + i]])
        frames.append(cv2.warpAffine(astronaut, move, (192, 160)))
    for i in (5, 6):
        frames[i] = np.full_like(frames[i], 60)
    return frames


def test_photo_becomes_a_clip_of_head_and_shoulders(portrait):
    clip = capture(portrait)
    assert len(clip) == 1 and clip.width % 2 == 0 and clip.height % 2 == 0 and clip.audio is None
    assert clip.frames[0].shape == (clip.height, clip.width, 3)
    points = clip.landmarks[0]
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    side = (high - low).max()
    assert clip.width < 400, "cut to the head's surroundings"
    assert low[0] > 0.6 * side and clip.width - high[0] > 0.6 * side, "hair on both sides"
    assert low[1] > 0.45 * side and clip.height - high[1] > 0.9 * side, "hair above, shoulders below"
    mask = clip.masks[0]
    x, y = points[1, :2].astype(int)
    assert mask.shape == (clip.height, clip.width) and mask.dtype == np.uint8
    assert mask[y, x] == 255 and mask[5, 5] == 0 and 0.3 < (mask > 127).mean() < 0.8


def test_photo_can_be_taken_whole(portrait, astronaut):
    clip = capture(portrait, CaptureOptions(crop=False, matte=False))
    assert np.array_equal(clip.frames[0], astronaut) and clip.masks is None


def test_transparency_of_a_photo_is_its_matte(tmp_path, astronaut):
    alpha = np.zeros((512, 512, 1), np.uint8)
    alpha[20:, 120:330] = 255
    path = tmp_path / "cut.png"
    Image.fromarray(np.concatenate([astronaut, alpha], -1)).save(path)
    clip = capture(path, CaptureOptions(crop=False))
    assert np.array_equal(clip.masks[0], alpha[..., 0])
    assert (clip.frames[0][:, 400] == 255).all()


def test_video_with_gaps_and_sound(movies, shots, caplog):
    sound = np.sin(np.arange(8000) * 0.3).astype(np.float32)
    path = movies.write("a.mp4", shots, sound=sound)
    with caplog.at_level(logging.WARNING):
        steps = []
        clip = capture(path, progress=lambda done, total: steps.append((done, total)))
    assert (clip.width, clip.height, len(clip), clip.fps) == (192, 160, 12, 25.0)
    assert clip.landmarks.shape == (12, 478, 3) and clip.blendshapes.shape == (12, 52) and len(clip.masks) == 12
    missing = np.isnan(clip.landmarks).all((1, 2))
    assert missing.nonzero()[0].tolist() == [5, 6] and np.isnan(clip.blendshapes[5:7]).all()
    assert "no face in 2 of 12" in caplog.text
    nose = clip.landmarks[~missing, 1, :2]
    assert np.allclose(np.diff(nose[:5], axis=0), [2, 1], atol=1.2)
    assert clip.rate == 8000 and clip.audio.shape == (1, round(12 / 25 * 8000)) and np.abs(clip.audio).max() > 0.5
    assert steps == [(i + 1, 12) for i in range(12)]


def test_same_bits_again_and_with_other_threads(movies, shots):
    path = movies.write("a.mp4", shots[:4])
    threads = cv2.getNumThreads()
    first = capture(path)
    cv2.setNumThreads(1)
    try:
        second = capture(path, CaptureOptions(cache_mb=0))
    finally:
        cv2.setNumThreads(threads)
    assert np.array_equal(first.landmarks, second.landmarks)
    for i in range(4):
        assert np.array_equal(first.frames[i], second.frames[i]) and np.array_equal(first.masks[i], second.masks[i])


def test_large_frames_are_cut_around_the_head_and_shrunk(tmp_path, astronaut):
    canvas = np.full((700, 1400, 3), 90, np.uint8)
    canvas[100:612, 700:1212] = astronaut
    for i in range(2):
        Image.fromarray(canvas).save(tmp_path / f"{i}.png")
    whole = capture(tmp_path, CaptureOptions(matte=False, crop=False, size=700))
    near = capture(tmp_path, CaptureOptions(matte=False, size=256))
    assert (whole.width, whole.height) == (700, 350)
    assert max(near.width, near.height) == 256
    width = [np.ptp(clip.landmarks[0, :, 0]) for clip in (whole, near)]
    assert width[1] > 1.3 * width[0], "the smaller frame shows a larger face"
    assert near.fps == 25


def test_masks_of_ones_own(tmp_path, movies, shots, portrait):
    path = movies.write("a.mp4", shots[:3])
    folder = tmp_path / "masks"
    folder.mkdir()
    for i in range(3):
        Image.fromarray(np.full((160, 192), 50 * i, np.uint8)).save(folder / f"{i}.png")
    clip = capture(path, CaptureOptions(masks=folder))
    assert [int(mask[0, 0]) for mask in clip.masks] == [0, 50, 100]
    (folder / "2.png").unlink()
    with pytest.raises(AvatarError, match="2 masks for 3 frames"):
        capture(path, CaptureOptions(masks=folder))
    with pytest.raises(AvatarError, match="no such file"):
        capture(path, CaptureOptions(masks=tmp_path / "none"))
    whole = tmp_path / "whole.png"
    Image.fromarray(np.full((512, 512), 255, np.uint8)).save(whole)
    clip = capture(portrait, CaptureOptions(masks=whole))
    assert clip.masks[0].shape == (clip.height, clip.width), "cut like the photo"
    Image.fromarray(np.full((64, 64), 255, np.uint8)).save(whole)
    with pytest.raises(AvatarError, match="masks of"):
        capture(portrait, CaptureOptions(masks=whole))


def test_select(movies, shots):
    clip = capture(movies.write("a.mp4", shots, sound=np.ones(4000, np.float32)), PLAIN)
    some = select(clip, [3, 0, -1])
    assert len(some) == 3 and some.audio is None and some.rate == 0
    assert np.array_equal(some.frames[2], clip.frames[11]) and np.array_equal(some.landmarks[0], clip.landmarks[3])
    run = select(clip, range(2, 7))
    assert run.audio.shape[1] == 5 * 320 and [f.shape for f in run.frames] == [(160, 192, 3)] * 5
    with pytest.raises(AvatarError, match="no frames"):
        select(clip, [])
    with pytest.raises(IndexError):
        select(clip, [12])


def _refusals(folder, movies):
    blank = [np.full((128, 128, 3), 90, np.uint8)] * 6
    (folder / "empty").mkdir()
    (folder / "text.mp4").write_text("no video at all\n" * 99)
    (folder / "zero.mp4").write_bytes(b"")
    Image.fromarray(np.zeros((1, 1, 3), np.uint8)).save(folder / "dot.png")
    return {
        folder / "gone.mp4": "no such file",
        folder / "empty": "no pictures",
        folder / "text.mp4": "not a video",
        folder / "zero.mp4": "empty",
        folder / "dot.png": "1x1",
        movies.write("blank.mp4", blank): "no face",
    }


def test_bad_sources_are_refused_in_one_line(tmp_path, movies):
    for path, reason in _refusals(tmp_path, movies).items():
        with pytest.raises(AvatarError, match=reason) as caught:
            capture(path)
        assert "\n" not in str(caught.value) and path.name in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [{"size": 8}, {"fps": 0.0}, {"fps": float("nan")}, {"start": 2.0, "end": 1.0}, {"start": -1.0}, {"photo_size": 0}],
)
def test_impossible_options_are_named(portrait, options):
    with pytest.raises(AvatarError, match="|".join(options)):
        capture(portrait, CaptureOptions(**options))


def test_a_full_disk_is_said_in_one_line(monkeypatch):
    spool = Spool()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spool._file, "write", full)
    with pytest.raises(AvatarError, match=r"No space left.*TMPDIR"):
        spool.append(np.zeros((4, 4), np.uint8))
    assert len(spool) == 0


def test_a_face_on_its_side_is_reported(tmp_path, astronaut, caplog):
    path = tmp_path / "side.png"
    Image.fromarray(np.ascontiguousarray(np.rot90(astronaut))).save(path)
    with caplog.at_level(logging.WARNING):
        clip = capture(path, PLAIN)
    assert "upright" in caplog.text and not np.isnan(clip.landmarks).any()


def test_cut_off_video_is_used_as_far_as_it_goes(movies, shots, caplog):
    path = movies.write("cut.mp4", (shots[:5] * 6), movflags="faststart")
    data = path.read_bytes()
    path.write_bytes(data[: int(0.7 * len(data))])
    clip = capture(path, PLAIN)
    assert 5 < len(clip) < 30 and len(clip.landmarks) == len(clip) and clip.frames[len(clip) - 1].shape == (160, 192, 3)


class _Still(Landmarker):
    """Stands in for the face networks."""

    def __init__(self):
        points = np.random.default_rng(0).uniform(40, 90, (478, 3)).astype(np.float32)
        self.face = Face(points, np.zeros(52, np.float32), 20.0)

    def measure(self, image, box):
        return self.face

    def find(self, image, thorough=True):
        return [self.face]


class _Nobody(Segmenter):
    """Stands in for the person network."""

    def __init__(self):
        pass

    def __call__(self, image):
        return np.zeros(image.shape[:2], np.float32)


class _Endless:
    """Frames made when asked for."""

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index, /):
        return np.full((128, 128, 3), index % 251, np.uint8)

    def __iter__(self):
        return (self[i] for i in range(self.count))


def test_memory_does_not_grow_with_the_frames(monkeypatch):
    """300 more frames of 49 kB pass through; only landmarks and compressed masks (some 6 kB) may stay."""
    monkeypatch.setattr(measure, "Segmenter", _Nobody)
    person = measure.Person(_Still().face.box, (40.0, 40.0, 90.0, 90.0))
    peaks = []
    for count in (100, 400):
        tracemalloc.start()
        taken = measure.measure(_Endless(count), _Still(), person, None, True, 1 << 20)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert taken.frames is None and len(taken.masks) == count and taken.landmarks.shape == (count, 478, 3)
    assert peaks[1] - peaks[0] < 300 * 20_000


def test_spool_keeps_bits_and_goes_to_disk(monkeypatch):
    monkeypatch.setattr("avatar3d.capture.spool._IN_MEMORY", 5000)
    spool = Spool()
    images = [np.random.default_rng(i).integers(0, 255, (32, 40), dtype=np.uint8) for i in range(9)]
    for image in images:
        spool.append(image)
    assert spool._file._rolled
    assert all(np.array_equal(spool[i], images[i]) for i in (8, 0, 4, -1))
    assert [np.array_equal(a, b) for a, b in zip(spool, images, strict=True)] == [True] * 9
    with pytest.raises(IndexError):
        spool[9]


def test_held_frames_cannot_be_written():
    held = Held([np.zeros((2, 2, 3), np.uint8)])
    with pytest.raises(ValueError, match="read-only"):
        held[0][0, 0] = 1


def test_person_surroundings_stay_in_the_frame():
    person = measure.Person(Box(50.0, 40.0, 60.0), (20.0, 10.0, 80.0, 70.0))
    x, y, width, height = person.surroundings(300, 120)
    assert x >= 0 and y >= 0 and x + width <= 300 and y + height <= 120
    moved = person.moved(10, 20, 0.5)
    assert (moved.face.x, moved.face.y, moved.face.side) == (20, 10, 30) and moved.reach == (5, -5, 35, 25)


@pytest.mark.parametrize("name", ["liveportrait_d12", "liveportrait_d18", "sadtalker_wda_aoc"])
def test_real_clips(shared_data, landmarker, name):
    clip = capture(shared_data / "clips" / f"{name}.mp4", CaptureOptions(end=0.32))
    assert len(clip) in (8, 10) and clip.rate in (44100, 16000) and not np.isnan(clip.landmarks).any()
    inside = clip.landmarks[..., :2] / [clip.width, clip.height]
    assert inside.min() > 0 and inside.max() < 1
    alone = landmarker.find(clip.frames[-1])[0]
    apart = np.linalg.norm(clip.landmarks[-1, :, :2] - alone.landmarks[:, :2], axis=1).mean()
    assert apart < 0.02 * alone.box.side, "following a face and finding it anew agree"
    for mask, points in zip(clip.masks, clip.landmarks, strict=True):
        x, y = points[[1, 152, 10, 234, 454], :2].astype(int).T
        assert mask[y, x].min() > 230 and mask[:10, :10].max() == 0


def test_public_names():
    assert set(capturing.__all__) == {
        *("CaptureOptions", "Division", "NoFaceError", "capture", "divide", "scene", "select"),
    }
