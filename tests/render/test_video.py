"""Videos and pictures: what is written comes back, complete or not at all."""

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from avatar3d.core import AvatarError
from avatar3d.render.video import MADE_BY, write_png, write_video


def ramp(count: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """Returns pictures whose grey rises with time."""
    return [np.full((height, width, 3), 20 + 6 * i, np.uint8) for i in range(count)]


def read(path: Path) -> tuple[list[np.ndarray], float, list[np.ndarray], int]:
    with av.open(str(path)) as file:
        rate = float(file.streams.video[0].average_rate or 0)
        pictures = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    with av.open(str(path)) as file:
        streams = file.streams.audio
        sound = [frame.to_ndarray() for frame in file.decode(audio=0)] if streams else []
        return pictures, rate, sound, streams[0].rate if streams else 0


def test_frames_and_rate_come_back(tmp_path: Path) -> None:
    images = ramp(20)
    assert write_video(tmp_path / "a.mp4", iter(images), 29.97) == 20
    pictures, rate, sound, _ = read(tmp_path / "a.mp4")
    assert len(pictures) == 20 and rate == pytest.approx(29.97, abs=0.01) and not sound
    for got, want in zip(pictures, images, strict=True):
        assert got.shape == want.shape and abs(got.astype(int) - want).mean() < 3


def test_odd_sides_get_one_more_pixel(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", ramp(3, 33, 47), 25.0)
    assert read(tmp_path / "a.mp4")[0][0].shape == (34, 48, 3)


@pytest.mark.parametrize("channels", [1, 2])
def test_sound_is_kept_and_cut_to_the_pictures(tmp_path: Path, channels: int) -> None:
    rate, seconds = 16000, 1.0
    t = np.arange(int(rate * 3)) / rate
    audio = np.tile(0.5 * np.sin(2 * np.pi * 440 * t), (channels, 1)).astype(np.float32)
    write_video(tmp_path / "a.mp4", ramp(25), 25.0, audio, rate)
    _, _, sound, got_rate = read(tmp_path / "a.mp4")
    heard = np.concatenate(sound, axis=1)
    assert got_rate == rate and heard.shape[0] == channels
    assert heard.shape[1] / rate == pytest.approx(seconds, abs=0.15)
    middle = heard[0, 4000:12000]
    assert np.argmax(np.abs(np.fft.rfft(middle))) * rate / len(middle) == pytest.approx(440, abs=4)


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_video(tmp_path / f"{name}.mp4", ramp(10), 25.0)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_an_error_halfway_leaves_nothing(tmp_path: Path) -> None:
    def broken():
        yield from ramp(5)
        raise AvatarError("frame 5 is bad")

    with pytest.raises(AvatarError, match="frame 5 is bad"):
        write_video(tmp_path / "a.mp4", broken(), 25.0)
    with pytest.raises(AvatarError, match="no frames"):
        write_video(tmp_path / "a.mp4", [], 25.0)
    with pytest.raises(AvatarError, match="frame 1 is"):
        write_video(tmp_path / "a.mp4", [*ramp(1), *ramp(1, 32, 32)], 25.0)
    with pytest.raises(AvatarError, match="frames a second"):
        write_video(tmp_path / "a.mp4", ramp(1), 0.0)
    assert list(tmp_path.iterdir()) == []


def test_png_keeps_alpha_and_says_what_it_is(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (9, 7, 4), dtype=np.uint8)
    write_png(tmp_path / "a.png", image)
    with Image.open(tmp_path / "a.png") as back:
        assert back.mode == "RGBA" and (np.asarray(back) == image).all()
        assert back.info["Comment"] == MADE_BY


def beeps(seconds: float, rate: int, every: float, length: float = 0.05) -> np.ndarray:
    """Returns a tone at each multiple of `every` seconds, beginning with full loudness."""
    t = np.arange(round(seconds * rate)) / rate
    on = (t % every) < length
    return (0.6 * on * np.sin(2 * np.pi * 1000 * t))[None].astype(np.float32)


def sync_error(path: Path, fps: float, every: float) -> np.ndarray:
    """Returns sound minus picture in seconds for each flash that a file shows, by its own clock."""
    with av.open(str(path)) as file:
        bright = [(float(f.time or 0), float(f.to_ndarray(format="gray").mean())) for f in file.decode(video=0)]
    flashes = [t for (t, x), (_, before) in zip(bright[1:], bright, strict=False) if x > 120 > before]
    with av.open(str(path)) as file:
        pieces = [(float(f.time or 0), f.to_ndarray()[0], f.sample_rate) for f in file.decode(audio=0)]
    rate = pieces[0][2]
    first = pieces[0][0]
    heard = np.concatenate([p[1] for p in pieces])
    loud = np.abs(heard) > 0.1
    starts = np.flatnonzero(loud[1:] & ~loud[:-1]) + 1
    apart = np.concatenate([[True], np.diff(starts) > 0.5 * every * rate])
    beep = first + starts[apart] / rate
    return np.array([beep[np.abs(beep - t).argmin()] - t for t in flashes])


@pytest.mark.parametrize(("fps", "rate"), [(25.0, 16000), (30000 / 1001, 44100), (60.0, 48000)])
def test_sound_and_picture_begin_together(tmp_path: Path, fps: float, rate: int) -> None:
    """Flashes at whole seconds, beeps at whole seconds: apart by no more than half a frame, by the file's own clock."""
    count = round(6 * fps)
    lit = [np.full((48, 64, 3), 235 if (i / fps) % 1.0 < 0.1 else 16, np.uint8) for i in range(count)]
    write_video(tmp_path / "a.mp4", lit, fps, beeps(6, rate, 1.0), rate)
    errors = sync_error(tmp_path / "a.mp4", fps, 1.0)
    # A flash that falls between two frames is shown by the later one.
    first = np.ceil(np.arange(1, 6) * fps - 1e-9) / fps - np.arange(1, 6)
    assert len(errors) == 5 and np.abs(errors + first).max() <= 0.5 / fps
    assert np.abs(errors + first).max() < 0.003


def test_ten_minutes_do_not_drift(tmp_path: Path) -> None:
    """Sound in blocks of odd lengths, pictures one at a time: the last beep is as near its flash as the first."""
    fps, rate, seconds = 12000 / 1001, 22050, 600
    whole = beeps(seconds, rate, 10.0)
    cuts = np.cumsum(np.random.default_rng(0).integers(1, 60_000, 2000))
    blocks = (part for part in np.split(whole, cuts[cuts < whole.shape[1]], axis=1))
    dark, lit = np.full((16, 16, 3), 16, np.uint8), np.full((16, 16, 3), 235, np.uint8)
    frames = (lit if (i / fps) % 10.0 < 0.2 else dark for i in range(round(seconds * fps)))
    write_video(tmp_path / "a.mp4", frames, fps, blocks, rate)
    errors = sync_error(tmp_path / "a.mp4", fps, 10.0)
    at = 10.0 * np.arange(1, 60)
    errors = errors + np.ceil(at * fps - 1e-9) / fps - at
    assert len(errors) == 59 and np.abs(errors).max() < 0.003
    assert abs(np.polyfit(at, errors, 1)[0]) * seconds < 1e-3  # a millisecond over the whole file, at most


def test_sound_that_aac_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AvatarError, match="48000"):
        write_video(tmp_path / "a.mp4", ramp(3), 25.0, np.zeros((1, 100), np.float32), 5000)
