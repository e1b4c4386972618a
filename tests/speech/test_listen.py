"""Phones from sound alone: the same in a stream, right on real speech, quiet where nobody speaks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from avatar3d.core import AvatarError
from avatar3d.speech.acoustic import state_scores
from avatar3d.speech.annotations import read_phones
from avatar3d.speech.hmm import state_visemes, transitions
from avatar3d.speech.listen import Listener, ListenOptions, listen, listen_blocks
from avatar3d.speech.sound import Sound, read_sound
from avatar3d.speech.visemes import VISEMES

PP = VISEMES.index("PP")


def noisy_tone(count, seed=0):
    rng = np.random.default_rng(seed)
    swell = np.interp(np.arange(count), np.linspace(0, count, 9), rng.uniform(0, 0.3, 9))
    return (swell * np.sin(0.07 * np.arange(count)) + rng.normal(0, 0.01, count)).astype(np.float32)


@settings(deadline=None, max_examples=6)
@given(some.lists(some.integers(1, 3000), min_size=1, max_size=8), some.integers(0, 99))
def test_a_stream_gives_the_bits_of_the_whole(sizes, seed):
    sound = noisy_tone(sum(sizes), seed)
    listener = Listener()
    parts = [listener.push(block) for block in np.split(sound, np.cumsum(sizes)[:-1])] + [listener.flush()]
    whole = listen(Sound(sound[None], 16000))
    assert np.array_equal(np.concatenate(parts), whole.posteriors)
    assert len(whole.posteriors) == -(-len(sound) // 160)
    assert np.allclose(whole.posteriors.sum(1), 1, atol=1e-5)


def test_frames_come_no_later_than_said():
    listener, sound, got = Listener(), noisy_tone(16000), 0
    for begin in range(0, 16000, 160):
        got += len(listener.push(sound[begin : begin + 160]))
        if got:
            assert (begin + 160) / 16000 - (got - 1) / 100 <= Listener.delay + 0.021
    assert Listener.delay <= 0.13


@pytest.mark.parametrize("kind", ["silence", "hiss", "noise", "tone"])
def test_what_is_no_speech_keeps_the_mouth_closed(kind):
    rng, count = np.random.default_rng(1), 48000
    sound = {
        "silence": np.zeros(count),
        "hiss": rng.normal(0, 0.001, count),
        "noise": rng.normal(0, 0.1, count),
        "tone": 0.3 * np.sin(0.2 * np.arange(count)),
    }[kind]
    said = listen(Sound(sound.astype(np.float32)[None], 16000)).posteriors
    assert said[:, 0].mean() > 0.8


def test_transitions_are_odds():
    for english in (0.0, 0.8, 1.0):
        assert np.allclose(transitions(english).sum(1), 1)
    assert np.allclose(state_visemes().sum(1), 1)
    with pytest.raises(AvatarError, match="english"):
        Listener(ListenOptions(english=2.0))


def test_short_sounds():
    assert listen(Sound(noisy_tone(1600)[None], 16000)).posteriors.shape == (10, 15)
    assert listen(Sound(noisy_tone(1)[None], 48000)).posteriors.shape == (1, 15)
    with pytest.raises(AvatarError, match="not one sample"):
        listen(Sound(np.zeros((1, 0), np.float32), 16000))


def test_memory_does_not_grow_with_a_stream():
    listener = Listener()
    for _ in range(8):
        listener.push(noisy_tone(16000))
    kept = [value for part in (listener, listener._front, listener._loop) for value in vars(part).values()]
    kept += listener._net._past
    assert sum(value.nbytes for value in kept if isinstance(value, np.ndarray)) < 1e6


def test_real_speech_of_the_development_half(shared_data):
    right = count = closed = 0
    for name in ("0870", "0890"):
        file = shared_data / "audio" / f"librivox_austen_{name}"
        sound = read_sound(file.with_suffix(".wav"))
        wanted = read_phones(file.with_suffix(".phone.json"))
        said = listen(sound)
        assert said.posteriors is not None
        labels = wanted.visemes(100.0).argmax(1)[: len(said.posteriors)]
        right += int((said.posteriors[: len(labels)].argmax(1) == labels).sum())
        count += len(labels)
        louder = listen(Sound(sound.samples * np.float32(0.05), sound.rate))
        closed += int((louder.posteriors.argmax(1) == said.posteriors.argmax(1)).sum())  # type: ignore[union-attr]
    assert right / count > 0.66
    assert closed / count > 0.9  # the level does not matter


def test_stereo_at_another_rate(shared_data):
    file = shared_data / "audio" / "librivox_austen_0880.wav"
    sound = read_sound(file)
    wide = sound.at(44100)
    stereo = Sound(np.concatenate([wide.samples, wide.samples]), 44100)
    one, other = listen(sound).posteriors, listen(stereo).posteriors
    assert one is not None and other is not None and abs(len(one) - len(other)) < 2
    assert (one.argmax(1) == other[: len(one)].argmax(1)).mean() > 0.9
    assert len(np.concatenate(list(listen_blocks(file)))) == -(-sound.samples.shape[1] // 160)


def test_scores_prefer_what_is_said(shared_data):
    file = shared_data / "audio" / "librivox_austen_0870"
    scores = state_scores(read_sound(file.with_suffix(".wav")))
    labels = read_phones(file.with_suffix(".phone.json")).visemes(100.0).argmax(1)[: len(scores)]
    frame_by_frame = state_visemes()[scores.argmax(1)].argmax(1)
    assert (frame_by_frame[: len(labels)] == labels).mean() > 0.45
