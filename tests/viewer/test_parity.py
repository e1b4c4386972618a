"""The player draws what the Python renderer draws."""

import math

import numpy as np
import pytest
import torch

from avatar3d import heads
from avatar3d.core import Camera
from avatar3d.render import render
from avatar3d.render.path import posed, view

FACES = {
    "rest": ({}, 0.0),
    "speaking": ({"jawOpen": 0.6, "eyeBlinkLeft": 1.0, "mouthSmileLeft": 0.5, "headYaw": 20.0, "gazeYaw": 10.0}, 0.0),
    "from the side": ({"mouthPucker": 0.7, "browInnerUp": 1.0, "tongueOut": 0.5, "headPitch": -10.0}, 35.0),
}


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return 10 * math.log10(255**2 / float(((a.astype(float) - b) ** 2).mean()))


def python_view(avatar, pose, yaw: float, size: tuple[int, int]) -> np.ndarray:
    # The player's field of view is measured by the width on tall pages, by the height on wide ones as here.
    seen = render(avatar, pose, view(yaw, size=size), torch.ones(3)).rgb
    return (seen.clamp(0, 1) * 255 + 0.5).to(torch.uint8).numpy()


@pytest.mark.parametrize("renderer", ["gpu", "cpu"])
@pytest.mark.parametrize("face", FACES)
def test_a_frame_is_python_s(opened, puppet, face, renderer) -> None:
    """By WebGL, and by the renderer that takes its place where there is no graphics card."""
    values, yaw = FACES[face]
    page = opened(puppet, f"?ui=0&background=white&renderer={renderer}")
    page.call("([v, yaw]) => player.apply({set: v, yaw})", [values, yaw])
    truth = python_view(puppet, posed("anny", values), yaw, (320, 240))
    assert (truth < 250).mean() > 0.2
    assert psnr(page.pixels()[..., :3], truth) > 38


@pytest.mark.parametrize("renderer", ["gpu", "cpu"])
def test_swiftshader_draws_the_same(opened, swiftshader, puppet, renderer) -> None:
    values, yaw = FACES["speaking"]
    page = opened(puppet, f"?ui=0&background=white&renderer={renderer}", browser=swiftshader)
    page.call("([v, yaw]) => player.apply({set: v, yaw})", [values, yaw])
    assert psnr(page.pixels()[..., :3], python_view(puppet, posed("anny", values), yaw, (320, 240))) > 38


def test_the_motion_is_python_s_as_filmed(opened, puppet) -> None:
    """A frame of the avatar's own performance, by the clip's own camera."""
    page = opened(puppet, "?ui=0&background=white", size=(256, 256))
    page.call("() => player.apply({view: 'source', time: 4 / 25})")
    about = puppet.about["camera"]
    camera = Camera(torch.tensor(about["w2c"]), torch.tensor(about["K"]), 256, 256)
    truth = (render(puppet, puppet.motion.pose[4], camera, torch.ones(3)).rgb.clamp(0, 1) * 255 + 0.5).byte().numpy()
    assert psnr(page.pixels()[..., :3], truth) > 38


def test_every_expression_moves_as_in_python(opened, puppet) -> None:
    """All 52 at once, each by its own amount, so that a mixed-up name would show."""
    names = heads.load("anny").expressions
    values = {name: 0.1 + 0.5 * ((7 * i) % 13) / 13 for i, name in enumerate(names)}
    page = opened(puppet, "?ui=0&background=white")
    page.call("(v) => player.set(v)", values)
    assert psnr(page.pixels()[..., :3], python_view(puppet, posed("anny", values), 0.0, (320, 240))) > 36
    assert page.call("() => player.get('jawOpen')") == pytest.approx(values["jawOpen"])
