"""From what drives to a film or a motion file, by the commands that people give."""

import json
import wave
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from avatar3d import motions, perform, store
from avatar3d.cli import main
from avatar3d.core import AvatarError, Motion
from avatar3d.drive.retarget import RetargetOptions
from avatar3d.drive.stream import SpeechOptions
from avatar3d.heads import ARKIT
from avatar3d.speech.phones import PhoneTrack
from avatar3d.speech.sound import open_sound

JAW = ARKIT.index("jawOpen")


def syllables(path: Path, seconds: float, rate: int = 22050) -> Path:
    """Writes a buzz that is on in the first half of each second."""
    t = np.arange(round(seconds * rate)) / rate
    buzz = sum(np.sin(2 * np.pi * 130 * k * t) / k for k in range(1, 16))
    samples = (6000 * buzz * (t % 1.0 < 0.5)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    return path


@pytest.fixture
def avatar(doll, tmp_path: Path) -> Path:
    store.save(doll, tmp_path / "doll.a3d")
    return tmp_path / "doll.a3d"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    assert main([*arguments, "--json", "--quiet"]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_sound_becomes_a_film_and_a_motion_file(avatar: Path, tmp_path: Path, capsys) -> None:
    wav, film, csv = syllables(tmp_path / "a.wav", 2.5), tmp_path / "o.mp4", tmp_path / "o.csv"
    told = run(capsys, "drive", str(avatar), "--audio", str(wav), "-o", str(film), "--to", str(csv), "--size", "64")
    assert told["frames"] == 75 and told["fps"] == 30
    with av.open(str(film)) as file:
        assert file.streams.video[0].width == 64 and len(list(file.decode(video=0))) == 75
    with av.open(str(film)) as file:
        heard = np.concatenate([f.to_ndarray()[0] for f in file.decode(audio=0)])
        assert file.streams.audio[0].rate == 22050
    loud = np.abs(heard)[: 8 * 5512].reshape(8, -1).max(1)  # by quarter of a second
    assert loud[[0, 1, 4, 5]].min() > 0.05 and loud[[3, 7]].max() < 0.02
    motion = motions.read(csv)
    assert len(motion) == 75 and motion.fps == 30


def test_no_avatar_is_needed_for_a_motion_file(tmp_path: Path, capsys) -> None:
    wav = syllables(tmp_path / "a.wav", 1.5)
    run(capsys, "drive", "--audio", str(wav), "--to", str(tmp_path / "m.json"), "--fps", "50", "--no-life")
    motion = motions.read(tmp_path / "m.json")
    assert motion.fps == 50 and len(motion) == 75 and motion.pose.root[0].equal(torch.eye(4))


def test_a_motion_file_drives_and_keeps_its_rate_or_takes_another(avatar: Path, tmp_path: Path, capsys, doll) -> None:
    expression = torch.zeros(50, 52)
    expression[:, JAW] = torch.linspace(0, 0.5, 50)
    motions.write(Motion(doll.motion.pose[torch.zeros(50, dtype=torch.long)], 25.0, ARKIT), tmp_path / "still.csv")
    given = motions.read(tmp_path / "still.csv")
    given.pose.expression[:] = expression
    motions.write(given, tmp_path / "m.json")
    out = tmp_path / "o.json"
    told = run(capsys, "drive", str(avatar), "--motion", str(tmp_path / "m.json"), "--to", str(out))
    assert told["fps"] == 25 and len(motions.read(out)) == 50
    told = run(capsys, "drive", str(avatar), "--motion", str(tmp_path / "m.json"), "--to", str(out), "--fps", "50")
    assert told["fps"] == 50 and len(motions.read(out)) == 99
    rising = motions.read(out).pose.expression[:, JAW]
    assert (rising.diff() > -1e-6).all() and rising[-1] > 0.4


def test_text_speaks_with_subtitles(tmp_path: Path, capsys) -> None:
    pytest.importorskip("espeakng_loader")
    words = ("drive", "--text", "Mama may buy a bee.", "--to", str(tmp_path / "t.csv"))
    run(capsys, *words, "--subtitles", str(tmp_path / "t.srt"))
    assert "Mama" in (tmp_path / "t.srt").read_text()
    jaw = motions.read(tmp_path / "t.csv").pose.expression[:, JAW]
    assert jaw.max() > 0.08 and jaw[-1] < 0.03  # the mouth closes before the film ends


def test_a_film_is_made_piece_by_piece(doll, tmp_path: Path) -> None:
    """No more than one piece of motion is taken before its pictures are written: hours need no more memory."""
    taken, ahead = [], []
    sound = open_sound(syllables(tmp_path / "a.wav", 12.0, 8000))
    played = perform.of_speech(sound, doll, SpeechOptions(fps=5.0, life=None), PhoneTrack(12.0))

    def counted():
        for piece in played.blocks:
            taken.append(len(piece))
            yield piece

    def progress(stage: str, done: int, total: int, note: str = "") -> None:
        ahead.append(sum(taken) - done)

    shot = perform.Shot(perform.front(16, 0.0, 0.0, 1.0), at_rest=True)
    told = perform.film(doll, perform.replace(played, blocks=counted()), shot, tmp_path / "o.mp4", progress)
    assert told["frames"] == 60 and len(taken) >= 10 and max(ahead) <= max(taken)


def test_the_front_camera_sees_the_head_wherever_its_clip_had_it(doll) -> None:
    assert doll.motion is not None
    moved = perform.at_origin(doll)
    assert moved.motion.pose.root[0, :3, 3].abs().max() < 1e-5
    played = perform.of_motion(doll.motion, doll, RetargetOptions())
    roots = torch.cat([m.pose.root for m in played.blocks])
    torch.testing.assert_close(roots[:, 2, 3], torch.full((6,), -0.8), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "what shall drive it"),
        (("--audio", "a.wav"), "nothing to write"),
        (("--audio", "a.wav", "-o", "o.mp4"), "needs an avatar"),
        (("--audio", "a.wav", "--to", "o.bvh"), ".csv or .json"),
        (("--audio", "none.wav", "--to", "o.csv"), "no such file"),
        (("--text", "hi", "--video", "b.mp4", "--to", "o.csv"), "do not go together"),
        (("--text", "hi", "--transcript", "hi", "--to", "o.csv"), "tells what is said"),
        (("--motion", "none.csv", "--to", "o.csv"), "no such motion"),
        (("--audio", "a.wav", "--to", "o.csv", "--strength", "elbow=1"), "unknown name"),
        (("--audio", "a.wav", "--to", "o.csv", "--subtitles", "s.srt"), "needs the words"),
        (("--audio", "a.wav", "--to", "o.csv", "--same-person"), "about --video"),
        (("--audio", "a.wav", "--to", "o.csv", "--fps", "0"), "1 to 240"),
        (("--live", "mic"), "needs an avatar"),
        (("--audio", "a.wav", "--to", "o.csv", "--voice-model", "none"), "no such voice model"),
    ],
)
def test_what_does_not_work_is_said_in_one_line(
    arguments: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    syllables(tmp_path / "a.wav", 0.3)
    assert main(["drive", *arguments]) == 1
    error = capsys.readouterr().err.strip().splitlines()
    assert said in error[-1], error
    assert not (tmp_path / "o.csv").exists()


def test_sound_of_any_rate_goes_into_a_film(tmp_path: Path) -> None:
    blocks, rate = perform.sound_blocks(open_sound(syllables(tmp_path / "a.wav", 1.0, 10000)))
    assert rate == 48000 and blocks is not None and sum(b.shape[1] for b in blocks) == 48000


def test_what_is_no_sound_is_said(tmp_path: Path, capsys) -> None:
    (tmp_path / "a.wav").write_bytes(b"\x00\x01nothing of the kind" * 50)
    assert main(["drive", "--audio", str(tmp_path / "a.wav"), "--to", str(tmp_path / "o.csv")]) == 1
    assert "a.wav: not a sound" in capsys.readouterr().err
    assert not (tmp_path / "o.csv").exists()


def test_somebody_in_a_video_drives(doll, tmp_path: Path) -> None:
    """A portrait that drifts and tilts: as many frames as the video, its sound, the avatar's own place."""
    from PIL import Image
    from skimage import data

    from avatar3d.render.video import write_video

    portrait = Image.fromarray(data.astronaut()[:300, 80:380])
    frames = [np.asarray(portrait.rotate(2 * i).resize((256, 256))) for i in range(6)]
    tone = 0.1 * np.sin(np.arange(16000 * 6 // 25) * 0.5)[None].astype(np.float32)
    write_video(tmp_path / "v.mp4", frames, 25.0, tone, 16000)
    played = perform.of_video(tmp_path / "v.mp4", doll, RetargetOptions())
    pose = [m.pose for m in played.blocks]
    assert played.fps == 25 and played.frames == 6 and played.sound is not None and played.sound.rate == 16000
    joints = torch.cat([p.joints for p in pose])
    assert len(joints) == 6 and torch.isfinite(joints).all()
    torch.testing.assert_close(torch.cat([p.root for p in pose])[:, 2, 3], torch.full((6,), -0.8), atol=0.1, rtol=0)
    with pytest.raises(AvatarError, match="as whom"):
        perform.of_video(tmp_path / "v.mp4", None, RetargetOptions(), same_person=True)
