"""The mouth on the head's mesh: lips that must touch do, teeth nearly meet in s, silence is closed; streams."""

import numpy as np
import pytest

from avatar3d.core import AvatarError
from avatar3d.drive.mouth import RATE, Mouth, MouthOptions, as_motion, mouth, strengths
from avatar3d.drive.shapes import CHANNELS, columns, tables
from avatar3d.heads.arkit import ARKIT
from avatar3d.heads.lips import lips
from avatar3d.speech.features import features
from avatar3d.speech.phones import Phone, PhoneTrack
from avatar3d.speech.sound import Sound
from avatar3d.speech.visemes import VISEMES


def _track(*phones, length=0.1, lead=0.3):
    """Returns the phones one after the other, each `length` seconds (or its own), after a pause."""
    said, at = [], lead
    for phone in phones:
        name, seconds = phone if isinstance(phone, tuple) else (phone, length)
        said.append(Phone(name, at, at + seconds))
        at += seconds
    return PhoneTrack(at + lead, tuple(said))


def _weights(motion):
    return motion.pose.expression.double().numpy()


def _of(motion, name):
    return _weights(motion)[:, ARKIT.index(name)]


def _during(motion, track, at):
    """Returns the frames within a phone."""
    times = np.arange(len(motion)) / motion.fps
    return np.flatnonzero((times >= track.phones[at].start) & (times <= track.phones[at].end))


def _tone(seconds, hertz=180.0, loud=0.3):
    """A voice-like sound: a pulse train."""
    t = np.arange(int(16000 * seconds)) / 16000
    return Sound(
        (loud * np.sign(np.sin(2 * np.pi * hertz * t)) * (np.sin(2 * np.pi * hertz * t) > 0.9))[None].astype(
            np.float32
        ),
        16000,
    )


@pytest.mark.parametrize("fps", [25.0, 30.0, 60.0])
@pytest.mark.parametrize("phone", ["p", "b", "m"])
@pytest.mark.parametrize("seconds", [0.03, 0.1])
def test_lips_touch_in_bilabials(phone, fps, seconds):
    track = _track("a", (phone, seconds), "ɑ", (phone, seconds), "i")
    motion = mouth(track, None, MouthOptions(fps=fps))
    gap = lips().gap(_weights(motion))
    for at in (1, 3):
        around = np.abs(np.arange(len(motion)) / fps - (track.phones[at].start + seconds / 2)) < seconds / 2 + 0.02
        assert gap[around].min() <= 0.3, f"{phone} leaves {gap[around].min():.2f} mm"
    for at in (0, 2, 4):
        assert gap[_during(motion, track, at)].max() > 1.5, "vowels open the mouth"


def test_lower_lip_meets_the_teeth_in_labiodentals():
    track = _track("a", "f", "ɑ", "v", "i")
    weights = _weights(mouth(track))
    for at in (1, 3):
        now = weights[_during(mouth(track), track, at)]
        assert lips().over_teeth(now).max() >= 0, "the lower lip reaches the upper teeth"
        assert lips().gap(now).max() > 1.0, "but the lips do not close"


def test_no_other_sound_closes_the_lips():
    for phone in ("t", "k", "s", "ʃ", "n", "ɹ", "l", "w", "u", "i", "θ"):
        track = _track("ɛ", phone, "ɛ")
        gap = lips().gap(_weights(mouth(track)))[_during(mouth(track), track, 1)]
        assert gap.min() > 1.2, f"{phone} closes the lips to {gap.min():.2f} mm"


def test_sibilants_hold_the_jaw():
    track = _track("a", "s", "a", length=0.12)
    motion = mouth(track, features(_tone(track.duration)))
    jaw = _of(motion, "jawOpen")
    assert jaw[_during(motion, track, 1)].min() <= 0.08 < 0.12 < jaw.max()


def test_vowels_look_like_themselves():
    def middle(phone, name):
        track = _track(phone, length=0.25)
        motion = mouth(track)
        return _of(motion, name)[_during(motion, track, 0)].max()

    assert middle("a", "jawOpen") > 1.5 * middle("i", "jawOpen")
    assert middle("u", "mouthPucker") > 0.4 > 0.1 > middle("i", "mouthPucker")
    assert middle("i", "mouthStretchLeft") > 2 * middle("a", "mouthStretchLeft")
    assert middle("θ", "tongueOut") > 0.1 and middle("s", "tongueOut") < 0.01


def test_lips_round_ahead_of_a_rounded_vowel():
    track = _track("s", "t", "u")
    pucker = _of(mouth(track, None, MouthOptions(fps=100.0)), "mouthPucker")
    plain = _of(mouth(_track("s", "t", "i"), None, MouthOptions(fps=100.0)), "mouthPucker")
    before = round((track.phones[2].start - 0.08) * 100)
    assert pucker[before] > 0.08 > plain[before]


def test_silence_keeps_the_mouth_closed():
    for heard in (None, features(_tone(1.0, loud=0.0))):
        quiet = mouth(PhoneTrack(1.0), heard)
        assert np.abs(_weights(quiet)).max() == 0
    motion = mouth(_track("a", "t", "a", lead=0.8))
    times = np.arange(len(motion)) / motion.fps
    assert lips().gap(_weights(motion))[times < 0.5].max() < 0.1
    assert lips().gap(_weights(motion))[times > 1.5].max() < 0.1


@pytest.mark.parametrize("look_ahead", [0.0, 0.05, 0.3])
@pytest.mark.parametrize("fps", [24.0, 30.0, 60.0])
def test_a_stream_gives_the_numbers_of_the_file(look_ahead, fps):
    track = _track("m", "aɪ", "p", "ɛ", "f", "oʊ", "s", "a")
    heard = features(_tone(track.duration))
    options = MouthOptions(fps=fps, look_ahead=look_ahead)
    whole = _weights(mouth(track, heard, options))
    shown = track.visemes(RATE)
    count = min(len(shown), len(heard))
    stream, parts, at = Mouth(options), [], 0
    rng = np.random.default_rng(1)
    assert count == len(shown)
    while at < count:
        step = min(int(rng.integers(1, 30)), count - at)
        now = slice(at, at + step)
        parts.append(stream.push(shown[now], heard[now], strengths(track, len(shown))[now]))
        at += step
        ready = (at / RATE - stream.delay) * fps
        assert sum(map(len, parts)) >= ready - 1, "frames come as soon as they can be known"
    parts.append(stream.flush())
    assert np.array_equal(np.concatenate(parts).astype(np.float32), whole.astype(np.float32))


def test_frames_cover_the_sound():
    for seconds in (0.05, 0.1, 1.0, 1.005):
        motion = mouth(PhoneTrack(seconds, (Phone("a", 0.0, seconds),)))
        assert abs(len(motion) - seconds * 30) <= 1.31


def test_strengths():
    track = _track("a", "w", "ɑ", "l", "i")

    def peak(name, **strength):
        return _of(mouth(track, None, MouthOptions(**strength)), name).max()

    assert peak("jawOpen", jaw=0.0) == 0 and peak("mouthPucker", rounding=0.0) == 0
    assert peak("jawOpen", strength=0.5) == pytest.approx(0.5 * peak("jawOpen"), rel=0.02)
    assert peak("mouthPucker", rounding=1.5) == pytest.approx(1.5 * peak("mouthPucker"), rel=0.02)
    assert peak("mouthLowerDownLeft", lips=0.0) == 0 < peak("mouthLowerDownLeft", jaw=0.0)


def test_strength_leaves_closures_alone():
    track = _track("a", "m", "a")
    for strength in (0.3, 2.0):
        gap = lips().gap(_weights(mouth(track, None, MouthOptions(strength=strength))))
        assert gap[_during(mouth(track), track, 1)].min() <= 0.3


def test_closure_sharpness():
    track = _track("a", "m", "a", length=0.15)

    def closed(sharp):
        return (lips().gap(_weights(mouth(track, None, MouthOptions(fps=100.0, closure=sharp)))[20:]) < 0.5).sum()

    slow, quick = (_of(mouth(track, None, MouthOptions(fps=100.0, closure=c)), "mouthClose") for c in (0.7, 2.0))
    assert (slow > 0.005).sum() > (quick > 0.005).sum(), "a sharper closure begins later and ends sooner"
    assert closed(0.0) < closed(1.0)


def test_stress_opens_more():
    def peak(strength):
        return _of(mouth(PhoneTrack(0.6, (Phone("a", 0.2, 0.4, -1, strength),))), "jawOpen").max()

    assert peak(0.85) < peak(1.0) < peak(1.2)


def test_the_jaw_follows_loudness():
    track = _track("a", length=1.0, lead=0.1)
    fading = _tone(track.duration)
    fading.samples[:, 9600:] *= 0.1
    jaw = _of(mouth(track, features(fading)), "jawOpen")
    times = np.arange(len(jaw)) / 30
    assert jaw[(times > 0.3) & (times < 0.5)].mean() > 1.3 * jaw[(times > 0.75) & (times < 1.0)].mean()


def test_tables_name_arkit():
    t = tables()
    assert t.targets.shape == (len(VISEMES), len(CHANNELS)) and (t.targets >= 0).all() and (t.targets <= 1).all()
    assert columns("jawOpen") == [ARKIT.index("jawOpen")] and len(columns("mouthSmile")) == 2


def test_motion_has_the_joints_of_the_head():
    motion = as_motion(np.zeros((3, 52)), 30.0)
    assert motion.pose.joints.shape == (3, 6, 3) and motion.names == ARKIT


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"fps": 0.0}, "fps is 0"),
        ({"jaw": -1.0}, "jaw is -1"),
        ({"heard": 2.0}, "heard is 2"),
        ({"look_ahead": 1.0}, "0 to 0.3"),
    ],
)
def test_options_out_of_range(options, said):
    with pytest.raises(AvatarError, match=said):
        mouth(PhoneTrack(1.0), None, MouthOptions(**options))


def test_features_of_another_length_are_refused():
    with pytest.raises(AvatarError, match="come with"):
        Mouth().push(np.eye(15)[np.zeros(5, int)], features(_tone(1.0)))
