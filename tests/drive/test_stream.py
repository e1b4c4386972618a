"""Speech to motion: one result for a file, a stream, and any cut of it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from avatar3d import drive
from avatar3d.core import Avatar, AvatarError, Motion
from avatar3d.drive.life import LifeOptions
from avatar3d.drive.stream import Speech, SpeechOptions, speaker, speech
from avatar3d.heads import ARKIT
from avatar3d.speech.phones import Phone, PhoneTrack
from avatar3d.speech.sound import Sound

JAW, CLOSE = ARKIT.index("jawOpen"), ARKIT.index("mouthClose")


def voice(seconds: float = 3.0, rate: int = 16000) -> Sound:
    """Returns a buzz in syllables, four a second, with a pause at the end."""
    t = np.arange(round(seconds * rate)) / rate
    buzz = sum(np.sin(2 * np.pi * 120 * k * t) / k for k in range(1, 20))
    loud = (np.sin(2 * np.pi * 4 * t) > 0) * (t < seconds - 1)
    return Sound((0.1 * buzz * loud)[None].astype(np.float32), rate)


def said(seconds: float = 3.0) -> PhoneTrack:
    """Returns "mama" and a pause."""
    phones = (Phone("m", 0.5, 0.6), Phone("a", 0.6, 0.9), Phone("m", 0.9, 1.0), Phone("a", 1.0, 1.3))
    return PhoneTrack(seconds, phones)


def pieces(options: SpeechOptions, cut: int, phones: PhoneTrack | None = None) -> Motion:
    face, sound = Speech(options, phones), voice().samples[0]
    parts = [face.push(sound[i : i + cut]) for i in range(0, len(sound), cut)] + [face.flush()]
    pose = {n: torch.cat([getattr(p.pose, n) for p in parts]) for n in ("expression", "joints", "root")}
    return replace(parts[0], pose=replace(parts[0].pose, **pose))


@pytest.mark.parametrize("known", [True, False])
def test_a_stream_gives_the_bits_of_the_file(known: bool) -> None:
    phones = said() if known else None
    whole = drive.drive(voice(), options=SpeechOptions(), phones=phones)
    assert len(whole) == 90 and whole.fps == 30
    for cut in (701, 16000, 31234) if known else (9001,):
        again = pieces(SpeechOptions(), cut, phones)
        for name in ("expression", "joints", "root"):
            assert torch.equal(getattr(whole.pose, name), getattr(again.pose, name)), (cut, name)


def test_lips_meet_where_they_should() -> None:
    motion = drive.drive(voice(), options=SpeechOptions(fps=100.0, life=None), phones=said())
    jaw = motion.pose.expression[:, JAW] - motion.pose.expression[:, CLOSE]
    assert jaw[[55, 95]].max() < 0.02 and jaw[[75, 115]].min() > 0.05
    assert jaw[200:].abs().max() < 0.01  # silence keeps the mouth closed


def test_life_goes_on_or_not() -> None:
    blink = ARKIT.index("eyeBlinkLeft")
    lively = drive.drive(voice(9.0), options=SpeechOptions(life=LifeOptions(seed=1)), phones=said(9.0))
    still = drive.drive(voice(9.0), options=SpeechOptions(life=None, prosody=None), phones=said(9.0))
    assert lively.pose.expression[:, blink].max() > 0.5 and lively.pose.joints.abs().max() > 0
    assert still.pose.expression[:, blink].max() == 0 and still.pose.joints.abs().max() == 0


def test_an_avatar_speaks_about_its_own_rest(doll: Avatar) -> None:
    motion = drive.drive(voice(), options=SpeechOptions(life=None), phones=said())
    own = speaker(doll)(motion)
    torch.testing.assert_close(own.pose.root[:, 2, 3], torch.full((90,), -0.8), atol=1e-5, rtol=0)
    assert own.pose.expression[:, JAW].max() > 0.05
    assert torch.equal(
        own.pose.expression, drive.drive(voice(), doll, SpeechOptions(life=None), said()).pose.expression
    )


def test_strength_is_applied_last() -> None:
    whole = drive.drive(voice(), options=SpeechOptions(), phones=said()).pose.expression
    less = drive.drive(
        voice(), options=SpeechOptions(strength={"jaw": 0.5, "lids": 0.0}), phones=said()
    ).pose.expression
    torch.testing.assert_close(less[:, JAW], 0.5 * whole[:, JAW])
    assert less[:, ARKIT.index("eyeBlinkLeft")].max() == 0


def test_memory_does_not_grow_with_the_sound() -> None:
    """What is held between blocks is the same after five seconds and after twenty."""
    import pickle

    face = Speech(SpeechOptions(), PhoneTrack(30.0, said().phones))
    block = voice(1.0).samples[0]
    sizes = []
    for _ in range(20):
        face.push(block)
        sizes.append(len(pickle.dumps(face)))
    assert max(sizes[10:]) <= 1.05 * max(sizes[4:10])


def test_too_short_or_nothing() -> None:
    assert len(drive.drive(Sound(np.zeros((1, 1600), np.float32), 16000))) == 3
    with pytest.raises(AvatarError, match="shorter than a frame"):
        drive.drive(Sound(np.zeros((1, 0), np.float32), 16000))
    with pytest.raises(AvatarError, match="give one"):
        drive.drive(next(speech(voice())))
