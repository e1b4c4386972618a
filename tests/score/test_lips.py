"""Lip scores against ground truth whose answer is known: planted closures, shifts, scrambles, jitter, blinks."""

import numpy as np
import pytest
import torch

from avatar3d import heads
from avatar3d.core import AvatarError, Motion, Pose
from avatar3d.heads.lips import lips
from avatar3d.score.lags import RATE, at_rate, lag, opening_of_phones, opening_of_sound
from avatar3d.score.lips import closures, compare_mouths, jitter, lip_distance, mouth_of, score_mouth
from avatar3d.speech.features import AudioFeatures
from avatar3d.speech.phones import Phone, PhoneTrack

NAMES = heads.load("anny").expressions
JAW, BLINKS = NAMES.index("jawOpen"), [NAMES.index(f"eyeBlink{side}") for side in ("Left", "Right")]


def said(seconds: float = 16.0, seed: int = 0) -> PhoneTrack:
    """Syllables of changing length with every kind of consonant, and a pause in the middle."""
    rng = np.random.default_rng(seed)
    phones, t = [], 0.5
    while t < seconds - 1:
        if 7 < t < 7.8:
            t = 7.8
        for name, length in (
            (rng.choice(["p", "m", "f", "s", "t", "k"]), 0.09),
            (rng.choice(["a", "i", "u", "ɛ"]), 0.16),
        ):
            length *= float(rng.uniform(0.9, 1.5))
            phones.append(Phone(str(name), t, t + length))
            t += length
    return PhoneTrack(seconds, tuple(phones))


def obedient(track: PhoneTrack, fps: float = 50.0) -> Motion:
    """A jaw that opens in everything that is said but closes the lips in p, b, m and nearly in f."""
    times = np.arange(int(track.duration * fps)) / fps
    jaw = np.zeros(len(times))
    for p in track.phones:
        inside = (times >= p.start) & (times < p.end)
        jaw[inside] = {"p": 0.0, "m": 0.0, "f": 0.04, "a": 0.4, "ɛ": 0.3, "i": 0.2, "u": 0.15}.get(p.phone, 0.12)
    return moving(jaw, fps)


def moving(jaw: np.ndarray, fps: float) -> Motion:
    expression = torch.zeros(len(jaw), 52)
    expression[:, JAW] = torch.from_numpy(jaw).float()
    pose = Pose(expression, torch.zeros(len(jaw), 6, 3), torch.eye(4).expand(len(jaw), 4, 4).clone())
    return Motion(pose, fps, NAMES)


def voice(motion: Motion) -> AudioFeatures:
    """A sound whose loudness and formant follow a jaw."""
    jaw = at_rate(motion.pose.expression[:, JAW].double().numpy(), motion.fps)
    count, zeros = len(jaw), np.zeros(len(jaw))
    intensity, f1 = np.where(jaw > 0.01, -30 + 30 * jaw, -70.0), np.where(jaw > 0.01, 250 + 1200 * jaw, 0.0)
    return AudioFeatures(
        np.arange(count) / 100, np.zeros((count, 40)), np.zeros((count, 13)), zeros, zeros, intensity, f1, zeros
    )


def late(heard: AudioFeatures, hops: int) -> AudioFeatures:
    def moved(x: np.ndarray) -> np.ndarray:
        return (
            np.concatenate([np.repeat(x[:1], hops, 0), x[: len(x) - hops]])
            if hops > 0
            else np.concatenate([x[-hops:], np.repeat(x[-1:], -hops, 0)])
        )

    return AudioFeatures(
        heard.times,
        *(moved(getattr(heard, n)) for n in ("mel", "mfcc", "f0", "voicing", "intensity", "f1", "activity")),
    )


def test_planted_closures_are_all_found_and_all_right() -> None:
    track = said()
    score = score_mouth(mouth_of(obedient(track)), track)
    assert score["closure_recall"] == 1 and score["closure_precision"] == 1
    assert score["closures_due"] == sum(p.phone in "pm" for p in track.phones) > 8
    assert score["labiodental_contact"] == 1 and score["labiodentals"] > 3


def test_missed_and_wrong_closures_are_counted() -> None:
    track = said()
    motion = obedient(track)
    due = [p for p in track.phones if p.phone in "pm"]
    for p in due[::2]:  # every other one is missed
        low, high = round((p.start - 0.06) * 50), round((p.end + 0.06) * 50)
        motion.pose.expression[low:high, JAW] = 0.2
    half = score_mouth(mouth_of(motion), track)
    assert half["closure_recall"] == pytest.approx(len(due[1::2]) / len(due), abs=0.1)
    wrong = [p for p in track.phones if p.phone == "a"]
    for p in wrong:
        motion.pose.expression[round((p.start + 0.05) * 50) : round((p.start + 0.05) * 50) + 3, JAW] = 0
    worse = score_mouth(mouth_of(motion), track)
    assert worse["closure_precision"] < 0.6 * half["closure_precision"]


def test_a_mouth_that_never_opens_is_not_precise_and_one_that_never_closes_recalls_nothing() -> None:
    track = said()
    shut = score_mouth(mouth_of(moving(np.zeros(800), 50.0)), track)
    assert shut["closure_recall"] == 1 and shut["closure_precision"] < 0.3
    agape = score_mouth(mouth_of(moving(np.full(800, 0.3), 50.0)), track)
    assert agape["closure_recall"] == 0 and agape["closure_precision"] is None and agape["labiodental_contact"] == 0


@pytest.mark.parametrize("hops", [-30, -7, 0, 4, 25])
def test_a_shift_of_the_sound_moves_the_offset_by_exactly_as_much(hops: int) -> None:
    motion = obedient(said())
    mouth, heard = mouth_of(motion), voice(motion)
    base = score_mouth(mouth, None, heard)["offset_ms"]
    assert abs(base) < 30
    moved = score_mouth(mouth, None, late(heard, hops))["offset_ms"]
    assert moved - base == pytest.approx(-10 * hops, abs=1e-6)


@pytest.mark.parametrize("seconds", [-0.2, 0.08, 0.3])
def test_a_shift_of_the_phones_moves_the_offset(seconds: float) -> None:
    track = said()
    mouth = mouth_of(obedient(track))
    base, moved = (score_mouth(mouth, t)["offset_ms"] for t in (track, track.shifted(seconds)))
    assert abs(base) < 30
    assert moved - base == pytest.approx(-1000 * seconds, abs=1)


def test_a_scrambled_sound_loses_the_correlation() -> None:
    motion = obedient(said(30.0))
    mouth = mouth_of(motion)
    right = score_mouth(mouth, None, voice(motion))
    scrambled = [score_mouth(mouth, None, voice(obedient(said(30.0, seed)))) for seed in (5, 6, 7)]
    assert right["offset_correlation"] > 0.6 and right["offset_confidence"] > 0.4
    assert max(s["offset_correlation"] for s in scrambled) < 0.5 * right["offset_correlation"]


@pytest.mark.parametrize("sigma", [0.002, 0.01, 0.03])
def test_planted_jitter_is_recovered(sigma: float) -> None:
    track = said()
    smooth = obedient(track)
    kernel = np.hanning(15) / np.hanning(15).sum()
    jaw = 0.3 + np.convolve(smooth.pose.expression[:, JAW].numpy(), kernel, "same")
    noise = sigma * np.random.default_rng(1).standard_normal(len(jaw))
    found = score_mouth(mouth_of(moving(jaw + noise, 50.0)))["jitter"]
    move = lips().moves[JAW].reshape(-1)  # millimetres of each coordinate for a full weight
    planted = sigma * float(np.sqrt((move**2).mean()))
    clean = jitter(mouth_of(moving(jaw, 50.0)).trembling)
    assert clean is not None and clean < 0.15
    assert found == pytest.approx(planted, rel=0.15, abs=1.2 * clean)


def test_blinks_are_counted() -> None:
    motion = obedient(said(30.0))
    for start in (100, 400, 410, 900, 1300):  # the second and third melt into one
        motion.pose.expression[start : start + 12, BLINKS] = 1.0
    assert score_mouth(mouth_of(motion))["blink_rate"] == pytest.approx(4 * 2)


def test_one_motion_against_another() -> None:
    motion = obedient(said())
    lagging = moving(np.roll(motion.pose.expression[:, JAW].numpy(), 5), 50.0)
    same, moved = (compare_mouths(mouth_of(m), mouth_of(motion)) for m in (motion, lagging))
    assert same["opening_correlation"] == pytest.approx(1) and same["offset_ms"] == pytest.approx(0, abs=0.05)
    assert moved["offset_ms"] == pytest.approx(100, abs=3) and moved["opening_correlation"] < 0.8
    assert lip_distance(motion, motion) == 0
    wider = moving(motion.pose.expression[:, JAW].numpy() + 0.1, 50.0)
    move = np.linalg.norm(lips().moves[JAW], axis=-1).mean()
    assert lip_distance(wider, motion) == pytest.approx(0.1 * move, rel=1e-3)


def test_short_and_still_mouths_have_no_offset() -> None:
    track = said()
    score = score_mouth(mouth_of(moving(np.zeros(800), 50.0)), track)
    assert score["offset_ms"] is None and any("offset is null" in note for note in score.notes)
    assert lag(np.arange(50.0), np.arange(50.0)) is None
    silent = voice(moving(np.zeros(800), 50.0))
    assert score_mouth(mouth_of(obedient(track)), None, silent)["offset_ms"] is None
    with pytest.raises(AvatarError, match="no frames"):
        mouth_of(moving(np.zeros(0), 50.0))


def test_predicted_openings_are_shut_in_silence() -> None:
    track = said()
    curve = opening_of_phones(track)
    assert curve[:30].max() < 1e-6 and curve.max() > 0.4
    quiet = voice(moving(np.zeros(800), 50.0))
    assert opening_of_sound(quiet).max() < 0.4
    assert RATE == 100 and len(closures(mouth_of(obedient(track)))) > 5
