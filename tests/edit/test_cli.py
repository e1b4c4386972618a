"""`avatar3d edit` from its arguments to its file."""

import json
import sys
from dataclasses import replace

import pytest
import torch

from avatar3d import store
from avatar3d.__main__ import main
from avatar3d.edit import edit


@pytest.fixture(scope="module")
def file(doll, tmp_path_factory):
    index = torch.arange(0, len(doll.gaussians), 20)
    few = replace(doll, gaussians=doll.gaussians.gather(index), binding=doll.binding.gather(index))
    path = tmp_path_factory.mktemp("edit") / "a.a3d"
    store.save(few, path)
    return path


@pytest.fixture
def run(capsys, monkeypatch):
    def go(*arguments) -> tuple[int, dict, str]:
        monkeypatch.setattr(sys, "argv", ["avatar3d", *map(str, arguments)])
        try:
            code = main() or 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        out = capsys.readouterr()
        last = out.out.strip().splitlines()[-1:] or ["{}"]
        return code, json.loads(last[0]) if last[0].startswith("{") else {}, out.err

    return go


def test_edit_undo_and_history(run, file, tmp_path) -> None:
    out = tmp_path / "b.a3d"
    code, said, _ = run(
        *("edit", file, "-o", out, "--set", "jawOpen=.3,AU12=C", "--set", "nose_width=+0.5"),
        *("--hold", "eyeBlinkLeft=1", "--gain", "mouth=.5", "--json"),
    )
    assert code == 0 and [one["kind"] for one in said["edits"]] == ["face", "face", "shape", "face", "gain"]
    assert said["edits"][2] == {"kind": "shape", "values": {"nose_width": 0.5}}
    assert store.load(out).edits == tuple(said["edits"])
    code, said, _ = run("edit", out, "--json")
    assert code == 0 and len(said["edits"]) == 5 and said["undo"]
    back = tmp_path / "c.a3d"
    assert run("edit", out, "--undo", "5", "-o", back)[0] == 0
    assert back.read_bytes() == file.read_bytes(), "undoing all gives the file as it was"
    final = tmp_path / "d.a3d"
    assert run("edit", out, "--final", "-o", final)[0] == 0
    assert store.load(final).original is None and store.load(final).shape is not None


def test_edits_from_files_and_avatars(run, file, tmp_path) -> None:
    edits = [{"kind": "face", "values": {"jawOpen": 0.2}}, {"kind": "close", "lips": 1}]
    (tmp_path / "edits.json").write_text(json.dumps(edits))
    out = tmp_path / "o.a3d"
    code, said, _ = run(
        "edit", file, "--do", tmp_path / "edits.json", "--do", '{"kind":"symmetrise"}', "-o", out, "--json"
    )
    assert code == 0 and [one["kind"] for one in said["edits"]] == ["face", "close", "symmetrise"]
    other = tmp_path / "other.a3d"
    store.save(edit(store.load(file), {"kind": "shape", "values": {"nose_width": 1}}), other)
    code, said, _ = run("edit", file, "--mix", f"{other}=1:nose", "-o", out, "--json")
    assert code == 0 and said["edits"][0]["regions"] == ["nose"]
    assert store.load(out).shape is not None


def test_list(run) -> None:
    code, said, err = run("edit", "--list", "--json")
    assert code == 0 and {"jawOpen", "AU12", "nose_width", "age", "headYaw"} <= set(said["settings"])
    assert said["settings"]["nose_width"]["low"] == -1 and "face" in {one["kind"] for one in said["kinds"]}
    assert "nose_width" in err and "-1 to 1" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--set", "nose_widht=1", "-o", "x.a3d"), "nearest: nose_width"),
        (("--set", "nose_width=2", "-o", "x.a3d"), "nose_width is 2; give a number from -1 to 1"),
        (("--set", "nose_width", "-o", "x.a3d"), "write name=number"),
        (("--set", "jawOpen=nan", "-o", "x.a3d"), "write name=number"),
        (("--set", "jawOpen=.3"), "give a file to write with -o"),
        (("--undo", "1", "-o", "x.a3d"), "cannot undo 1: the avatar has 0 edits"),
        (("--do", "{", "-o", "x.a3d"), "--do: not JSON"),
        (("--do", "nowhere.json", "-o", "x.a3d"), "no such file of edits"),
        (("--mix", "a.a3d", "-o", "x.a3d"), "write FILE=amount"),
        (("--set", "jawOpen=.3", "-o", "x.txt"), "must end in .a3d"),
    ],
)
def test_what_is_wrong_is_said(run, file, tmp_path, monkeypatch, arguments, said) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = run("edit", file, *arguments)
    assert code != 0 and said in err
    assert not (tmp_path / "x.a3d").exists()
