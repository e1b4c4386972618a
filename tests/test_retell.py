"""Transcript edits of speech, and edits of performances by the commands that people give."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from avatar3d import motions
from avatar3d.cli import main
from avatar3d.core import AvatarError, Motion
from avatar3d.drive import drive
from avatar3d.drive.stream import SpeechOptions
from avatar3d.edit.acting.contacts import in_order
from avatar3d.heads import ARKIT
from avatar3d.heads.lips import lips
from avatar3d.retell import RetellOptions, retold
from avatar3d.speech.sound import Sound, read_sound, write_sound

TEXT = "Mama may buy a bee and go home now."


@pytest.fixture(scope="module")
def told():
    """Speech with exact phone times, and the performance that it gives."""
    pytest.importorskip("espeakng_loader")
    from avatar3d.speech.espeak import say

    sound, phones = say(TEXT)
    return sound, phones, drive(sound, None, SpeechOptions(fps=30.0), phones)


def frame(motion: Motion, t: int) -> bytes:
    return b"".join(getattr(motion.pose, n)[t].numpy().tobytes() for n in ("expression", "joints", "root"))


@pytest.mark.parametrize("own", [False, True])
def test_a_word_is_replaced_another_left_out(told, own: bool) -> None:
    sound, phones, motion = told
    done = retold(motion, sound, phones, "Papa may buy a bee and go now.", RetellOptions(own=own))
    assert [(r["old"], r["new"]) for r in done.about["changes"]] == [("Mama", "Papa"), ("home", "")]
    assert done.about["changes"][0]["parts"] == [{"words": "Papa", "sound": "said"}]
    inside = np.zeros(len(done.motion), bool)
    for row in done.about["changes"]:
        inside[slice(*row["frames"])] = True
    old = {frame(motion, t) for t in range(len(motion))}
    assert all(frame(done.motion, t) in old for t in np.flatnonzero(~inside).tolist())
    assert 0.2 < inside.mean() < 0.6
    assert abs(done.sound.seconds - len(done.motion) / 30) < 0.04
    measure = lips()
    points, was = (np.diff(measure.points(in_order(m)).reshape(len(m), -1), 2, axis=0) for m in (done.motion, motion))
    assert np.abs(points).max() < 1.6 * np.abs(was).max()
    gap, times = measure.gap(in_order(done.motion)), np.arange(len(done.motion)) / 30
    closures = [p for p in done.phones.phones if p.phone in "pbm"]
    assert len(closures) >= 5
    for p in closures:
        assert gap[(times >= p.start - 0.04) & (times <= p.end + 0.04)].min() <= 0.7


def test_the_same_words_change_nothing(told) -> None:
    sound, phones, motion = told
    done = retold(motion, sound, phones, "mama may buy a bee, and go home now")
    assert done.motion is motion and done.sound is sound and done.about["changes"] == []


def test_new_words_from_a_recording(told, tmp_path: Path) -> None:
    from avatar3d.speech.espeak import say

    sound, phones, motion = told
    recording = say("Papa. Everybody.", voice="en-us+f3")[0]
    write_sound(recording, tmp_path / "new.wav")
    text = "Papa may buy a bee and go home everybody."
    done = retold(motion, sound, phones, text, RetellOptions(own=False, recording=tmp_path / "new.wav"))
    assert [p["sound"] for r in done.about["changes"] for p in r["parts"]] == ["said", "said"]
    assert np.abs(done.sound.samples).max() < 1.5
    with pytest.raises(AvatarError, match="leave --recording out"):
        retold(motion, sound, phones, "Mama may go home.", RetellOptions(recording=tmp_path / "new.wav"))


def test_sound_is_written_and_read_back(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).uniform(-0.9, 0.9, (2, 500)).astype(np.float32)
    write_sound(Sound(samples, 16000), tmp_path / "a.wav")
    back = read_sound(tmp_path / "a.wav")
    assert back.rate == 16000
    np.testing.assert_allclose(back.samples, samples, atol=1 / 32768)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    assert main([*arguments, "--json", "--quiet"]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main([*arguments, "--quiet"]) != 0
    return capsys.readouterr().err


def test_say_instead_by_command(told, tmp_path: Path, capsys) -> None:
    sound, _, motion = told
    wav, out = tmp_path / "a.wav", tmp_path / "o.json"
    write_sound(sound, wav)
    asked = ("--audio", str(wav), "--transcript", TEXT, "--say-instead", "Mama may buy a bee and go now.")
    files = ("--to", str(out), "--sound", str(tmp_path / "o.wav"), "--subtitles", str(tmp_path / "o.srt"))
    found = run(capsys, "drive", *asked, *files)
    assert [r["old"] for r in found["changes"]] == ["home"]
    seconds = read_sound(tmp_path / "o.wav").seconds
    assert seconds < sound.seconds - 0.15 and abs(found["frames"] / 30 - seconds) < 0.04
    assert "home" not in (tmp_path / "o.srt").read_text()
    motions.write(motion, tmp_path / "m.json")
    found = run(capsys, "drive", "--motion", str(tmp_path / "m.json"), *asked, "--to", str(out))
    assert len(motions.read(out)) == found["frames"] < len(motion) - 4


def test_emotion_style_and_parts_by_command(doll, tmp_path: Path, capsys) -> None:
    at = {n: i for i, n in enumerate(ARKIT)}

    def still(name: str, **weights: float) -> str:
        pose = doll.motion.pose[torch.zeros(60, dtype=torch.long)]
        for key, value in weights.items():
            pose.expression[:, at[key]] = value * (1 + 0.3 * torch.sin(torch.arange(60) * 0.5))
        motions.write(Motion(pose, 30.0, ARKIT), tmp_path / name)
        return str(tmp_path / name)

    one = still("one.json", browInnerUp=0.2, jawOpen=0.2)
    mouth, ref, out = still("mouth.json", jawOpen=0.5), still("ref.json", browInnerUp=0.6), str(tmp_path / "o.json")
    run(capsys, "drive", "--motion", one, "--mouth-from", mouth, "--to", out)
    made = motions.read(out).pose.expression
    assert made[:, at["jawOpen"]].mean() > 0.45 and made[:, at["browInnerUp"]].mean() < 0.25
    run(capsys, "drive", "--motion", one, "--emotion", "surprise@1-", "--gain", "brows=0.5", "--to", out)
    made = motions.read(out).pose.expression
    assert made[:30, at["browInnerUp"]].max() < 0.14 and made[45:, at["browInnerUp"]].min() > 0.8
    run(capsys, "drive", "--motion", one, "--style", ref, "--to", out)
    assert motions.read(out).pose.expression[:, at["browInnerUp"]].mean() > 0.4
    run(capsys, "drive", "--motion", one, "--clamp", "jawOpen=0/0.1", "--recentre", "--to", out)
    jaw = motions.read(out).pose.expression[:, at["jawOpen"]]
    assert 0.05 < jaw.max() <= 0.1 + 1e-6
    assert "nearest" in fails(capsys, "drive", "--motion", one, "--emotion", "joyy", "--to", out)
    assert "NAME=LOWEST/HIGHEST" in fails(capsys, "drive", "--motion", one, "--clamp", "jawOpen=1", "--to", out)
    assert "transcript" in fails(capsys, "drive", "--audio", one, "--say-instead", "no", "--to", out)
    assert "live" in fails(capsys, "drive", "--live", "mic", "--emotion", "joy")
