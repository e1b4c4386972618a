"""An edited avatar in the page: as it is, as it was, and what was done to it."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from avatar3d import heads
from avatar3d.core import Avatar, Bearing
from avatar3d.export import html
from avatar3d.export.player_pack import pack
from avatar3d.render import render
from avatar3d.render.path import posed, view

FACE = {"jawOpen": 0.4, "mouthSmileLeft": 0.5, "eyeBlinkRight": 0.6, "headYaw": 15.0}


def psnr(page, avatar: Avatar) -> float:
    """Of the page's picture against Python's of the same face, decibels."""
    truth = render(avatar, posed("anny", FACE), view(size=(320, 240)), torch.ones(3)).rgb.clamp(0, 1) * 255
    return 10 * math.log10(255**2 / float(((page.pixels()[..., :3] - truth.numpy()) ** 2).mean()))


@pytest.fixture(scope="module")
def edited(puppet) -> Avatar:
    """The puppet, recoloured, with a longer face, that smiles by itself and holds its head askew."""
    draw = torch.Generator().manual_seed(5)
    g = puppet.gaussians
    sh = g.sh.clone()
    sh[:, 0] += torch.tensor([0.6, -0.4, 0.2])
    gain, swing = torch.rand(52, generator=draw), torch.rand(6, generator=draw)
    turn = torch.randn(6, 3, generator=draw) * 0.05
    bearing = Bearing(gain, 0.3 * torch.rand(52, generator=draw), swing, turn)
    vertices = heads.load("anny").rest(puppet.identity)  # type: ignore[attr-defined]
    shape = torch.stack([torch.zeros(len(vertices)), 0.08 * vertices[:, 1], torch.zeros(len(vertices))], 1)
    done = ({"kind": "recolour", "region": "skin", "colour": "#aa3322"}, {"kind": "face", "values": {"jawOpen": 0.2}})
    return replace(puppet, gaussians=replace(g, sh=sh), bearing=bearing, shape=shape, edits=done, original=puppet)


@pytest.mark.parametrize("renderer", ["gpu", "cpu"])
def test_an_edited_avatar_is_python_s(opened, edited, renderer) -> None:
    page = opened(edited, f"?ui=0&background=white&renderer={renderer}")
    page.call("(v) => player.set(v)", FACE)
    assert psnr(page, edited) > 38
    assert page.call("() => player.get('jawOpen')") == pytest.approx(0.4)  # as it was set: the bearing comes after


def test_it_can_be_seen_as_it_was(opened, edited, puppet) -> None:
    page = opened(edited, "", (740, 300))
    page.page.locator("#tab-Look").click()
    shown = page.page.locator(".edits li").all_text_contents()
    assert len(shown) == 2 and "skin" in shown[0] and "#aa3322" in shown[0] and "jawOpen 0.2" in shown[1]
    now = page.pixels()
    page.page.get_by_label("As it was before").check()
    was = page.pixels()
    assert np.abs(was.astype(int) - now).mean() > 2
    page.page.get_by_label("As it was before").uncheck()
    assert np.abs(page.pixels().astype(int) - now).max() <= 1
    bare = opened(edited, "?ui=0&background=white&before=1")
    bare.call("(v) => player.set(v)", FACE)
    assert psnr(bare, puppet) > 38


def test_without_edits_there_is_nothing_to_switch(opened, puppet) -> None:
    page = opened(puppet, "", (740, 300))
    assert page.page.locator(".edits").count() == 0
    told = page.call("() => { try { player.before(true); } catch (e) { return e.message; } }")
    assert "no edits" in told


def test_only_what_differs_is_kept_twice(edited, puppet) -> None:
    once = len(pack(replace(edited, original=None)))
    coloured = replace(puppet, gaussians=edited.gaussians, edits=edited.edits[:1], original=puppet)
    assert len(pack(edited)) < 1.5 * once
    assert len(pack(coloured)) < 1.2 * len(pack(puppet))
    assert "before" in html.bundle()
