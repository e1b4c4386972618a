"""The registry and its commands: every format is written whole or not at all, and what cannot be done is said."""

import json
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

import avatar3d
from avatar3d.cli import main
from avatar3d.core import AvatarError
from avatar3d.export import FORMATS, ExportOptions, format_of
from avatar3d.export.splats import posed_splats, scene
from avatar3d.render.path import neutral, posed
from avatar3d.render.webm import write_webm


@pytest.fixture(scope="module")
def stored(small, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("stored") / "small.a3d"
    avatar3d.save(small, path)
    return path


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_written_by_the_command(name, stored, tmp_path, capsys):
    if name == "usd":
        pytest.importorskip("pxr", reason="pip install usd-core")
    output = tmp_path / f"out{(FORMATS[name].suffixes or ('',))[0]}"
    command = [
        "export",
        str(stored),
        "--to",
        name,
        "-o",
        str(output),
        "--frames",
        "2",
        "--size",
        "64",
        "--json",
        "--quiet",
    ]
    assert main(command) == 0
    made = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert made["format"] == name and output.exists()
    assert [p.name for p in tmp_path.iterdir()] == [output.name], "no temporary files stay"
    if FORMATS[name].suffixes:
        assert format_of(output) == name
    again = main(command)
    assert again == (1 if name == "png" else 0), "a folder that is there already is not touched"


@pytest.mark.parametrize("name", ["ply", "compressed-ply", "splat", "spz", "sog", "glb", "lam"])
def test_what_is_exported_is_imported(name, stored, tmp_path, capsys):
    output = tmp_path / f"out{FORMATS[name].suffixes[0]}"
    assert main(["export", str(stored), "-o", str(output), "--quiet"]) == 0
    assert main(["import", str(output), "-o", str(tmp_path / "back.a3d"), "--json", "--quiet"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    back = avatar3d.load(tmp_path / "back.a3d")
    assert told["splats"] == len(back.gaussians) and back.head == ("anny" if name in ("lam", "glb") else "scene")
    there = posed_splats(back, neutral(avatar3d.export.heads.load(back.head))).means
    assert float(there[:, 1].max()) > 0.1, "upright: the top of the head is up"


def test_frames_and_poses_are_chosen(small, stored, tmp_path):
    up, down, at = (tmp_path / f"{x}.ply" for x in ("up", "down", "at"))
    assert main(["export", str(stored), "-o", str(up), "--frame", "y-up", "--set", "jawOpen=0.2", "--quiet"]) == 0
    assert main(["export", str(stored), "-o", str(down), "--set", "jawOpen=0.2", "--quiet"]) == 0
    assert main(["export", str(stored), "-o", str(at), "--at", "2", "--quiet"]) == 0
    wanted = posed_splats(small, posed("anny", {"jawOpen": 0.2})).means
    torch.testing.assert_close(avatar3d.import_avatar(down).gaussians.means, wanted, atol=1e-6, rtol=0)
    flipped = avatar3d.import_avatar(up).gaussians.means * torch.tensor([1.0, -1.0, -1.0])
    torch.testing.assert_close(flipped, wanted, atol=1e-6, rtol=0)
    torch.testing.assert_close(avatar3d.import_avatar(at).gaussians.means, wanted, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-o", "x.xyz"], "no format ends so"),
        (["-o", "x.ply", "--to", "pyl"], "unknown name 'pyl'"),
        (["-o", "x.spz", "--version", "7"], "3 and 4"),
        (["-o", "x.ply", "--at", "99"], "3 frames"),
        (["-o", "x.ply", "--set", "jawOpn=1"], "jawOpen"),
        (["-o", "x.mesh.glb", "--size", "9"], "16 to 8192"),
    ],
)
def test_what_cannot_be_done_is_said_and_leaves_nothing(arguments, said, stored, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(stored), *arguments, "--quiet"]) == 1
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_scene_is_converted(splats, tmp_path):
    avatar3d.export(scene(splats, "x"), tmp_path / "a.ply")
    assert main(["export", str(tmp_path / "a.ply"), "-o", str(tmp_path / "a.splat"), "--quiet"]) == 0
    assert main(["export", str(tmp_path / "a.ply"), "-o", str(tmp_path / "a.lam.zip"), "--quiet"]) == 1
    assert not (tmp_path / "a.lam.zip").exists()


def test_pictures_are_transparent_where_nobody_is(small, tmp_path):
    avatar3d.export(small, tmp_path / "shots", "png", ExportOptions(size=64, frames=2))
    assert sorted(p.name for p in (tmp_path / "shots").iterdir()) == ["00000.png", "00001.png"]
    picture = np.asarray(Image.open(tmp_path / "shots" / "00000.png"))
    assert picture.shape == (64, 64, 4) and picture[0, 0, 3] == 0 and picture[32, 32, 3] > 200


def test_a_video_of_a_scene_walks_around_it(splats, tmp_path):
    made = avatar3d.export(scene(splats, "x"), tmp_path / "a.mp4", options=ExportOptions(size=64, frames=3))
    assert made["frames"] == 3


def test_webm_says_that_it_is_transparent(small, tmp_path):
    path = tmp_path / "a.webm"
    avatar3d.export(small, path, options=ExportOptions(size=64, frames=2))
    with av.open(str(path)) as found:
        assert found.streams.video[0].metadata["alpha_mode"] == "1"
        assert sum(1 for _ in found.decode(video=0)) == 2


def test_webm_wants_even_sides_and_some_frames(tmp_path):
    for frames, said in (([], "no frames"), ([np.zeros((5, 4, 4), np.uint8)], "even sides")):
        with pytest.raises(AvatarError, match=said):
            write_webm(tmp_path / "a.webm", frames, 25.0)
    assert not list(tmp_path.iterdir())


def test_the_same_avatar_gives_the_same_bytes(small, tmp_path):
    for name in ("a.glb", "a.lam.zip", "a.sog"):
        for folder in ("one", "two"):
            avatar3d.export(replace(small), tmp_path / folder / name)
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
