"""`avatar3d sample` on the command line."""

import json
from pathlib import Path

import pytest
from PIL import Image

from avatar3d import store
from avatar3d.cli import main


def test_a_labelled_head_and_its_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head, picture = tmp_path / "s.a3d", tmp_path / "s.png"
    words = ["--label", "old man, bald, wearing a monocle", "--set", "freckles=.5"]
    assert main(["sample", "--seed", "3", *words, "-o", str(head), "--picture", str(picture), "--json"]) == 0
    said = capsys.readouterr()
    told = json.loads(said.out.splitlines()[-1])
    assert told["person"]["hair"] == "bald"
    assert told["person"]["freckles"] == 0.5
    assert "not understood" in said.err
    assert "monocle" in said.err
    assert store.load(head).about["sample"]["age"] > 60
    assert Image.open(picture).size == (768, 768)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["-o", "s.png"], "written to .a3d"),
        (["--sheet", "4", "-o", "s.a3d"], "written to .png"),
        (["--sheet", "0", "-o", "s.png"], "from 1 to"),
        (["--set", "hair=mohawk", "-o", "s.a3d"], "unknown name 'mohawk'"),
        (["--set", "freckles", "-o", "s.a3d"], "name=value"),
        (["--set", "eyes=green", "-o", "s.a3d"], "not a colour"),
        (["--age", "7", "-o", "s.a3d"], "from 14 to 90"),
        (["--label", "xyzzy", "-o", "s.a3d"], "nothing in it was understood"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    arguments: list[str],
    wanted: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["sample", *arguments]) != 0
    assert wanted in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
