"""SyncNet's score: cepstra and statistic against known answers, weights checked, the whole path on random weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from avatar3d.core import AvatarError
from avatar3d.score.syncnet import SyncNet, cepstra, load_syncnet, lse, sync_score
from avatar3d.speech.sound import Sound


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("syncnet") / "random.safetensors"
    state = SyncNet().state_dict()
    save_file({k: v.half() if v.is_floating_point() else v for k, v in state.items()}, str(path))
    return path


def test_cepstra_are_those_of_python_speech_features() -> None:
    # Its `mfcc` (0.6) gave these for the tenth window of a chord that anybody can make again.
    t = np.arange(16000) / 16000
    chord = 0.3 * np.sin(2 * np.pi * 220 * t) + 0.1 * np.sin(2 * np.pi * 1830 * t)
    found = cepstra(chord.astype(np.float32))
    assert found.shape == (99, 13)
    wanted = [
        20.2133,
        8.2376,
        -15.4203,
        16.9033,
        35.9176,
        -10.4823,
        -43.824,
        -12.4754,
        8.1098,
        -27.9649,
        -47.3577,
        -15.873,
        2.8311,
    ]
    assert np.abs(found[10] - wanted).max() < 1e-3


@pytest.mark.parametrize("frames", [-6, 0, 9])
def test_a_shift_between_embeddings_is_the_offset(frames: int) -> None:
    rng = np.random.default_rng(2)
    both = torch.from_numpy(rng.standard_normal((90, 16))).float()
    said = both[20:70]
    seen = both[20 - frames : 70 - frames]  # picture i shows what is heard at i - frames: the mouth is late by `frames`
    score = lse(seen, said)
    assert score["syncnet_offset_ms"] == 40.0 * frames
    scrambled = lse(seen, said[torch.from_numpy(rng.permutation(50))])
    assert score["lse_c"] > 3 * scrambled["lse_c"] and score["lse_d"] < scrambled["lse_d"]


def test_the_whole_path_runs_and_needs_a_second(weights: Path) -> None:
    network = load_syncnet(weights)
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 255, (96, 96, 3), dtype=np.uint8) for _ in range(16)]
    landmarks = np.concatenate([rng.uniform(30, 70, (16, 478, 2)), np.zeros((16, 478, 1))], -1)
    sound = Sound(rng.uniform(-0.1, 0.1, (1, 16000)).astype(np.float32), 16000)
    score = sync_score(network, frames, landmarks, sound)  # type: ignore[arg-type]
    assert set(score) == {"lse_c", "lse_d", "syncnet_offset_ms"}
    assert np.isfinite(list(score.values())).all() and score["lse_d"] > 0
    with pytest.raises(AvatarError, match="a second or more"):
        sync_score(network, frames[:8], landmarks[:8], sound)  # type: ignore[arg-type]


def test_other_files_are_refused(tmp_path: Path, weights: Path) -> None:
    with pytest.raises(AvatarError, match="convert them by"):
        load_syncnet(tmp_path / "syncnet_v2.model")
    (tmp_path / "bad.safetensors").write_bytes(b"no")
    with pytest.raises(AvatarError, match="not a safetensors file"):
        load_syncnet(tmp_path / "bad.safetensors")
    save_file({"a": torch.zeros(2)}, str(tmp_path / "other.safetensors"))
    with pytest.raises(AvatarError, match="is missing"):
        load_syncnet(tmp_path / "other.safetensors")
    state = dict(SyncNet().state_dict())
    state["netfclip.3.weight"] = torch.zeros(512, 512)
    save_file(state, str(tmp_path / "small.safetensors"))
    with pytest.raises(AvatarError, match="has shape"):
        load_syncnet(tmp_path / "small.safetensors")
