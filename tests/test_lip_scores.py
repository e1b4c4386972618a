"""`score lips` on files: the command, its figures on real speech, the page, and what it refuses."""

import json
import wave
from pathlib import Path

import numpy as np
import pytest
import torch

from avatar3d import heads, motions
from avatar3d.__main__ import main
from avatar3d.core import AvatarError, Motion, Pose
from avatar3d.lip_scores import LipSources, score_lips
from avatar3d.score.lags import at_rate, lag, opening_of_sound
from avatar3d.speech.annotations import write_phones
from avatar3d.speech.features import features
from avatar3d.speech.phones import Phone, PhoneTrack
from avatar3d.speech.sound import Sound, read_sound

NAMES = heads.load("anny").expressions


@pytest.fixture(scope="module")
def spoken(tmp_path_factory) -> Path:
    """A folder with a motion, its phones and a hum that is loud where the mouth is open."""
    folder = tmp_path_factory.mktemp("spoken")
    phones = [Phone("m" if i % 3 == 0 else "a" if i % 3 == 1 else "f", 0.2 * i + 0.5, 0.2 * i + 0.7) for i in range(40)]
    times = np.arange(270) / 30
    jaw = np.zeros(270)
    for i, p in enumerate(phones):
        jaw[(times >= p.start) & (times < p.end)] = {"m": 0.0, "f": 0.03, "a": 0.2 + 0.1 * np.sin(i * i)}[p.phone]
    expression = torch.zeros(270, 52)
    expression[:, NAMES.index("jawOpen")] = torch.from_numpy(jaw).float()
    pose = Pose(expression, torch.zeros(270, 6, 3), torch.eye(4).expand(270, 4, 4).clone())
    motions.write(Motion(pose, 30.0, NAMES), folder / "m.csv")
    write_phones(PhoneTrack(9.0, tuple(phones), source="test"), folder / "m.json")
    t = np.arange(9 * 16000) / 16000
    loud = np.interp(t, times, jaw)
    hum = (0.9 * loud * np.sign(np.sin(2 * np.pi * 130 * t))).clip(-1, 1)
    with wave.open(str(folder / "m.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((hum * 32767).astype("<i2").tobytes())
    return folder


def test_the_command_prints_its_figures_and_writes_a_page(spoken: Path, capsys) -> None:
    page = spoken / "page.html"
    arguments = ["score", "lips", "--motion", str(spoken / "m.csv"), "--phones", str(spoken / "m.json")]
    assert main([*arguments, "--audio", str(spoken / "m.wav"), "--page", str(page), "--json", "--quiet"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["closure_recall"] == 1 and result["closure_precision"] == 1 and result["labiodental_contact"] == 1
    assert abs(result["offset_ms"]) < 60 and result["offset_against"] == "sound"
    assert result["jitter"] is not None and result["blink_rate"] == 0 and result["unit"] == "mm"
    text = page.read_text()
    assert text.count("<rect") == result["closures_due"] == 14 and 'class="missed"' not in text
    assert "data:audio/wav;base64," in text and "jaw open" in text
    assert "http:" not in text and "https:" not in text and 'src="//' not in text


def test_a_missed_closure_is_red_on_the_page_and_names_are_escaped(spoken: Path) -> None:
    from avatar3d.score.lips_page import lips_page

    motion = motions.read(spoken / "m.csv")
    motion.pose.expression[:100, NAMES.index("jawOpen")] += 0.2
    motions.write(motion, spoken / "late.csv")
    scored = score_lips(LipSources(motion=spoken / "late.csv", phones=spoken / "m.json"))
    text = lips_page("<script>", scored.mouth, scored.score, scored.motion, scored.phones)
    assert text.count('class="missed"') == 5 and scored.score["closure_recall"] == pytest.approx(9 / 14)
    assert "Lips of &lt;script&gt;" in text


def test_a_motion_against_a_motion(spoken: Path) -> None:
    same = score_lips(LipSources(motion=spoken / "m.csv", reference=spoken / "m.csv")).score
    assert same["lip_distance_mm"] == 0 and same["opening_correlation"] == pytest.approx(1)


def test_a_real_capture_is_in_time_with_its_sound_and_with_no_other(shared_data: Path) -> None:
    """Paired speech and curves, captured together: a mouth is late by a frame (33 ms) at most."""
    folder = shared_data / "audio_blendshape"
    curves = np.load(folder / "facegood_1114_weights.npz")
    sound = read_sound(folder / "facegood_1114_3_16.flac")
    heard = features(Sound(sound.samples[:, : 25 * sound.rate], sound.rate))
    opening = opening_of_sound(heard)
    jaw = at_rate(curves["w_3_16"][: 25 * 30, 74], 30.0)
    found = lag(jaw, opening)
    assert found is not None and 0 <= found.ms < 50 and found.correlation > 0.6 and found.confidence > 0.4
    later = lag(jaw, np.concatenate([np.repeat(opening[:1], 12), opening[:-12]]))
    assert later is not None and later.ms == pytest.approx(found.ms - 120, abs=1e-6)
    other = lag(at_rate(curves["w_2_01"][: 25 * 30, 74], 30.0), opening)
    assert other is not None and other.confidence < 0.35


def test_a_late_video_is_late_by_as_much(shared_data: Path, tmp_path: Path, capsys) -> None:
    from avatar3d.capture.video import open_video
    from avatar3d.render.video import write_video

    frames = list(open_video(shared_data / "clips" / "sadtalker_wda_aoc.mp4", 25.0, 1.0, 4.2))
    write_video(tmp_path / "a.mp4", iter(frames), 25.0)
    write_video(tmp_path / "b.mp4", iter([frames[0]] * 3 + frames[:-3]), 25.0)
    arguments = ["score", "lips", "--video", str(tmp_path / "b.mp4"), "--reference", str(tmp_path / "a.mp4")]
    assert main([*arguments, "--json", "--quiet"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["offset_ms"] == pytest.approx(120, abs=12) and result["offset_against"] == "reference"
    assert 0 < result["lmd"] < 10 and result["opening_correlation"] < 0.9


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "one of --motion and --video"),
        ({"motion": "m.csv"}, "--phones, --audio or --reference"),
        ({"motion": "m.csv", "phones": "none.json"}, "no such file"),
        ({"motion": "m.csv", "phones": "m.wav"}, "TextGrid"),
        ({"motion": "m.csv", "phones": "m.json", "syncnet": "m.wav"}, "--syncnet looks at pictures"),
        ({"video": "m.wav", "reference": "m.csv"}, "compared with a video"),
    ],
)
def test_what_cannot_be_scored_is_said(spoken: Path, given: dict[str, str], reason: str) -> None:
    with pytest.raises(AvatarError, match=reason):
        score_lips(LipSources(**{name: spoken / file for name, file in given.items()}))
