"""A transcript is found in the sound: on speech whose phone times are exact, and on real speech."""

import numpy as np
import pytest

from avatar3d.core import AvatarError
from avatar3d.speech.align import align
from avatar3d.speech.annotations import read_phones
from avatar3d.speech.sound import Sound, read_sound
from avatar3d.speech.subtitles import Cue
from avatar3d.speech.visemes import VISEMES

pytest.importorskip("espeakng_loader", reason="espeak-ng is not installed: pip install 'avatar3d[text]'")

from avatar3d.speech.espeak import say

TEXT = "My mother bought a big blue boat, and father fixed five very fine vans."


def _agreement(found, truth, frames=3):
    """Share of the spoken frames whose viseme is right within `frames` hundredths."""
    a, b = found.visemes(100).argmax(1), truth.visemes(100).argmax(1)
    spoken = np.flatnonzero(b[: len(a)] != VISEMES.index("sil"))
    return np.mean([b[i] in a[max(0, i - frames) : i + frames + 1] for i in spoken])


def test_real_speech(shared_data):
    where = shared_data / "audio"
    truth = read_phones(where / "librivox_austen_0880.phone.json")
    found = align(read_sound(where / "librivox_austen_0880.wav"), "he was not an ill disposed young man", "en")
    assert found.words == truth.words
    assert _agreement(found, truth) > 0.93
    starts = np.array([start for _, start, _ in found.word_times()])
    true_starts = np.array([start for _, start, _ in truth.word_times()])
    assert np.median(np.abs(starts - true_starts)) < 0.03


def test_moved_sound_moves_the_phones():
    sound, _ = say(TEXT)
    later = Sound(np.pad(sound.samples, ((0, 0), (sound.rate // 2, 0))), sound.rate)
    first, second = align(sound, TEXT), align(later, TEXT)
    moved = np.array([b.start - a.start for a, b in zip(first.phones, second.phones, strict=True)])
    assert np.median(moved) == pytest.approx(0.5, abs=0.011)


@pytest.mark.parametrize(
    ("language", "text"), [("de", "Mein Bruder baut ein Boot am blauen Meer."), ("es", "Mi mamá me mima.")]
)
def test_other_languages(language, text):
    sound, truth = say(text, language)
    found = align(sound, text, language)
    assert found.words == truth.words
    assert _agreement(found, truth, 5) > 0.6


def test_subtitles_bound_the_search():
    sound, _ = say(TEXT)
    gap = np.zeros((1, sound.rate), np.float32)
    both = Sound(np.concatenate([sound.samples, gap, sound.samples], 1), sound.rate)
    cues = (Cue(TEXT, 0.0, sound.seconds), Cue(TEXT, sound.seconds + 1, both.seconds))
    track = align(both, cues)
    half = len(track.phones) // 2
    shifts = [b.start - a.start for a, b in zip(track.phones[:half], track.phones[half:], strict=True)]
    assert np.median(shifts) == pytest.approx(sound.seconds + 1, abs=0.02)


def test_same_bits_twice():
    sound, _ = say("Once more.")
    assert align(sound, "Once more.").phones == align(sound, "Once more.").phones


@pytest.mark.parametrize(
    ("seconds", "text", "language", "said"),
    [
        (1.0, " ", "en", "empty"),
        (0.05, "hello", "en", "too short"),
        (0.3, TEXT, "en", "do not fit"),
        (1.0, "hello", "xx-yy", "no voice"),
    ],
)
def test_what_cannot_be_aligned(seconds, text, language, said):
    sound = Sound(np.zeros((1, int(16000 * seconds)), np.float32), 16000)
    with pytest.raises(AvatarError, match=said):
        align(sound, text, language)
