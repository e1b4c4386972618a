"""Edits of an avatar whose body is a field."""

import pytest
import torch
from small_fields import random_field

from avatar3d import heads, render, store
from avatar3d.core import Avatar, AvatarError, Camera
from avatar3d.edit import edit, undo
from avatar3d.fit.field_steps import no_splats
from avatar3d.geometry import orbit, pinhole
from avatar3d.render.path import posed


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    head = heads.load("anny")
    return Avatar("anny", torch.zeros(len(head.identities)), *no_splats(), field=random_field(head))


def seen(avatar: Avatar) -> torch.Tensor:
    camera = Camera(orbit(torch.zeros(1)).w2c[0], pinhole(40, 40, 75.0), 40, 40)
    return render.render(avatar, posed(avatar.head, {}), camera).rgb


def test_colours_are_painted_on_and_taken_off(avatar, tmp_path) -> None:
    blue = edit(avatar, {"kind": "recolour", "region": "all", "colour": "#2040c0"})
    change = seen(blue) - seen(avatar)
    assert change[..., 2].max() > 0.05 and change[..., 0].min() < -0.05
    assert torch.equal(blue.field.table, avatar.field.table)
    store.save(blue, tmp_path / "blue.a3d")
    again = store.load(tmp_path / "blue.a3d")
    assert torch.equal(seen(again), seen(blue))
    assert torch.equal(seen(undo(again)), seen(avatar))


def test_what_acts_on_the_rig_acts_on_a_field(avatar) -> None:
    yawning = edit(avatar, {"kind": "face", "values": {"AU26": 1.0}})
    assert (seen(yawning) - seen(avatar)).abs().max() > 0.02


def test_what_needs_splats_says_so(avatar) -> None:
    with pytest.raises(AvatarError, match="distil"):
        edit(avatar, {"kind": "hide", "region": "hair"})
