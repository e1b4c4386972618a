"""Pictures of avatars: against the parts they are made of, and against wrong cameras and poses."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from avatar3d.core import AvatarError, Basis, Camera
from avatar3d.render import check_camera, frames, render
from avatar3d.render.path import neutral, orbit_views, posed, view


def test_the_face_is_where_the_camera_looks(doll) -> None:
    seen = render(doll, posed("anny", {}), view(size=(128, 128)))
    alpha = seen.alpha[..., 0]
    assert alpha[60:68, 60:68].min() > 0.9 and alpha[0, 0] == 0
    depth = (seen.depth / seen.alpha.clamp(min=1e-6))[64, 64, 0]
    assert 0.55 < float(depth) < 0.75


def test_background_fills_what_the_avatar_leaves(doll) -> None:
    pose, camera = posed("anny", {}), view(size=(64, 64))
    black, white = (render(doll, pose, camera, torch.full((3,), x)) for x in (0.0, 1.0))
    assert torch.allclose(white.rgb - black.rgb, (1 - black.alpha).expand(64, 64, 3), atol=1e-5)


def test_frames_equal_single_renders(doll) -> None:
    pose = doll.motion.pose
    camera = orbit_views(torch.linspace(-1, 1, 6), 0.0, (64, 48))
    stream = list(frames(doll, replace(pose, root=torch.eye(4).expand(6, 4, 4)), camera))
    assert len(stream) == 6 and stream[0].shape == (48, 64, 3)
    one = Camera(camera.w2c[4], camera.K[4], 64, 48)
    alone = render(doll, replace(pose[4], root=torch.eye(4)), one, torch.ones(3)).rgb
    assert np.abs(stream[4].astype(float) - 255 * alone.clamp(0, 1).numpy()).max() <= 1


def test_transparent_frames_carry_straight_colours(doll) -> None:
    image = next(frames(doll, neutral_batch(), view(size=(96, 96)), None))
    assert image.shape == (96, 96, 4)
    edge = (image[..., 3] > 60) & (image[..., 3] < 200)
    inside = image[..., 3] > 250
    assert edge.any()
    # Premultiplied colours would be about half as bright at the edges.
    assert image[edge][:, 0].mean() > 0.75 * image[inside][:, 0].mean()


def neutral_batch():
    return posed("anny", {}).map(lambda x: x[None])


def test_left_is_left(doll) -> None:
    """A camera at positive yaw shows the head's left side: its left eye (+x) comes closer than the right one."""
    camera = view(yaw=40.0)
    left, right = (camera.w2c[:3, :3] @ torch.tensor([x, 0, 0.01]) + camera.w2c[:3, 3] for x in (0.03, -0.03))
    assert left[2] < right[2]
    assert float(left[0] - right[0]) > 0  # seen from the front, the head's left is on the image's right


def test_gradients_reach_identity_pose_and_camera(doll) -> None:
    identity = doll.identity.clone().requires_grad_()
    pose = posed("anny", {"jawOpen": 0.3})
    pose.expression.requires_grad_()
    camera = view(size=(48, 48))
    camera.w2c.requires_grad_()
    render(replace(doll, identity=identity), pose, camera).rgb.square().sum().backward()
    for x in (identity, pose.expression, camera.w2c):
        assert x.grad is not None and float(x.grad.abs().sum()) > 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: replace(c, w2c=c.w2c * float("nan")), "w2c holds NaN"),
        (lambda c: replace(c, K=c.K * float("inf")), "K holds NaN or infinity"),
        (lambda c: replace(c, K=-c.K), "must be positive"),
        (lambda c: replace(c, w2c=c.w2c * 2), "not a rotation"),
        (lambda c: replace(c, w2c=torch.diag(torch.tensor([1.0, 1, -1, 1]))), "not a rotation"),
        (lambda c: replace(c, width=0), "at least 1 pixel"),
    ],
)
def test_wrong_cameras_are_said(doll, change, said: str) -> None:
    camera = change(view(size=(16, 16)))
    with pytest.raises(AvatarError, match=said):
        check_camera(camera)
    with pytest.raises(AvatarError, match=said):
        render(doll, posed("anny", {}), camera)


def test_the_camera_with_the_nan_is_named() -> None:
    camera = orbit_views(torch.zeros(5), 0.0, (16, 16))
    w2c = camera.w2c.clone()
    w2c[3, 0, 0] = float("nan")
    with pytest.raises(AvatarError, match="camera 3"):
        check_camera(replace(camera, w2c=w2c))


def test_wrong_poses_and_avatars_are_said(doll) -> None:
    pose, camera = posed("anny", {}), view(size=(16, 16))
    with pytest.raises(AvatarError, match="7 expression weights"):
        render(doll, replace(pose, expression=torch.zeros(7)), camera)
    with pytest.raises(AvatarError, match="joints"):
        render(doll, replace(pose, joints=torch.zeros(2, 3)), camera)
    with pytest.raises(AvatarError, match="root holds NaN"):
        render(doll, replace(pose, root=pose.root * float("nan")), camera)
    with pytest.raises(AvatarError, match="another version of the head"):
        render(replace(doll, identity=torch.zeros(3)), pose, camera)
    n = len(doll.gaussians)
    layers = (torch.zeros(2, 64), torch.zeros(2))
    older = Basis(torch.zeros(2, n, 3), torch.zeros(2, n, 4), torch.zeros(2, n, 3), layers)
    with pytest.raises(AvatarError, match="64 pose numbers"):
        render(replace(doll, basis=older), pose, camera)
    with pytest.raises(AvatarError, match="rides on a face"):
        binding = replace(doll.binding, face=doll.binding.face + 1)
        render(replace(doll, binding=binding), pose, camera)
    with pytest.raises(AvatarError, match="2 cameras for 3 poses"):
        from avatar3d import heads

        next(frames(doll, neutral(heads.load("anny"), 3), orbit_views(torch.zeros(2), 0.0, (16, 16))))
