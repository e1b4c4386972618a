"""The jaw that is heard: loudness is the speaker's own, silence is closed, a stream is the file."""

import json
from pathlib import Path

import numpy as np

from avatar3d.drive import jaw
from avatar3d.speech.features import features
from avatar3d.speech.sound import read_sound

_DATA = Path(jaw.__file__).parent / "data"


def _opened(mel):
    bands = jaw.Level().push(mel)
    edge = np.full((-jaw.TAPS[0], jaw.BANDS), jaw.QUIET)
    bands = np.concatenate([edge, bands, edge])
    return jaw.opening(jaw.windows(bands, len(edge), len(mel), jaw.TAPS[-1]))


def _speech(shared_data):
    return features(read_sound(shared_data / "audio" / "librivox_austen_0880.wav")).mel


def test_distance_to_the_microphone_does_not_matter(shared_data):
    near = _speech(shared_data)
    far = near - np.float32(2.3)  # 10 dB
    assert np.corrcoef(_opened(near)[50:], _opened(far)[50:])[0, 1] > 0.97


def test_speech_opens_and_silence_closes(shared_data):
    opened = _opened(_speech(shared_data))
    assert 0.1 < np.percentile(opened, 95) < 0.6
    assert _opened(np.full((100, jaw.BANDS), -16, np.float32))[50:].max() < 0.03


def test_a_stream_gives_the_bits_of_the_file(shared_data):
    mel = _speech(shared_data)
    level, parts = jaw.Level(), []
    for begin in range(0, len(mel), 37):
        parts.append(level.push(mel[begin : begin + 37]))
    whole = jaw.Level().push(mel)
    assert np.array_equal(np.concatenate(parts), whole)
    rows = jaw.windows(whole, 40, 150, jaw.TAPS[-1])
    cut = np.concatenate([jaw.opening(rows[:61]), jaw.opening(rows[61:])])
    assert np.array_equal(cut, jaw.opening(rows))


def test_short_look_ahead_repeats_the_last_frame_it_may_see():
    bands = np.arange(60, dtype=np.float32)[:, None].repeat(jaw.BANDS, 1)
    seen = jaw.windows(bands, 30, 1, 3).reshape(len(jaw.TAPS), jaw.BANDS)[:, 0]
    assert seen[0] == 30 + jaw.TAPS[0] and seen[-1] == seen[-2] == 33


def test_the_file_is_small_and_has_a_card():
    assert (_DATA / "jaw.safetensors").stat().st_size < 1_000_000
    card = json.loads((_DATA / "jaw.json").read_text())
    assert {"what", "made by", "data", "limits"} <= set(card) and "MIT" in card["data"]
