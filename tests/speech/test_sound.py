"""Sound files, and sound at another rate in blocks of any length."""

import wave

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from avatar3d.core import AvatarError
from avatar3d.speech.sound import Resampler, Sound, mono_blocks, open_sound, read_sound, resample


def write_wav(path, samples, rate):
    """Writes (a, c) samples in [-1, 1] as 16-bit WAV."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path


@settings(deadline=None, max_examples=25)
@given(
    some.sampled_from([8000, 11025, 16000, 22050, 44100, 48000]),
    some.lists(some.integers(0, 700), min_size=1, max_size=12),
)
def test_blocks_give_the_same_samples_as_the_whole(rate, sizes):
    sound = np.random.default_rng(0).normal(size=sum(sizes)).astype(np.float32)
    change = Resampler(rate, 16000)
    cuts = np.cumsum(sizes)[:-1]
    parts = [change.push(block) for block in np.split(sound, cuts)] + [change.flush()]
    whole = resample(sound, rate, 16000)
    assert np.array_equal(np.concatenate(parts), whole)
    assert len(whole) == -(-len(sound) * 16000 // rate)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 96000])
def test_a_tone_stays_where_it_is(rate):
    tone = np.sin(2 * np.pi * 1000 * np.arange(rate) / rate).astype(np.float32)
    wanted = np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000)
    error = np.abs(resample(tone, rate, 16000) - wanted)[300:-300].max()
    assert error < 1e-4


def test_what_16_khz_cannot_hold_is_taken_out():
    tone = np.sin(2 * np.pi * 9000 * np.arange(44100) / 44100).astype(np.float32)
    assert np.abs(resample(tone, 44100, 16000))[300:-300].max() < 1e-3


def test_stereo_is_read_and_mixed(tmp_path):
    ramp = np.stack([np.full(4410, 0.5), np.full(4410, -0.1)], 1)
    path = write_wav(tmp_path / "stereo.wav", ramp, 44100)
    sound = read_sound(path)
    assert sound.samples.shape == (2, 4410) and sound.rate == 44100
    assert np.allclose(sound.mono, 0.2, atol=1e-3)
    assert np.array_equal(np.concatenate(list(mono_blocks(path))), np.concatenate(list(mono_blocks(sound))))
    file = open_sound(path)
    assert (file.channels, file.rate) == (2, 44100) and abs(file.seconds - 0.1) < 1e-6


def test_a_long_file_is_read_in_pieces(tmp_path):
    path = write_wav(tmp_path / "minute.wav", np.zeros((8000 * 60, 1)), 8000)
    lengths = [len(block) for block in open_sound(path).mono()]
    assert sum(lengths) == 16000 * 60 and max(lengths) < 16000


def test_files_without_sound_are_said_in_one_line(tmp_path):
    (tmp_path / "text.wav").write_text("these are words, not sound\n" * 40)
    (tmp_path / "empty.wav").write_bytes(b"")
    write_wav(tmp_path / "nothing.wav", np.zeros((0, 1)), 16000)
    for name, words in (
        ("text.wav", "not a sound"),
        ("empty.wav", "not a sound"),
        ("absent.wav", "no such file"),
        ("nothing.wav", "no sound in it"),
    ):
        with pytest.raises(AvatarError, match=words) as caught:
            read_sound(tmp_path / name)
        assert "\n" not in str(caught.value) and name in str(caught.value)


def test_rates_out_of_range_are_refused():
    with pytest.raises(AvatarError, match="cannot bring sound"):
        Resampler(10, 16000)
    assert Sound(np.zeros((1, 8), np.float32), 16000).at(8000).samples.shape == (1, 4)
