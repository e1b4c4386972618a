"""From a synthetic capture of many cameras to a scored avatar, with a fit of a few steps."""

import json
from pathlib import Path

import numpy as np
import pytest

from avatar3d import assets, store
from avatar3d.cli import main
from avatar3d.core import AvatarError

TINY = "steps = 24\nsplats = 2500\nblendshapes = 2\nbatch = 2\ncoarse = 0.5\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a capture of our own head: three moments, an arc of four cameras and four to score on."""
    try:
        assets.path("face-landmarker")
    except AvatarError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("captures")
    (folder / "tiny.toml").write_text(TINY)
    made = [
        "capture",
        "synthetic",
        "--mesh",
        "anny",
        "--views",
        "4",
        "--arc",
        "35",
        "--motion",
        "random:3",
        "--size",
        "128",
    ]
    assert main([*made, "-o", str(folder / "ring"), "--quiet"]) == 0
    return folder


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict:
    assert main([*map(str, arguments), "--json", "--quiet"]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.fixture(scope="module")
def avatar(folder: Path) -> Path:
    path = folder / "a.a3d"
    assert main(["fit", str(folder / "ring"), "-o", str(path), "--preset", str(folder / "tiny.toml"), "--quiet"]) == 0
    return path


def test_a_capture_is_reported(folder: Path, capsys) -> None:
    found = run(capsys, "capture", folder / "ring")
    assert (found["frames"], found["steps"], found["cameras"], found["width"]) == (24, 3, 8, 128)
    assert 12 <= found["faces"] <= 24


def test_it_is_fitted_to_without_the_views_to_score_on(avatar: Path) -> None:
    made = store.load(avatar)
    assert made.motion is not None and len(made.motion) == 3
    assert np.array(made.about["world"]).shape == (4, 4)
    assert made.about["fitted"] == 12 and np.array(made.about["camera"]["w2c"]).shape == (4, 4)


def test_novel_views_are_scored(folder: Path, avatar: Path, capsys) -> None:
    found = run(capsys, "score", "fit", avatar, folder / "ring")
    assert found["frames"] == 12 and found["psnr"] > 16  # 12 and less where cameras are mixed up


def test_moments_kept_back_are_followed_and_scored(folder: Path, avatar: Path, capsys) -> None:
    found = run(capsys, "score", "fit", avatar, folder / "ring", "--hold-out", "0.34")
    assert found["frames"] == 4 and found["psnr"] > 16


def test_a_track_of_many_cameras_is_a_file(folder: Path, capsys) -> None:
    found = run(capsys, "track", folder / "ring", "-o", folder / "t.a3d")
    track = store.load_track(folder / "t.a3d")
    assert found["frames"] == 24 and len(track.motion) == 3 and len(track.camera.w2c) == 24
    assert track.world is not None and store.load_track(folder / "t.a3d").quality.shape == (3,)


def test_a_capture_that_cannot_be_read_is_said_in_one_line(folder: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "transforms.json").write_text((folder / "ring" / "transforms_train.json").read_text())
    assert main(["capture", str(tmp_path), "--quiet"]) == 1
    said = capsys.readouterr().err.strip()
    assert "missing" in said and "\n" not in said
