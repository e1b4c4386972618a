"""What the options of `avatar3d edit` for appearance ask for."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from avatar3d import store
from avatar3d.cli.console import Console
from avatar3d.cli.edit_verbs import Edit
from avatar3d.cli.look_flags import LookFlags, asks, bake, look_edits
from avatar3d.core import AvatarError


def edits(avatar, **given) -> list[dict]:
    return [one.to_json() for one in look_edits(LookFlags(**given), avatar, Console(quiet=True))]


def test_options_become_edits(doll, tmp_path) -> None:
    assert edits(doll, recolour=("iris=#3a7,lips=rgb(200, 30, 50):0.5",)) == [
        {"kind": "recolour", "region": "iris", "colour": "#3a7"},
        {"kind": "recolour", "region": "lips", "colour": "rgb(200, 30, 50)", "amount": 0.5},
    ]
    assert edits(doll, makeup=("blush", "eyeshadow=#446:0.8", "freckles:1")) == [
        {"kind": "makeup"},
        {"kind": "makeup", "style": "eyeshadow", "colour": "#446", "amount": 0.8},
        {"kind": "makeup", "style": "freckles", "amount": 1.0},
    ]
    assert edits(doll, smooth=("skin:0.7",), hide=("hair",), delete=("clothes",), wear=("beanie=navy", "glasses")) == [
        {"kind": "smooth", "amount": 0.7},
        {"kind": "hide", "region": "hair"},
        {"kind": "hide", "region": "clothes", "delete": True},
        {"kind": "wear", "thing": "beanie", "colour": "navy"},
        {"kind": "wear"},
    ]
    (light,) = edits(doll, light=("point:at=0.1/0.2/0.3,strength=2,colour=#fed",))
    assert light == {"kind": "light", "point": [0.1, 0.2, 0.3], "colour": "#fed", "strength": 2.0}
    Image.fromarray(np.full((32, 64, 3), 255, np.uint8)).save(tmp_path / "room.png")
    (room,) = edits(doll, light=(f"{tmp_path}/room.png",))
    assert len(room["sh"]) == 27 and room["ambient"] == 0.0


def test_pictures_and_meshes_go_into_the_edit(doll, tmp_path) -> None:
    Image.new("RGBA", (40, 20), (255, 0, 0, 128)).save(tmp_path / "dot.png")
    (paint,) = edits(doll, paint=(f"{tmp_path}/dot.png:at=nose,width=0.02,blend=multiply",))
    assert paint["at"] == "nose" and paint["width"] == 0.02 and len(paint["image"]) > 50
    (tmp_path / "box.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    (attach,) = edits(doll, attach=(f"{tmp_path}/box.obj:place=crown,up=0.02,turn=0/90/0",))
    assert attach["place"] == "crown" and attach["turn"] == [0.0, 90.0, 0.0] and attach["up"] == 0.02
    json.dumps([paint, attach])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"recolour": ("iris",)}, "write region=colour"),
        ({"recolour": ("irs=red",)}, "nearest"),
        ({"makeup": ("blsh",)}, "blush"),
        ({"wear": ("helmet",)}, "glasses|nearest|give"),
        ({"paint": ("no.png",)}, "no such file"),
        ({"attach": ("no.obj",)}, "no such file"),
        ({"light": ("leftt",)}, "give left"),
        ({"light": ("left:strength=x",)}, "give a number"),
        ({"like": ("no.jpg",)}, "no such file"),
        ({"hide": ("hair:2",)}, "from 0 to 1"),
        ({"texture": Path("no.png")}, "no such file"),
    ],
)
def test_what_cannot_be_is_said(doll, given, words) -> None:
    with pytest.raises(AvatarError, match=words):
        edits(doll, **given)


def test_the_texture_goes_out_and_comes_back(doll, tmp_path) -> None:
    """Unchanged it is no edit; a patch of it is an edit of that patch."""
    path = tmp_path / "t.png"
    bake(doll, path, 128, Console(quiet=True))
    pixels = np.asarray(Image.open(path)).copy()
    assert pixels.shape == (128, 128, 3) and pixels.std() > 10
    assert edits(doll, texture=path) == []
    pixels[40:50, 40:50] = (0, 0, 255)
    Image.fromarray(pixels).save(path)
    (made,) = edits(doll, texture=path)
    assert made["kind"] == "texture"
    with pytest.raises(AvatarError, match=r"ends in \.png"):
        bake(doll, tmp_path / "t.jpg", 128, Console(quiet=True))


def test_the_command_writes_and_undoes(doll, tmp_path) -> None:
    store.save(doll, tmp_path / "a.a3d")
    made = Edit(avatar=tmp_path / "a.a3d", output=tmp_path / "b.a3d", makeup=("blush:1",), quiet=True)
    assert [e["kind"] for e in made.work(Console(quiet=True))["edits"]] == ["makeup"]
    back = Edit(avatar=tmp_path / "b.a3d", output=tmp_path / "c.a3d", undo=1, quiet=True)
    back.work(Console(quiet=True))
    assert (tmp_path / "c.a3d").read_bytes() == (tmp_path / "a.a3d").read_bytes()
    assert asks(LookFlags(makeup=("blush",))) and not asks(LookFlags())
