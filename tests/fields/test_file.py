"""Fields in `.a3d` files."""

import copy
from dataclasses import replace

import pytest
import torch

from avatar3d import store
from avatar3d.core import Avatar, AvatarError, Motion
from avatar3d.export import export
from avatar3d.export.html import content_of
from avatar3d.fit.field_steps import no_splats
from avatar3d.render.path import neutral
from avatar3d.tensor_file import header


@pytest.fixture
def avatar(field, head) -> Avatar:
    pose = replace(neutral(head, 3), heard=torch.rand(3, 5, generator=torch.Generator().manual_seed(0)))
    paint = torch.rand(len(field.canonical), 6, generator=torch.Generator().manual_seed(1))
    motion = Motion(pose, 25.0, head.expressions)
    return Avatar(
        "anny", torch.zeros(len(head.identities)), *no_splats(), motion=motion, field=replace(field, paint=paint)
    )


def test_a_field_comes_back_to_the_bit(avatar, tmp_path) -> None:
    store.save(avatar, tmp_path / "field.a3d")
    again = store.load(tmp_path / "field.a3d")
    for name, x in vars(avatar.field).items():
        y = getattr(again.field, name)
        if isinstance(x, torch.Tensor):
            assert x.dtype == y.dtype and torch.equal(x, y), name
        elif isinstance(x, tuple):
            assert all(torch.equal(a, b) for a, b in zip(x, y, strict=True)), name
        else:
            assert x == y, name
    assert torch.equal(again.motion.pose.heard, avatar.motion.pose.heard)
    assert header(tmp_path / "field.a3d").kind == "avatar"
    store.save(again, tmp_path / "again.a3d")
    assert (tmp_path / "again.a3d").read_bytes() == (tmp_path / "field.a3d").read_bytes()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"canonical": torch.zeros(7, 3)}, "field.parts has shape"),
        ({"table": torch.full((4, 2), torch.nan)}, "holds NaN"),
        ({"condition": (torch.zeros(5, 2, 3), torch.zeros(5, 2), torch.zeros(5, 9, 2))}, "field.network.0 has shape"),
    ],
)
def test_what_does_not_fit_is_not_written(avatar, tmp_path, change, what) -> None:
    broken = copy.copy(avatar.field)
    for name, value in change.items():
        object.__setattr__(broken, name, value)  # past the types that tests check, as a careless caller
    broken = replace(avatar, field=broken)
    with pytest.raises(AvatarError, match=what):
        store.save(broken, tmp_path / "broken.a3d")
    assert not (tmp_path / "broken.a3d").exists()


def test_formats_of_splats_say_distil_first(avatar, tmp_path) -> None:
    for name in ("a.ply", "a.glb", "a.html", "a.spz"):
        with pytest.raises(AvatarError, match="distil"):
            export(avatar, tmp_path / name)
    with pytest.raises(AvatarError, match="distil"):
        content_of(avatar)
    assert not list(tmp_path.iterdir())
