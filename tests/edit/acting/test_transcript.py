"""Performances cut and put together by their transcript."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from avatar3d.core import AvatarError, Motion, Pose
from avatar3d.edit.acting.contacts import in_order
from avatar3d.edit.acting.snippets import LipsAt, chosen, sampled
from avatar3d.edit.acting.splice import spliced
from avatar3d.edit.acting.transcript import Change, Score, changes, joined_sound, scored
from avatar3d.heads.arkit import ARKIT
from avatar3d.heads.lips import lips
from avatar3d.speech.phones import Phone, PhoneTrack
from avatar3d.speech.sound import Sound

RATE, FPS = 8000, 25.0
WORDS = ["we", "all", "may", "go", "home", "now"]
SPELT = {"we": "wi", "all": "ɔl", "may": "me", "go": "ɡo", "home": "hom", "now": "na", "be": "bi", "here": "hi"}


def spoken(words: list[str], pause: float = 0.06, phone: float = 0.1) -> tuple[Sound, PhoneTrack]:
    """Returns words as noise, each letter a tenth of a second, with pauses between words."""
    phones, now = [], 0.2
    for number, word in enumerate(words):
        for letter in SPELT[word.lower()]:
            phones.append(Phone(letter, now, now + phone, number))
            now += phone
        now += pause
    rng = np.random.default_rng(len(words))
    samples = np.zeros((1, round((now + 0.2) * RATE)), np.float32)
    for p in phones:
        a, b = round(p.start * RATE), round(p.end * RATE)
        samples[0, a:b] = 0.1 * rng.standard_normal(b - a)
    return Sound(samples, RATE), PhoneTrack(samples.shape[1] / RATE, tuple(phones), tuple(words))


def said(words: tuple[str, ...]) -> tuple[Sound, PhoneTrack]:
    return spoken(list(words))


def acted(track: PhoneTrack, seed: int = 0) -> Motion:
    """Returns somebody whose jaw opens in vowels, whose lips meet in m and b, and who moves their head."""
    count = int(np.ceil(track.duration * FPS))
    times = np.arange(count) / FPS
    jaw = np.zeros(count)
    for p in track.phones:
        size = 0.0 if p.phone in "mb" else 0.25 if p.phone in "aɔoei" else 0.08
        jaw = np.maximum(jaw, size * np.exp(-(((times - (p.start + p.end) / 2) / 0.05) ** 2)))
    weights = torch.zeros(count, 52)
    weights[:, ARKIT.index("jawOpen")] = torch.from_numpy(jaw).float()
    weights[:, ARKIT.index("browInnerUp")] = torch.from_numpy(0.3 + 0.2 * np.sin(3 * times + seed)).float()
    joints = torch.zeros(count, 6, 3)
    joints[:, 1] = torch.from_numpy(0.1 * np.sin(np.outer(times, [2.0, 1.3, 0.7]) + seed)).float()
    root = torch.eye(4).repeat(count, 1, 1)
    root[:, 0, 3] = torch.from_numpy(0.01 * np.sin(times)).float()
    return Motion(Pose(weights, joints, root), FPS, ARKIT)


def told(text: str) -> tuple[Sound, PhoneTrack, Score]:
    sound, track = spoken(WORDS)
    return sound, track, scored(sound, track, text, FPS, said)


def test_words_are_compared_not_letters() -> None:
    assert changes(["We,", "all"], ["we", "ALL!"]) == ()
    assert changes(WORDS, ["we", "may", "go", "home", "here", "now"]) == (Change(1, 2, ()), Change(5, 5, ("here",)))


@pytest.mark.parametrize(
    "text",
    [
        "we all go home now",
        "we all may be home now",
        "be here we all may go home now",
        "we all may go home now be here",
        "may go",
        "we go home now",
        "be",
    ],
)
def test_stretches_fit_without_gaps_and_by_whole_frames(text: str) -> None:
    sound, _track, score = told(text)
    assert score.stretches[0].start == pytest.approx(0.0, abs=1e-9)
    for one, other in zip(score.stretches, score.stretches[1:], strict=False):
        assert other.start == pytest.approx(one.end, abs=1e-9) and one.end > one.start
    assert score.stretches[-1].end == pytest.approx(sound.seconds + score.frames / FPS)
    for s in score.stretches:
        if s.source == "kept":
            assert s.offset * FPS == pytest.approx(round(s.offset * FPS), abs=1e-6)
    assert [w.lower() for w in score.phones.words] == text.split()
    for word, start, end in score.phones.word_times():
        assert end - start > 0.1 * len(SPELT[word]) - 0.035, word


def test_a_word_of_the_recording_is_taken_from_it() -> None:
    own = told("we all may go home now may go")[2].stretches
    assert [s.words for s in own if s.source == "own"] == [("may", "go")]


@pytest.mark.parametrize("text", ["we all go home now", "we all may be home now", "we go here home now be"])
def test_kept_sound_is_the_same_sound(text: str) -> None:
    sound, _, score = told(text)
    out = joined_sound(score)
    assert out.seconds == pytest.approx(score.stretches[-1].end, abs=1 / RATE)
    fade = round(0.008 * RATE)
    for s in (s for s in score.stretches if s.source == "kept"):
        a, b, by = round(s.start * RATE) + fade, round(s.end * RATE) - fade, round(s.offset * RATE)
        a, b = (0 if s.start == 0 else a), max(a, b)
        assert (out.samples[:, a:b] == sound.samples[:, a - by : b - by]).all()
    assert np.abs(out.samples).max() < 1.2 * np.abs(sound.samples).max()


@pytest.mark.parametrize(
    "text", ["we all go home now", "we all may be home now", "be we all may home now here", "may go"]
)
@pytest.mark.parametrize("own", [False, True])
def test_motion_is_copied_outside_and_smooth_inside(text: str, own: bool) -> None:
    _, track, score = told(text)
    motion = acted(track)
    general = acted(score.phones, seed=1)
    done = spliced(motion, score, track, general, own)
    out = done.motion
    assert len(out) == len(motion) + score.frames
    inside = np.zeros(len(out), bool)
    for first, last in done.windows:
        inside[first:last] = True
    kept = [s for s in score.stretches if s.source == "kept"]
    for t in np.flatnonzero(~inside):
        s = next(s for s in kept if s.start - 0.04 <= t / FPS <= s.end + 0.04)
        back = int(t) - round(s.offset * FPS)
        for name in ("expression", "joints", "root"):
            assert getattr(out.pose, name)[t].equal(getattr(motion.pose, name)[back])
    for values, old in (
        (out.pose.joints.flatten(1), motion.pose.joints.flatten(1)),
        (out.pose.expression[:, ARKIT.index("browInnerUp")], motion.pose.expression[:, ARKIT.index("browInnerUp")]),
    ):
        quick = old.diff(dim=0).abs().max()
        assert values.diff(dim=0).abs().max() < 6 * quick  # from one place to another within a window, but no jump
    gap = lips().gap(in_order(out))
    for p in score.phones.phones:
        if p.phone in "mb":
            times = np.arange(len(out)) / FPS
            assert gap[(times >= p.start - 0.04) & (times <= p.end + 0.04)].min() <= 0.7


def test_a_word_put_in_moves_the_mouth() -> None:
    _, track, score = told("we all may be go home now")
    motion, general = acted(track), acted(score.phones)
    done = spliced(motion, score, track, general, own=False)
    _, start, end = score.phones.word_times()[3]
    at = slice(round(start * FPS), round(end * FPS) + 1)
    jaw = ARKIT.index("jawOpen")
    assert done.motion.pose.expression[at, jaw].max() > 0.15


def test_snippets_are_what_the_person_did() -> None:
    """A phone that was said in the same surroundings is shown as it was, at another speed if need be."""
    _, track = spoken(WORDS)
    motion = in_order(acted(track))
    points = lips().points(motion).reshape(len(motion), -1)
    old = [p for p in track.phones if p.word == 2]  # "may"
    new = [replace(p, start=p.start - 0.3, end=p.end - 0.3) for p in old]
    around = Phone("l", new[0].start - 0.1, new[0].start), Phone("ɡ", new[-1].end, new[-1].end + 0.1)
    found = chosen(new, around, track.phones, LipsAt(points, np.zeros_like(points), FPS))
    assert found.found == 1.0
    np.testing.assert_allclose(found.source[:, 0], [p.start for p in old])
    times = np.arange(new[0].start + 0.05, new[-1].end - 0.05, 0.01)
    shown = found.mouth(times, motion, FPS, np.zeros((len(times), 52)))
    np.testing.assert_allclose(shown, sampled(motion, (times + 0.3) * FPS), atol=1e-9)
    strange = [Phone("ʃ", 0.5, 0.6)]
    assert chosen(strange, (None, None), track.phones, LipsAt(points, points, FPS)).found == 0


def test_rows_between_frames_are_smooth_and_exact_at_frames() -> None:
    values = np.abs(np.sin(np.arange(20.0)))[:, None] * 0.5
    np.testing.assert_allclose(sampled(values, np.arange(20.0)), values, atol=1e-12)
    fine = sampled(values, np.arange(0, 19, 0.01))[:, 0]
    assert np.abs(np.diff(fine, 2)).max() < 4e-4
    assert (sampled(values, np.array([-3.0, 40.0])) == values[[0, -1]]).all()


def test_no_words_no_edit() -> None:
    sound, track = spoken(WORDS)
    with pytest.raises(AvatarError, match="no words to say"):
        scored(sound, track, "...", FPS, said)
    with pytest.raises(AvatarError, match="no words in the transcript"):
        scored(sound, PhoneTrack(1.0), "be", FPS, said)
