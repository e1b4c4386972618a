"""Emotions over performances."""

import math

import numpy as np
import pytest
import torch

from avatar3d.core import AvatarError, Motion, Pose
from avatar3d.drive import drive
from avatar3d.drive.stream import SpeechOptions
from avatar3d.edit.acting import emotion, units
from avatar3d.edit.acting.contacts import closed_at, in_order
from avatar3d.edit.acting.emotion import Cue, EmotionOptions, emoted, envelope, face, labels, mixture, parse
from avatar3d.heads.arkit import ARKIT
from avatar3d.heads.lips import lips
from avatar3d.speech.annotations import read_phones
from avatar3d.speech.sound import read_sound
from avatar3d.speech.visemes import BILABIALS, LABIODENTALS

EIGHT = ("joy", "sadness", "surprise", "fear", "anger", "disgust", "contempt", "neutral")


def still(count: int = 120, fps: float = 30.0) -> Motion:
    return Motion(
        Pose(torch.zeros(count, 52), torch.rand(count, 6, 3) * 0.1, torch.eye(4).repeat(count, 1, 1)), fps, ARKIT
    )


def test_the_six_basic_emotions_contempt_and_neutral_are_there() -> None:
    assert set(EIGHT) <= set(labels())
    assert emotion.label_of("happiness") == "joy" and emotion.label_of("Grief") == "sadness"
    with pytest.raises(AvatarError, match="nearest"):
        emotion.label_of("joyy")


@pytest.mark.parametrize("label", [x for x in EIGHT if x != "neutral"])
def test_a_face_at_rest_shows_the_units_of_its_emotion(label: str) -> None:
    """Read back from the weights: the exact units that the table asks for are found, as strong as asked."""
    shown = emoted(still(), [Cue({label: 0.5}, -math.inf)], EmotionOptions(contacts=False)).pose.expression[60]
    asked = face({label: 0.5})
    got = dict(zip(ARKIT, shown.tolist(), strict=True))
    assert {n for n, v in got.items() if v > 1e-6} <= set(asked)
    found = units.read(got).units
    for name, level in emotion._data()[label]["units"].items():
        row = units.table()[name.rstrip("LR")]
        if row.confidence == "exact" and row.read:
            assert found[name] >= 0.5 * level - 1e-5


@pytest.mark.parametrize("label", [x for x in EIGHT if x != "neutral"])
def test_more_is_more(label: str) -> None:
    size = [
        float(emoted(still(), [Cue({label: x}, -math.inf)], EmotionOptions(contacts=False)).pose.expression[60].sum())
        for x in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    assert size[0] == 0 and (np.diff(size) > 0).all()
    np.testing.assert_allclose(np.diff(size), size[-1] / 4, rtol=0.15)  # as asked, as far as weights have room


def test_time_codes() -> None:
    cues = parse("joy:0.7@0-2, anger@2-4")
    assert cues == (Cue({"joy": 0.7}, 0.0, 2.0), Cue({"anger": 1.0}, 2.0, 4.0))
    assert parse("sad")[0] == Cue({"sadness": 1.0}, -math.inf, math.inf)
    assert parse("fear@1:05-")[0] == Cue({"fear": 1.0}, 65.0, math.inf)
    assert parse("joy:0.5+surprise:0.5@-3")[0] == Cue({"joy": 0.5, "surprise": 0.5}, -math.inf, 3.0)
    assert parse("va:0.7/0.3")[0].mix == mixture(0.7, 0.3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("joyful nonsense", "nearest"),
        ("joy:2", "0 to 1"),
        ("joy:x", "no number"),
        ("joy@2", "span"),
        ("joy@3-2", "ends before"),
        ("joy,,anger", "empty"),
        ("va:2/0", "-1 to 1"),
        ("joy@a-b", "no number"),
    ],
)
def test_what_cannot_be_read_is_said(text: str, said: str) -> None:
    with pytest.raises(AvatarError, match=said):
        parse(text)


def test_onset_apex_and_offset() -> None:
    times = np.arange(0, 5, 0.05)
    options = EmotionOptions(onset=0.4, offset=0.8)
    curve = envelope(times, Cue({"joy": 1.0}, 1.0, 3.0), options)
    assert curve[times <= 1.0].max() == 0 and curve[(times > 1.41) & (times < 3.0)].min() == 1
    assert curve[times >= 3.8].max() < 1e-9 and (np.diff(curve[(times >= 1) & (times <= 1.4)]) >= 0).all()
    assert np.abs(np.diff(curve, 2)).max() < 0.1  # neither corner nor jump
    hard = envelope(times, Cue({"joy": 1.0}, 1.0, 3.0), EmotionOptions(onset=0.0, offset=0.0))
    assert set(np.unique(hard)) == {0.0, 1.0}


def test_frames_outside_of_a_span_keep_their_bits() -> None:
    given = still(120)
    given.pose.expression[:, ARKIT.index("jawOpen")] = 0.1 * torch.rand(120, generator=torch.Generator().manual_seed(1))
    shown = emoted(given, parse("surprise@1-2"))
    outside = [*range(31), *range(78, 120)]
    assert shown.pose.expression[outside].equal(given.pose.expression[outside])
    assert shown.pose.joints is given.pose.joints and shown.pose.root is given.pose.root
    assert not shown.pose.expression[45].equal(given.pose.expression[45])
    assert emoted(given, parse("neutral")).pose.expression.equal(given.pose.expression)


def test_valence_and_arousal() -> None:
    assert max(mixture(0.9, 0.42), key=mixture(0.9, 0.42).get) == "joy"  # type: ignore[arg-type]
    assert max(mixture(-0.8, -0.42), key=mixture(-0.8, -0.42).get) == "sadness"  # type: ignore[arg-type]
    assert mixture(0, 0) == {"neutral": 1.0}
    for angle in range(0, 360, 7):
        v, a = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        assert sum(mixture(v, a).values()) == pytest.approx(1.0)
        assert sum(mixture(0.5 * v, 0.5 * a).values()) == pytest.approx(0.5)
    a, b = face(mixture(0.6, 0.6)), face(mixture(0.601, 0.599))
    assert max(abs(a.get(n, 0) - b.get(n, 0)) for n in ARKIT) < 0.01  # no jumps


def test_closed_eyes_stay_closed_and_round_lips_round() -> None:
    given = still()
    given.pose.expression[:, ARKIT.index("eyeBlinkLeft")] = 1.0
    given.pose.expression[:, ARKIT.index("mouthPucker")] = 0.6
    shown = emoted(given, parse("fear+joy:0.5")).pose.expression[60]
    assert shown[ARKIT.index("eyeWideLeft")] == 0 and shown[ARKIT.index("eyeWideRight")] > 0.5
    assert shown[ARKIT.index("mouthSmileLeft")] < 0.2 < emoted(still(), parse("joy:0.5")).pose.expression[60, 43]


def spoken(shared_data, name: str):
    folder = shared_data / "audio"
    phones = read_phones(folder / f"{name}.phone.json")
    return drive(read_sound(folder / f"{name}.wav"), None, SpeechOptions(fps=30.0), phones), phones


def test_lip_contacts_of_real_speech_are_kept_by_every_emotion(shared_data) -> None:
    """Every p, b and m that was closed still is, by the millimetres that counted before; f and v likewise."""
    measure = lips()
    for name in ("librivox_austen_0870", "librivox_austen_0890"):
        motion, phones = spoken(shared_data, name)
        gap = measure.gap(in_order(motion))
        closed = closed_at(gap)
        times = np.arange(len(motion)) / motion.fps
        near = {
            which: [(times >= p.start - 0.04) & (times <= p.end + 0.04) for p in phones.phones if p.phone in which]
            for which in (BILABIALS, LABIODENTALS)
        }
        due = [at for at in near[BILABIALS] if (gap[at] <= closed).any()]
        teeth = [at for at in near[LABIODENTALS] if (measure.over_teeth(in_order(motion))[at] >= -0.5).any()]
        assert len(due) >= 3
        for label in labels():
            shown = in_order(emoted(motion, [Cue({label: 1.0}, -math.inf)]))
            assert all((measure.gap(shown)[at] <= closed).any() for at in due), label
            assert all((measure.over_teeth(shown)[at] >= -0.5).any() for at in teeth), label
            assert np.corrcoef(gap, measure.gap(shown))[0, 1] > 0.9


def test_the_closures_would_be_lost_without_protection(shared_data) -> None:
    motion, _ = spoken(shared_data, "librivox_austen_0880")
    gap = lips().gap(in_order(motion))
    bare = emoted(motion, parse("surprise"), EmotionOptions(contacts=False))
    assert (lips().gap(in_order(bare))[gap <= closed_at(gap)] > 1.0).all()
