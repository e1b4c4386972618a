"""Features: what is known of made-up sounds is heard, and a stream gives the bits of the whole."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from avatar3d.core import AvatarError
from avatar3d.speech.extractors import extractor
from avatar3d.speech.features import AudioFeatures, Features, features, joined
from avatar3d.speech.sound import Sound
from avatar3d.speech.spectra import mel_filters


def vowel(f0, formant, seconds=0.6, rate=16000):
    """Pulses through one resonance and a fixed second one."""
    source = np.zeros(round(seconds * rate))
    source[(np.arange(0, seconds, 1 / f0) * rate).astype(int)] = 1
    for hertz, width in ((formant, 70), (1900, 120), (2700, 160), (3600, 200)):
        radius = np.exp(-np.pi * width / rate)
        a1, a2 = 2 * radius * np.cos(2 * np.pi * hertz / rate), -radius * radius
        out = np.zeros_like(source)
        for i in range(len(source)):
            out[i] = source[i] + a1 * (out[i - 1] if i > 0 else 0) + a2 * (out[i - 2] if i > 1 else 0)
        source = out
    return Sound((0.3 * source / np.abs(source).max()).astype(np.float32)[None], rate)


def middle(values):
    return float(np.median(values[15:-15]))


@pytest.mark.parametrize("f0", [80, 125, 200, 320])
def test_pitch(f0):
    heard = features(vowel(f0, 500))
    assert abs(middle(heard.f0) / f0 - 1) < 0.02
    assert middle(heard.voicing) > 0.8


@pytest.mark.parametrize("formant", [300, 500, 750])
def test_first_formant(formant):
    assert abs(middle(features(vowel(110, formant)).f1) - formant) < 85  # harmonics stand 110 Hz apart


def test_noise_and_silence_have_no_pitch():
    noise = np.random.default_rng(0).normal(0, 0.1, (1, 16000)).astype(np.float32)
    assert (features(Sound(noise, 16000)).f0 > 0).mean() < 0.1
    still = features(Sound(np.zeros((1, 16000), np.float32), 16000))
    assert not still.f0.any() and not still.f1.any() and still.activity.max() < 0.1
    assert np.isfinite(still.mel).all() and np.isfinite(still.mfcc).all() and still.intensity.max() == -100


def test_intensity_is_in_decibels():
    loud = vowel(120, 500)
    quiet = Sound(loud.samples * np.float32(0.1), loud.rate)
    assert abs(middle(features(loud).intensity) - middle(features(quiet).intensity) - 20) < 0.01


def test_speech_is_told_from_the_noise_before_it():
    rng = np.random.default_rng(0)
    speech = vowel(120, 500, 1.0).samples[0]
    sound = np.concatenate([np.zeros(16000, np.float32), speech, np.zeros(16000, np.float32)])
    sound += rng.normal(0, 0.003, len(sound)).astype(np.float32)
    activity = features(Sound(sound[None], 16000)).activity
    assert activity[20:90].max() < 0.3 < 0.8 < activity[110:190].min()
    assert activity[230:].max() < 0.3


@settings(deadline=None, max_examples=8)
@given(some.lists(some.integers(1, 2500), min_size=2, max_size=9), some.integers(0, 2**32 - 1))
def test_a_stream_gives_the_bits_of_the_whole(sizes, seed):
    rng = np.random.default_rng(seed)
    sound = (rng.normal(0, 0.05, sum(sizes)) + 0.2 * np.sin(0.05 * np.arange(sum(sizes)))).astype(np.float32)
    stream = Features()
    parts = [stream.push(block) for block in np.split(sound, np.cumsum(sizes)[:-1])] + [stream.flush()]
    whole, pieces = features(Sound(sound[None], 16000)), joined(parts)
    assert len(whole) == -(-len(sound) // 160)
    for f in fields(AudioFeatures):
        if f.name != "extra":
            assert np.array_equal(getattr(whole, f.name), getattr(pieces, f.name)), f.name


def test_frames_come_no_later_than_said():
    stream = Features()
    frames = sum(len(stream.push(np.zeros(160, np.float32))) for _ in range(100))
    assert 1.0 - (frames - 1) / 100 <= Features.delay + 0.01


def test_mel_bands_are_those_of_librosa():
    import librosa

    theirs = librosa.filters.mel(sr=16000, n_fft=512, n_mels=40, fmin=60, fmax=7600, htk=True, norm=None)
    assert np.allclose(mel_filters().T, theirs, atol=1e-5)


def test_plug_in_extractors():
    sound = vowel(120, 500)

    def levels(mono, rate):
        assert rate == 16000
        return np.abs(mono[: len(mono) // 320 * 320]).reshape(-1, 320).mean(1)[:, None], 50.0

    heard = features(sound, {"levels": levels})
    assert heard.extra["levels"].shape == (len(heard), 1)
    assert heard[10:20].extra["levels"].shape == (10, 1)
    with pytest.raises(AvatarError, match="gave"):
        features(sound, {"bad": lambda mono, rate: (np.zeros(3), 50.0)})
    assert features(sound, {"phones": extractor("phones")}).extra["phones"].shape == (len(heard), 15)
    with pytest.raises(AvatarError, match="nothing is downloaded"):
        extractor("hubert")
    with pytest.raises(AvatarError, match="unknown name"):
        extractor("whisper")
