"""The whole fit on a rendered head with known poses, colours and matte."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from avatar3d.core import AvatarError, Camera, Clip, Motion, Pose, Track
from avatar3d.fit import FitOptions, fit, follow, steps, unseen
from avatar3d.fit.start import rest_pose
from avatar3d.geometry import look_at, pinhole, rigid
from avatar3d.ops import mesh, splat
from avatar3d.render.shade import shade
from avatar3d.rig import basis_weights
from avatar3d.rig import pose as pose_splats

SIZE = 72
OPTIONS = FitOptions(steps=60, photo_steps=40, splats=2500, batch=2, blendshapes=3, checkpoint_every=20)


@pytest.fixture(autouse=True)
def ball_is_a_head(ball, monkeypatch):
    monkeypatch.setattr("avatar3d.heads.load", lambda name: ball)


def performance(ball, t: int, hairy: float = 0.0) -> tuple[Clip, Track]:
    """Renders the head, turning, its lower part moving; `hairy` lifts the scalp in the pictures only."""
    phase = torch.linspace(0, 6, t)
    turn = torch.stack([torch.zeros(t), 0.5 * phase.sin(), torch.zeros(t)], -1)
    joints = torch.stack([0 * turn, turn], 1)
    expression = torch.stack([(1 + (2 * phase).cos()) / 2, torch.zeros(t)], -1)
    root = rigid(torch.eye(3).expand(t, 3, 3), torch.tensor([0.0, 0.0, -0.6]).expand(t, 3))
    pose = Pose(expression, joints, root)
    camera = Camera(torch.diag(torch.tensor([1.0, -1, -1, 1])), pinhole(SIZE, SIZE, 150.0), SIZE, SIZE)
    grown = dataclasses.replace(ball, rest=ball.rest * (1 + hairy * ball.regions["scalp"][:, None]))
    identity = torch.zeros(1)
    seen = shade(grown.vertices(identity.expand(t, 1), pose), ball.faces, camera, ball.colours.expand(t, -1, -1))
    alpha = seen.alpha
    frames = ((seen.rgb + 0.3 * (1 - alpha)) * 255 + 0.5).clamp(0, 255).byte().numpy()
    masks = (alpha[..., 0] * 255 + 0.5).byte().numpy()
    clip = Clip(Path("ball.mp4"), SIZE, SIZE, 25.0, frames, masks)
    return clip, Track("ball", identity, Motion(pose, 25.0, ball.expressions), camera, torch.ones(t))


def psnr_on_white(ball, avatar, clip, track, row) -> float:
    pose = track.motion.pose[row]
    posed = pose_splats(
        avatar.gaussians, avatar.binding, avatar.basis, ball.vertices(avatar.identity, pose), ball.faces, pose
    )
    seen = splat.rasterize(posed, track.camera, torch.ones(3)).rgb.detach().numpy()
    alpha = clip.masks[row][..., None] / 255
    truth = clip.frames[row] / 255 * alpha + 1 - alpha
    return float(-10 * np.log10(((seen - truth) ** 2).mean()))


def test_held_out_frames_look_like_the_clip(ball):
    clip, track = performance(ball, 20)
    avatar = fit(clip, track, dataclasses.replace(OPTIONS, hold_out=0.2, steps=120))
    assert avatar.about["fitted"] == 16
    assert min(psnr_on_white(ball, avatar, clip, track, row) for row in (17, 19)) > 24
    for x in (*vars(avatar.gaussians).values(), avatar.basis.means):
        assert x.isfinite().all() and not x.requires_grad


def test_following_finds_the_poses_that_tracking_missed(ball):
    clip, truth = performance(ball, 8)
    avatar = fit(clip, truth, dataclasses.replace(OPTIONS, steps=120))
    pose = truth.motion.pose
    shift = torch.eye(4).repeat(8, 1, 1)
    shift[:, 0, 3] = 0.006
    missed = dataclasses.replace(truth, motion=Motion(Pose(pose.expression, pose.joints, pose.root @ shift), 25.0, ()))
    found = follow(avatar, clip, missed, first=4)
    assert torch.equal(found.motion.pose.root[:4], missed.motion.pose.root[:4])  # frames before the first stay
    off = (found.motion.pose.root - pose.root)[4:, 0, 3].abs()
    assert off.max() < 0.003
    for row in (4, 7):
        assert psnr_on_white(ball, avatar, clip, found, row) > psnr_on_white(ball, avatar, clip, missed, row) + 1


def test_following_keeps_a_pose_that_is_right(ball):
    clip, truth = performance(ball, 8)
    avatar = fit(clip, truth, dataclasses.replace(OPTIONS, steps=120))
    away = (follow(avatar, clip, truth, 4).motion.pose.root - truth.motion.pose.root)[4:, 2, 3]
    assert away.abs().max() < 0.002  # pictures of half the size push it 0.007 away


def test_clothes_have_no_blendshapes(ball):
    clip, track = performance(ball, 6)
    dressed = dataclasses.replace(ball, regions=ball.regions | {"torso": (ball.rest[:, 1] < -0.06).float()})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("avatar3d.heads.load", lambda name: dressed)
        avatar = fit(clip, track, OPTIONS)
    assert avatar.basis is not None
    torso = unseen.at_splats(dressed.regions["torso"], ball.faces, avatar.binding) > 0.6
    assert avatar.basis.means[:, torso].abs().max() == 0 < avatar.basis.means[:, ~torso].abs().max()


def test_blendshapes_are_not_asked_for_what_the_clip_never_showed(ball):
    clip, track = performance(ball, 6)
    avatar = fit(clip, track, OPTIONS)
    assert avatar.basis is not None and avatar.motion is not None
    seen = avatar.motion.pose
    more = seen.expression.amax(0) + torch.tensor([[0.06, 0.06], [0.6, 0.6]])
    beyond = Pose(more, torch.zeros(2, 2, 3), seen.root[:2])
    near, far = basis_weights(avatar.basis, beyond)
    assert torch.allclose(near, far, atol=1e-5)
    assert (basis_weights(avatar.basis, seen).std(0) > 1e-4).any()


def test_each_step_reports_and_the_loss_falls(ball):
    clip, track = performance(ball, 6)
    seen = list(steps(clip, track, OPTIONS))
    assert [s.index for s in seen] == list(range(1, 61)) and {s.total for s in seen} == {60}
    assert np.mean([s.loss for s in seen[-5:]]) < 0.7 * np.mean([s.loss for s in seen[:5]])
    assert np.mean([s.psnr for s in seen[-5:]]) > np.mean([s.psnr for s in seen[:5]])


def test_hair_outside_of_the_mesh_is_covered(ball):
    psnr = {}
    for hairy in (0.0, 0.25):
        clip, track = performance(ball, 6, hairy)
        psnr[hairy] = psnr_on_white(ball, fit(clip, track, OPTIONS), clip, track, 2)
    assert psnr[0.25] > psnr[0.0] - 1  # as well as a head that the mesh covers


def test_a_photo_makes_an_avatar_whose_back_is_closed_and_not_noise(ball):
    clip, track = performance(ball, 1)
    begun = fit(clip, track, dataclasses.replace(OPTIONS, photo_steps=1))
    avatar = fit(clip, track, dataclasses.replace(OPTIONS, photo_steps=120))
    assert avatar.basis is None
    assert psnr_on_white(ball, avatar, clip, track, 0) > psnr_on_white(ball, begun, clip, track, 0) + 3
    rest = rest_pose(ball)
    vertices = ball.vertices(avatar.identity, rest)
    posed = pose_splats(avatar.gaussians, avatar.binding, None, vertices, ball.faces, rest)
    behind = look_at(torch.tensor([0.0, 0.0, -0.6]), torch.zeros(3))
    camera = Camera(behind, pinhole(SIZE, SIZE, 150.0), SIZE, SIZE)
    seen, covered = splat.rasterize(posed, camera), mesh.rasterize(vertices, ball.faces, camera).mask
    assert seen.alpha[..., 0][covered].mean() > 0.95
    colours = seen.rgb[covered] / seen.alpha[covered]
    assert colours.std(0).max() < 0.15


def test_an_interrupted_fit_resumes_with_the_same_bits(ball, tmp_path):
    clip, track = performance(ball, 5)
    options = dataclasses.replace(OPTIONS, steps=45)
    whole = fit(clip, track, options)
    path = tmp_path / "resume.safetensors"
    for step in steps(clip, track, options, checkpoint=path):
        if step.index == 29:
            break
    assert path.exists()
    seen = list(steps(clip, track, options, checkpoint=path))
    assert seen[0].index == 21
    again = seen[-1].avatar()
    for name, x in vars(whole.gaussians).items():
        assert torch.equal(x, getattr(again.gaussians, name)), name
    assert torch.equal(whole.basis.means, again.basis.means)
    fit(clip, track, options, checkpoint=path)
    assert not path.exists()


def test_a_checkpoint_of_another_fit_is_refused(ball, tmp_path):
    clip, track = performance(ball, 3)
    path = tmp_path / "resume.safetensors"
    for step in steps(clip, track, OPTIONS, checkpoint=path):
        if step.index == 20:
            break
    with pytest.raises(AvatarError, match="another clip or other options"):
        next(iter(steps(clip, track, dataclasses.replace(OPTIONS, steps=61), checkpoint=path)))
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(AvatarError, match="not a checkpoint"):
        next(iter(steps(clip, track, OPTIONS, checkpoint=path)))


def test_the_same_seed_gives_the_same_bits_with_any_number_of_threads(ball):
    clip, track = performance(ball, 4)
    options = dataclasses.replace(OPTIONS, steps=25)
    before = torch.get_num_threads()
    made = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            made.append(fit(clip, track, options))
    finally:
        torch.set_num_threads(before)
    for name, x in vars(made[0].gaussians).items():
        assert torch.equal(x, getattr(made[1].gaussians, name)), name
