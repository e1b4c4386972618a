"""Gestures that follow the voice: planted accents and pauses are found, silence does nothing, blocks do not matter."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avatar3d import heads
from avatar3d.core import AvatarError, Motion, Pose
from avatar3d.drive.prosody import Prosody, ProsodyOptions, accompany
from avatar3d.speech.features import AudioFeatures

NAMES = heads.load("anny").expressions
ACCENTS = (1.5, 3.0, 5.2)


def still(count: int, fps: float = 30.0) -> Motion:
    pose = Pose(torch.zeros(count, 52), torch.zeros(count, 6, 3), torch.eye(4).expand(count, 4, 4).clone())
    return Motion(pose, fps, NAMES)


def voice(
    seconds: float = 8.0, accents: tuple[float, ...] = ACCENTS, spoken: tuple[float, float] = (0.5, 6.5)
) -> AudioFeatures:
    """A monotone voice with a little tremble that speaks for a while, louder and higher at the accents."""
    t = np.arange(round(100 * seconds)) / 100
    rng = np.random.default_rng(0)
    out = sum((np.exp(-0.5 * ((t - a) / 0.08) ** 2) for a in accents), np.zeros_like(t))
    speaks = (t >= spoken[0]) & (t < spoken[1])
    f0 = np.where(speaks, 120 * 2 ** ((6 * out + 0.3 * rng.standard_normal(len(t))) / 12), 0.0)
    intensity = np.where(speaks, -25 + 9 * out + 0.5 * rng.standard_normal(len(t)), -70.0)
    zeros = np.zeros(len(t))
    return AudioFeatures(
        t, np.zeros((len(t), 40)), np.zeros((len(t), 13)), f0, zeros, intensity, zeros, speaks.astype(np.float64)
    )


def part(heard: AudioFeatures, low: int, high: int) -> AudioFeatures:
    return heard[low:high]


def test_brows_and_nods_stand_where_accents_are() -> None:
    made = accompany(still(240), voice())
    brow = made.motion.pose.expression[:, NAMES.index("browInnerUp")].numpy()
    nod = made.motion.pose.joints[:, :2, 0].sum(1).numpy()
    assert 0.05 < brow.max() <= 1
    assert 0.5 < np.degrees(nod.max()) < 8
    for curve in (brow, nod):
        peaks = [
            i
            for i in range(1, 239)
            if curve[i] > curve[i - 1] and curve[i] >= curve[i + 1] and curve[i] > 0.5 * curve.max()
        ]
        assert len(peaks) == len(ACCENTS)
        assert np.abs(np.array(peaks) / 30 - np.array(ACCENTS)).max() < 0.12


def test_the_end_of_a_phrase_is_a_cue() -> None:
    made = accompany(still(240), voice())
    assert len(made.cues) == 1
    assert 6.5 <= made.cues[0] < 6.8


def test_silence_and_a_monotone_voice_do_nothing() -> None:
    silent = accompany(still(120), voice(4.0, spoken=(9.0, 9.0)))
    assert not silent.motion.pose.expression.any() and not silent.motion.pose.joints.any() and not silent.cues
    dull = accompany(still(240), voice(accents=()))
    assert dull.motion.pose.expression.max() < 0.03


def test_strengths_scale_their_region_only() -> None:
    one, two = (accompany(still(240), voice(), ProsodyOptions(brows=b)).motion.pose for b in (1.0, 2.0))
    brow = NAMES.index("browOuterUpLeft")
    assert torch.allclose(2 * one.expression[:, brow], two.expression[:, brow])
    assert torch.equal(one.joints, two.joints)
    off = accompany(still(240), voice(), ProsodyOptions(0.0, 0.0, 0.0)).motion.pose
    assert not off.expression.any() and not off.joints.any()


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(1, 150), min_size=1, max_size=6))
def test_blocks_give_the_bits_of_the_whole(cuts: list[int]) -> None:
    heard = voice(4.0)
    whole = accompany(still(130), heard)
    prosody, done, frames, parts, cues = Prosody(30.0), 0, 0, [], []
    for size in [*cuts, 400]:
        prosody.push(part(heard, done, min(400, done + size)))
        done = min(400, done + size)
        count = min(130, prosody.ready) - frames
        if count > 0:
            made = prosody(still(count))
            parts.append(made.motion.pose)
            cues.extend(made.cues)
            frames += count
    prosody.finish()
    made = prosody(still(130 - frames))
    parts.append(made.motion.pose)
    assert torch.equal(torch.cat([p.expression for p in parts]), whole.motion.pose.expression)
    assert torch.equal(torch.cat([p.joints for p in parts]), whole.motion.pose.joints)
    assert (*cues, *made.cues) == whole.cues


def test_frames_wait_for_their_sound() -> None:
    prosody = Prosody(30.0)
    prosody.push(voice(1.0))
    assert prosody.ready == 27  # 0.99 s of hops less 0.1 s
    with pytest.raises(AvatarError, match="push it first"):
        prosody(still(28))


def test_strengths_out_of_range_are_refused() -> None:
    with pytest.raises(AvatarError, match="brows"):
        Prosody(30.0, ProsodyOptions(brows=-1.0))
