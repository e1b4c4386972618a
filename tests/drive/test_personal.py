"""A person's mouth is learnt where it differs from the general one, also when the clip's sound is late."""

from pathlib import Path

import numpy as np
import pytest
import torch

from avatar3d.core import AvatarError, Motion, Pose
from avatar3d.drive import personal
from avatar3d.drive.personal import Personal, compare, learn, load_voice, mouth_distance, save_voice
from avatar3d.heads import ARKIT
from avatar3d.motions.neutral import neutral_of
from avatar3d.speech.features import features
from avatar3d.speech.sound import Sound, read_sound

FPS = 25.0


@pytest.fixture(scope="module")
def spoken(shared_data: Path) -> Sound:
    sound = read_sound(shared_data / "audio" / "librivox_austen_0870.wav")
    return Sound(sound.samples[:, : 9 * sound.rate], sound.rate)


def person(sound: Sound, late: float) -> Motion:
    """Returns a tracked person who smiles, opens wide and pouts when loud, filmed so that the sound comes `late`."""
    said = personal._said(sound)
    times = np.arange(int(sound.seconds * FPS)) / FPS + late
    general, heard, _ = said.at(times)
    own = general.copy()
    own[:, ARKIT.index("jawOpen")] *= 1.8
    for name, value in (("mouthSmileLeft", 0.3), ("mouthSmileRight", 0.2), ("jawLeft", 0.15)):
        own[:, ARKIT.index(name)] += value
    own[:, ARKIT.index("mouthPucker")] += 0.3 * heard[:, 0]
    pose = Pose(
        torch.from_numpy(own.clip(0, 1)).float(), torch.zeros(len(own), 6, 3), torch.eye(4).repeat(len(own), 1, 1)
    )
    return Motion(pose, FPS, ARKIT)


@pytest.mark.parametrize("late", [0.0, 0.12])
def test_a_planted_person_is_found(spoken: Sound, late: float) -> None:
    motion = person(spoken, late)
    train = np.arange(len(motion)) < 0.8 * len(motion)
    rest = neutral_of(motion).expression.numpy()
    model = learn(motion, spoken, rest, train)
    assert abs(model.about["offset_ms"] - 1000 * late) <= 40
    scores = compare(model, motion, spoken, ~train, rest)
    assert scores["personal_mm"] < 0.5 * scores["general_mm"] and scores["lower_percent"] > 50


def test_noise_teaches_no_more_than_the_mean(spoken: Sound) -> None:
    """A mouth that has nothing to do with the sound: the model is as good as standing still, not worse."""
    motion = person(spoken, 0.0)
    random = np.random.default_rng(0).normal(0, 1, (len(motion), 52))
    smooth = np.apply_along_axis(lambda x: np.convolve(x, np.ones(5) / 5, "same"), 0, random)
    motion.pose.expression[:] = torch.from_numpy((0.2 + 0.1 * smooth).clip(0, 1)).float()
    train = np.arange(len(motion)) < 0.8 * len(motion)
    scores = compare(learn(motion, spoken, np.zeros(52), train), motion, spoken, ~train, np.zeros(52))
    assert scores["personal_mm"] < 1.25 * scores["still_mm"]


def test_a_stream_gives_what_the_whole_gives(spoken: Sound, tmp_path: Path) -> None:
    motion = person(spoken, 0.0)
    model = learn(motion, spoken, np.zeros(52), np.ones(len(motion), bool))
    said, heard = personal._said(spoken), features(spoken)
    visemes = np.zeros((len(said.silence), 15))
    visemes[:, 0] = said.silence
    general = np.random.default_rng(0).uniform(0, 0.3, (200, 52))
    outs = []
    for cut in (1000, 77):
        stage, out, given = Personal(model, 30.0), [], 0
        for start in range(0, len(visemes), cut):
            stage.push(visemes[start : start + cut], heard[start : min(start + cut, len(visemes))])
            ready = max(0, min(200, int((start + cut - 30) * 0.3)))  # the mouth is 0.3 s late
            out.append(stage(general[given:ready]))
            given = max(given, ready)
        outs.append(np.concatenate(out))
    assert len(outs[0]) == len(outs[1]) == 200 and np.array_equal(outs[0], outs[1])
    save_voice(model, tmp_path / "v.safetensors")
    back = load_voice(tmp_path / "v.safetensors")
    np.testing.assert_allclose(back.weights, model.weights, rtol=1e-6)
    assert back.about == model.about


def test_lips_that_are_to_meet_do_meet(spoken: Sound) -> None:
    motion = person(spoken, 0.0)
    model = learn(motion, spoken, np.zeros(52), np.ones(len(motion), bool))
    general = np.full((1, 52), 0.2)
    general[:, ARKIT.index("mouthPressLeft")] = 0.05
    own = model(general, np.full((1, 3), 0.9), np.zeros(1))
    assert own[0, ARKIT.index("jawOpen")] == 0 and own[0, ARKIT.index("browInnerUp")] == 0.2


def test_distance_is_that_of_the_lips() -> None:
    still = np.zeros((2, 52))
    brow, jaw = still.copy(), still.copy()
    brow[:, ARKIT.index("browInnerUp")] = 1
    jaw[:, ARKIT.index("jawOpen")] = 0.5
    assert mouth_distance(still, brow) == 0 and 3 < mouth_distance(still, jaw) < 20
    assert mouth_distance(jaw, still) == mouth_distance(still, jaw)


def test_too_little_is_said_so(spoken: Sound, tmp_path: Path) -> None:
    motion = person(spoken, 0.0)
    with pytest.raises(AvatarError, match="frames to learn from"):
        learn(motion, spoken, np.zeros(52), np.arange(len(motion)) < 20)
    silent = Sound(np.zeros_like(spoken.samples), spoken.rate)
    with pytest.raises(AvatarError, match="hardly any speech"):
        learn(motion, silent, np.zeros(52), np.ones(len(motion), bool))
    (tmp_path / "v.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(AvatarError, match="not a voice model"):
        load_voice(tmp_path / "v.safetensors")
    with pytest.raises(AvatarError, match="no such voice model"):
        load_voice(tmp_path / "none.safetensors")


def test_of_a_real_person_the_held_out_end(shared_data: Path, tmp_path: Path) -> None:
    """The promise: lips at least a quarter nearer to the tracked ones than the general model's, in unseen frames."""
    from avatar3d.capture import CaptureOptions, capture
    from avatar3d.track import track

    clip = capture(shared_data / "clips" / "sadtalker_wda_aoc.mp4", CaptureOptions(matte=False, size=384))
    assert clip.audio is not None
    train = np.arange(len(clip)) < 0.8 * len(clip)
    motion, sound = track(clip).motion, Sound(np.asarray(clip.audio), clip.rate)
    rest = neutral_of(Motion(motion.pose[: int(train.sum())], motion.fps, motion.names)).expression.double().numpy()
    scores = compare(learn(motion, sound, rest, train), motion, sound, ~train, rest)
    assert scores["lower_percent"] >= 25, scores
    assert scores["personal_mm"] < 0.85 * scores["still_mm"]
