import pytest
import torch
from ball_pictures import AWAY, CENTRE, RADIUS, SIZE, cameras, photographs

from avatar3d.core import AvatarError, Camera
from avatar3d.fit.scene_space import SIDE, moved, space


def ball() -> tuple[Camera, torch.Tensor]:
    camera = cameras(10)
    return camera, torch.from_numpy(photographs(camera)[1])


def test_box_holds_the_ball_and_little_more():
    camera, masks = ball()
    found = space(camera, masks)
    size = found.box[1] - found.box[0]
    assert float(size.max()) == pytest.approx(SIDE, rel=1e-5)
    scale = float(found.world[:3, 0].norm())
    centre = (found.world @ torch.cat([CENTRE, torch.ones(1)]))[:3]
    reach = scale * RADIUS
    assert bool((centre - reach >= found.box[0]).all()) and bool((centre + reach <= found.box[1]).all())
    assert float(size.max()) < 4.5 * reach
    # Cells: all of the ball's, few others.
    nz, ny, nx = found.occupied.shape
    z, y, x = torch.meshgrid(*(torch.arange(n) + 0.5 for n in (nz, ny, nx)), indexing="ij")
    points = torch.stack([x, y, z], -1) * (size / torch.tensor([nx, ny, nz])) + found.box[0]
    away = (points - centre).norm(dim=-1)
    assert bool(found.occupied[away < 0.98 * reach].all())
    assert float(found.occupied[away > 1.5 * reach].float().mean()) < 0.15


def test_world_is_upright_and_cameras_see_the_same():
    camera, masks = ball()
    found = space(camera, masks)
    there = moved(camera, found.world)
    point = torch.cat([CENTRE + 0.3, torch.ones(1)])
    pixels = []
    for lens, at in ((camera, point), (there, found.world @ point)):
        shown = (lens.K @ (lens.w2c @ at)[:, :3, None])[..., 0]
        pixels.append(shown[:, :2] / shown[:, 2:])
    torch.testing.assert_close(*pixels, atol=1e-2, rtol=1e-4)
    up = -there.w2c[:, 1, :3].mean(0)
    assert float(up[1] / up.norm()) > 0.999  # y is up
    front = there.position[0]
    assert front[2] > 0.9 * front.norm() and abs(float(front[0])) < 0.1 * float(front.norm())
    rotation = there.w2c[:, :3, :3]
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(3).expand_as(rotation), atol=1e-5, rtol=0)


def test_without_masks_the_box_reaches_nearly_to_the_cameras():
    camera, _ = ball()
    found = space(camera, None)
    assert bool(found.occupied.all())
    scale = float(found.world[:3, 0].norm())
    assert float((found.box[1] - found.box[0]).max()) == pytest.approx(2 * 0.8 * AWAY * scale, rel=1e-2)


def test_what_cannot_be_a_scene():
    camera, masks = ball()
    ahead = Camera(camera.w2c[:1].repeat(3, 1, 1), camera.K[:3], SIZE, SIZE)
    with pytest.raises(AvatarError, match="one direction"):
        space(ahead, masks[:3])
    beside = torch.zeros_like(masks)
    beside[::2, :4], beside[1::2, -4:] = 255, 255
    with pytest.raises(AvatarError, match="no point in common"):
        space(camera, beside)
