"""Baselines: their binding against formulas written anew in numpy, gradients, training, densification."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from avatar3d.core import AvatarError, Camera, Clip, Motion, Pose, Track
from avatar3d.fit.density import Change
from avatar3d.fit.recipes import RECIPES, recipe_preset, train
from avatar3d.fit.recipes.recipe import Body
from avatar3d.fit.start import rest_pose
from avatar3d.fit.views import load
from avatar3d.geometry import pinhole, quat_to_matrix, rigid, rotvec_to_matrix
from avatar3d.ops import splat
from avatar3d.render.shade import shade

SIZE = 64
SMALL = {"splats": 700, "steps": 30, "batch": 2}
LATE = {"flash-avatar": (20.0, 50), "splatting-avatar": (12.0, 50), "gaussian-blendshapes": (6.0, 40)}


@pytest.fixture(autouse=True)
def ball_is_a_head(ball, monkeypatch):
    monkeypatch.setattr("avatar3d.heads.load", lambda name: ball)


def performance(ball, t: int = 6) -> tuple[Clip, Track]:
    phase = torch.linspace(0, 6, t)
    turn = torch.stack([torch.zeros(t), 0.4 * phase.sin(), torch.zeros(t)], -1)
    expression = torch.stack([(1 + (2 * phase).cos()) / 2, torch.zeros(t)], -1)
    root = rigid(torch.eye(3).expand(t, 3, 3), torch.tensor([0.0, 0.0, -0.6]).expand(t, 3))
    pose = Pose(expression, torch.stack([0 * turn, turn], 1), root)
    camera = Camera(torch.diag(torch.tensor([1.0, -1, -1, 1])), pinhole(SIZE, SIZE, 130.0), SIZE, SIZE)
    seen = shade(ball.vertices(torch.zeros(t, 1), pose), ball.faces, camera, ball.colours.expand(t, -1, -1))
    frames = ((seen.rgb + 0.3 * (1 - seen.alpha)) * 255 + 0.5).clamp(0, 255).byte().numpy()
    masks = (seen.alpha[..., 0] * 255 + 0.5).byte().numpy()
    track = Track("ball", torch.zeros(1), Motion(pose, 25.0, ball.expressions), camera, torch.ones(t))
    return Clip(Path("ball.mp4"), SIZE, SIZE, 25.0, frames, masks), track


def begun(name: str, ball, disturb: float = 0.0):
    """Returns a recipe at its start, with every parameter disturbed so that each has its say."""
    clip, track = performance(ball)
    recipe = RECIPES[name].begin(Body.of(ball, track.identity), load(clip, track), 700, 1.0)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for x in recipe.values.values():
            x += disturb * torch.randn(x.shape, generator=generator)
    recipe.share = 1.0
    return recipe


def some_pose() -> Pose:
    joints = torch.tensor([[0.1, -0.2, 0.05], [0.0, 0.4, 0.1]])
    return Pose(torch.tensor([0.7, 0.2]), joints, rigid(rotvec_to_matrix(torch.tensor([0.1, 0.3, 0.0])), torch.ones(3)))


def numpy_frames(v: np.ndarray, faces: np.ndarray):
    """GaussianAvatars' frames, triangle by triangle."""
    rotations, sizes = [], []
    for a, b, c in faces:
        e, s = v[b] - v[a], v[c] - v[a]
        a0 = e / np.linalg.norm(e)
        a1 = np.cross(a0, s)
        a1 /= np.linalg.norm(a1)
        a2 = -np.cross(a1, a0)
        rotations.append(np.stack([a0, a1, a2], 1))
        sizes.append((np.linalg.norm(e) + abs(a2 @ s)) / 2)
    return np.stack(rotations), np.array(sizes)


def whole_faces(ball) -> np.ndarray:
    """Returns which triangles have an extent (those at the poles do not)."""
    corners = ball.rest[ball.faces]
    return (
        torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).norm(dim=-1) > 1e-7
    ).numpy()


def oracle(name: str, recipe, ball, vertices: np.ndarray, pose: Pose):
    """Returns centres, rotation matrices and log sizes by the published formulas, in double precision."""
    p = {k: x.detach().double().numpy() for k, x in recipe.values.items()}
    face, bary = recipe.binding.face.numpy(), recipe.binding.bary.double().numpy()
    corners = ball.faces.numpy()[face]
    foot = (bary[..., None] * vertices[corners]).sum(1)
    unit = lambda q: q / np.linalg.norm(q, axis=-1, keepdims=True)  # noqa: E731
    turn_of = lambda q: Rotation.from_quat(unit(q)[..., [1, 2, 3, 0]]).as_matrix()  # noqa: E731
    kept = whole_faces(ball)
    R, k = np.zeros((len(kept), 3, 3)), np.ones(len(kept))
    R[kept], k[kept] = numpy_frames(vertices, ball.faces.numpy()[kept])
    theta = np.concatenate([pose.expression.numpy(), pose.joints.flatten().numpy()]).astype(float)
    skull = ball.joint_transforms(torch.zeros(1), pose)[1, :3, :3].double().numpy()
    if name == "gaussian-avatars":
        means = k[face, None] * np.einsum("nij,nj->ni", R[face], p["means"]) + foot
        return means, R[face] @ turn_of(p["quats"]), p["log_scales"] + np.log(k[face])[:, None]
    if name == "rgb-avatar":
        x = theta
        for i in range(3):
            x = p[f"network.{2 * i}"] @ x + p[f"network.{2 * i + 1}"]
            x = np.maximum(x, 0) if i < 2 else x
        local = p["means"] + np.tensordot(x, p["shape_means"], 1)
        quats = unit(p["quats"]) + np.tensordot(x, p["shape_quats"], 1)
        return np.einsum("nij,nj->ni", R[face], local) + foot, R[face] @ turn_of(quats), p["log_scales"]
    if name == "flash-avatar":
        rest = (bary[..., None] * ball.rest.double().numpy()[corners]).sum(1) * 10
        waves = rest[:, :, None] * 2.0 ** np.arange(8)
        x = np.concatenate([rest, np.sin(waves).reshape(len(rest), -1), np.cos(waves).reshape(len(rest), -1)], 1)
        x = np.concatenate([x, np.tile(theta, (len(x), 1))], 1)
        for i in range(7):
            x = x @ p[f"network.{2 * i}"].T + p[f"network.{2 * i + 1}"]
            x = np.maximum(x, 0) if i < 6 else np.tanh(x)
        bend = np.concatenate([np.exp(x[:, 3:4]), x[:, 4:7]], 1)
        return (
            foot + 0.1 * x[:, :3] @ skull.T,
            skull @ turn_of(p["quats"]) @ turn_of(bend),
            p["log_scales"] * np.exp(x[:, 7:]),
        )
    if name == "gaussian-blendshapes":
        share = recipe._share.double().numpy() * pose.expression.double().numpy()[:, None]
        add = lambda key: p[key].reshape(len(face), -1) + np.einsum("en,enc->nc", share, p[f"shape_{key}"])  # noqa: E731
        return foot + add("means") @ skull.T, skull @ turn_of(add("quats")), add("log_scales")
    raise AssertionError(name)


@pytest.mark.parametrize("name", ["gaussian-avatars", "rgb-avatar", "flash-avatar", "gaussian-blendshapes"])
def test_posing_is_the_published_formula(name, ball):
    recipe, pose = begun(name, ball, 0.05), some_pose()
    vertices = ball.vertices(torch.zeros(1), pose)
    posed = recipe.posed(vertices[None], pose.map(lambda x: x[None])).map(lambda x: x[0].detach())
    means, turns, log_scales = oracle(name, recipe, ball, vertices.double().numpy(), pose)
    ok = whole_faces(ball)[recipe.binding.face.numpy()]
    assert ok.mean() > 0.9
    # Where lengths are divided by a triangle's size again, single precision is lost by that factor.
    np.testing.assert_allclose(posed.means.numpy()[ok], means[ok], atol=5e-5 if name == "rgb-avatar" else 2e-6)
    np.testing.assert_allclose(quat_to_matrix(posed.quats).numpy()[ok], turns[ok], atol=2e-4)
    np.testing.assert_allclose(posed.log_scales.numpy()[ok], log_scales[ok], atol=1e-4)


def test_splatting_avatar_rides_on_the_surface(ball):
    """At rest: the point plus the height along the normal. Moved rigidly: moved rigidly. Grown: grown."""
    recipe, rest = begun("splatting-avatar", ball, 0.02), rest_pose(ball)
    alone = rest.map(lambda x: x[None])
    still = recipe.posed(ball.rest[None], alone).map(lambda x: x[0].detach())
    uv, face = recipe.values["uv"].detach(), recipe.binding.face
    bary = torch.cat([1 - uv.sum(-1, keepdim=True), uv], -1)
    corners = ball.faces[face]
    foot = (bary[..., None] * ball.rest[corners]).sum(1)
    outward = still.means - foot
    height = recipe.values["height"].detach()
    torch.testing.assert_close(outward.norm(dim=-1), height.abs(), atol=1e-6, rtol=0)
    # An ellipsoid's normal is its gradient.
    gradient = torch.nn.functional.normalize(foot / torch.tensor([0.08, 0.11, 0.09]) ** 2, dim=-1)
    high = height.abs() > 0.005
    cosine = (outward[high] / height[high, None] * gradient[high]).sum(-1)
    assert cosine.median() > 0.99 and cosine.quantile(0.1) > 0.95
    torch.testing.assert_close(
        quat_to_matrix(still.quats), quat_to_matrix(recipe.values["quats"].detach()), atol=1e-4, rtol=0
    )
    motion = rigid(rotvec_to_matrix(torch.tensor([0.3, -0.5, 0.2])), torch.tensor([0.1, 0.2, 0.3]))
    moved = recipe.posed((ball.rest @ motion[:3, :3].T + motion[:3, 3])[None], alone).map(lambda x: x[0].detach())
    fine = foot[:, 1].abs() < 0.1  # triangles at the poles have no normal
    carried = still.means @ motion[:3, :3].T + motion[:3, 3]
    torch.testing.assert_close(moved.means[fine], carried[fine], atol=1e-5, rtol=0)
    turned = motion[:3, :3] @ quat_to_matrix(still.quats)
    torch.testing.assert_close(quat_to_matrix(moved.quats)[fine], turned[fine], atol=1e-3, rtol=0)
    grown = recipe.posed(2 * ball.rest[None], alone).map(lambda x: x[0].detach())
    torch.testing.assert_close(
        (grown.log_scales - still.log_scales)[fine], torch.full((int(fine.sum()), 3), math.log(2))
    )


@pytest.mark.parametrize("name", RECIPES)
def test_every_parameter_has_a_gradient(name, ball):
    recipe, pose = begun(name, ball, 0.02), some_pose().map(lambda x: x[None])
    _, track = performance(ball)
    vertices = ball.vertices(torch.zeros(1, 1), pose)
    posed = recipe.posed(vertices, pose)
    camera = Camera(track.camera.w2c.clone(), track.camera.K, SIZE, SIZE)
    camera.w2c[:3, 3] = torch.tensor([-1.0, 1.0, 1.6])
    render = splat.rasterize(posed, Camera(camera.w2c[None], camera.K[None], SIZE, SIZE), torch.ones(1, 3))
    render.rgb.square().mean().backward()
    dead = [name for name, x in recipe.values.items() if x.grad is None or not (x.grad != 0).any()]
    assert dead == []


@pytest.mark.parametrize("name", RECIPES)
def test_training_approaches_the_clip(name, ball):
    clip, track = performance(ball)
    pace, steps = LATE.get(name, (4.0, 40))
    options = recipe_preset(name, **{**SMALL, "steps": steps, "pace": pace, "coarse": 0.3})

    def psnr(trained) -> float:
        pose = track.motion.pose[torch.tensor([3])]
        posed = trained.posed(ball.vertices(torch.zeros(1, 1), pose), pose).map(lambda x: x[0].detach())
        seen = splat.rasterize(posed, track.camera, torch.ones(3)).rgb.numpy()
        alpha = clip.masks[3][..., None] / 255
        return float(-10 * np.log10(((seen - (clip.frames[3] / 255 * alpha + 1 - alpha)) ** 2).mean()))

    short, long = (train(clip, track, replace(options, steps=n)) for n in (2, steps))
    assert psnr(long) > psnr(short) + 1 and psnr(long) > 16
    assert long.steps == steps and all(x.isfinite().all() for x in long.recipe.tensors().values())
    again = train(clip, track, options)
    for key, x in long.recipe.tensors().items():
        assert torch.equal(x, again.recipe.tensors()[key]), key


@pytest.mark.parametrize("name", ["gaussian-avatars", "splatting-avatar", "gaussian-blendshapes"])
def test_clones_stay_put_and_halves_share_their_parent(name, ball):
    recipe, pose = begun(name, ball), some_pose().map(lambda x: x[None])
    vertices = ball.vertices(torch.zeros(1, 1), pose)
    before = recipe.posed(vertices, pose).map(lambda x: x[0].detach())
    src = torch.cat([torch.arange(len(recipe)), torch.tensor([5, 9, 9])])
    split = torch.arange(len(src)) > len(recipe)
    jitter = torch.zeros(len(src), 3)
    jitter[-2:] = torch.tensor([[0.5, 0.2, -0.3], [-0.4, 0.1, 0.6]])
    recipe.change(Change(src, split, jitter))
    after = recipe.posed(vertices, pose).map(lambda x: x[0].detach())
    assert len(recipe) == len(src) and all(x.requires_grad for x in recipe.values.values())
    for field in ("means", "log_scales", "logits"):
        torch.testing.assert_close(getattr(after, field)[:-2], getattr(before, field)[src[:-2]], atol=1e-6, rtol=0)
    torch.testing.assert_close(after.log_scales[-2:], before.log_scales[src[-2:]] - math.log(1.6), atol=0.05, rtol=0)
    away = (after.means[-2:] - before.means[9]).norm(dim=-1)
    assert (away > 0).all() and (away < before.scales[9].max()).all()


def test_time_bounds_the_training(ball):
    clip, track = performance(ball)
    trained = train(clip, track, recipe_preset("rgb-avatar", **SMALL, seconds=0.5))
    assert trained.seconds >= 0.5 and trained.steps >= 1


def test_presets_are_checked():
    for name in RECIPES:
        assert recipe_preset(name).recipe == name
    with pytest.raises(AvatarError, match="rgb-avatar"):
        recipe_preset("rgb-avatr")
    with pytest.raises(AvatarError, match="unknown option 'stepz'"):
        recipe_preset("rgb-avatar", stepz=3)
    with pytest.raises(AvatarError, match="batch is 0"):
        recipe_preset("rgb-avatar", batch=0)
