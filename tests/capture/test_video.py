"""Video files: frames by index and in order, rotation, uneven rates, sound, and what is no video."""

import av
import numpy as np
import pytest

from avatar3d.capture.spool import sound_store
from avatar3d.capture.video import open_video, read_audio
from avatar3d.core import AvatarError


def test_index_equals_iteration_in_any_order(movies):
    frames = open_video(movies.write("a.mp4", movies.numbered(40)), None, 0.0, None)
    assert len(frames) == 40 and frames.timing.fps == pytest.approx(25)
    streamed = [image.copy() for image in frames]
    assert [movies.number_of(image) for image in streamed] == list(range(40))
    for index in (39, 0, 7, 8, 31, 30, 12, -1):
        assert np.array_equal(frames[index], streamed[index])
    with pytest.raises(IndexError):
        frames[40]


@pytest.mark.parametrize(("quarters", "corner"), [(0, (0, 0)), (1, (0, 1)), (2, (1, 1)), (3, (1, 0))])
def test_rotation_flag_makes_frames_upright(movies, quarters, corner):
    image = np.full((64, 96, 3), 40, np.uint8)
    image[:24, :24] = 220  # top left as stored; a quarter turn with the clock moves it to the top right
    path = movies.write("turned.mp4", [image] * 3)
    movies.turn_flag(path, quarters)
    shown = open_video(path, None, 0.0, None)[1]
    assert shown.shape[:2] == ((64, 96) if quarters % 2 == 0 else (96, 64))
    height, width = shown.shape[:2]
    y, x = corner[0] * (height - 1), corner[1] * (width - 1)
    assert shown[y, x].mean() > 180
    assert (shown.mean(-1) > 130).mean() == pytest.approx(24 * 24 / (64 * 96), abs=0.02)


def test_uneven_rate_is_resampled_to_the_nearest_frame(movies):
    ticks = [0, 40, 80, 120, 160, 200, 360, 400, 440, 480, 520, 560, 600]  # four frames of 25 a second are missing
    frames = open_video(movies.write("uneven.mp4", movies.numbered(len(ticks)), ticks=ticks), None, 0.0, None)
    assert frames.timing.fps == pytest.approx(25)
    shown = [movies.number_of(image) for image in frames]
    wanted = [int(np.abs(np.array(ticks) - 40 * i).argmin()) for i in range(16)]
    assert len(shown) == 16
    assert all(
        abs(ticks[a] - 40 * i) <= abs(ticks[b] - 40 * i) for i, (a, b) in enumerate(zip(shown, wanted, strict=True))
    )
    assert [movies.number_of(frames[i]) for i in (15, 6, 0)] == [shown[15], shown[6], shown[0]]


def test_other_rate_and_part_of_the_file(movies):
    path = movies.write("b.mp4", movies.numbered(50))
    halved = open_video(path, 12.5, 0.0, None)
    assert [movies.number_of(image) for image in halved] == list(range(0, 50, 2))
    part = open_video(path, None, 0.4, 0.8)
    assert [movies.number_of(image) for image in part] == list(range(10, 20)) and part.timing.start == pytest.approx(
        0.4
    )
    with pytest.raises(AvatarError, match="no frames between"):
        open_video(path, None, 5.0, None)


def test_sound_is_kept_in_step_with_the_frames(movies):
    rate = 8000
    click = np.zeros(2 * rate, np.float32)
    click[rate : rate + 200] = np.sin(np.arange(200) * 2 * np.pi * 500 / rate) * 0.8
    path = movies.write("c.mp4", movies.numbered(50), sound=click, rate=rate)
    sound, found = read_audio(path, 0.0, 2.0, sound_store)
    assert found == rate and sound.shape == (1, 2 * rate) and sound.dtype == np.float32
    assert np.abs(sound[0]).argmax() == pytest.approx(rate + 100, abs=400)
    later, _ = read_audio(path, 0.5, 1.0, sound_store)
    assert later.shape == (1, rate) and np.allclose(later[0], sound[0, rate // 2 : rate // 2 + rate], atol=1e-6)
    silent, none = read_audio(movies.write("d.mp4", movies.numbered(3)), 0.0, 0.1, sound_store)
    assert silent is None and none == 0


def test_what_is_no_video_is_refused_in_one_line(tmp_path):
    text = tmp_path / "text.mp4"
    text.write_text("this is not a video\n" * 40)
    sound = tmp_path / "sound.mp4"
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    for path, reason in ((text, "not a video"), (sound, "no picture")):
        with pytest.raises(AvatarError, match=reason) as caught:
            open_video(path, None, 0.0, None)
        assert "\n" not in str(caught.value) and path.name in str(caught.value)


def test_a_cut_off_file_gives_what_is_left(movies):
    path = movies.write("whole.mp4", movies.numbered(60), movflags="faststart")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * 0.6)])
    frames = open_video(path, None, 0.0, None)
    shown = [movies.number_of(image) for image in frames]
    assert 5 < len(shown) < 60 and shown == list(range(len(shown)))
    assert len(frames.first(5)) == 5


def test_a_file_without_its_index_is_refused(movies):
    path = movies.write("tail.mp4", movies.numbered(60))  # the index of an ordinary MP4 is at its end
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(AvatarError, match="cut off"):
        open_video(path, None, 0.0, None)
