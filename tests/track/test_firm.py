"""The head's pose from features that are followed on it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from avatar3d import heads
from avatar3d.core import Camera, Clip, Pose
from avatar3d.geometry import pinhole, rigid, rotvec_to_matrix
from avatar3d.render.shade import Light, shade
from avatar3d.track.firm import firm_pose

SIZE, FRAMES = 256, 8


@pytest.fixture(scope="module")
def scene():
    """A speckled head that nods and opens its mouth, and poses that read the open mouth as nearness and a nod."""
    head = heads.load("anny")
    t = torch.linspace(0, 1, FRAMES)
    jaw = (3.14159 * t).sin()
    turn = torch.stack([0.05 * (6 * t).sin(), 0.12 * (3 * t).sin(), 0 * t], -1)
    true = rigid(rotvec_to_matrix(turn), torch.tensor([0.0, 0.02, -0.7]).expand(FRAMES, 3))
    expression = torch.zeros(FRAMES, len(head.expressions))
    expression[:, head.expressions.index("jawOpen")] = 0.8 * jaw
    identity = torch.zeros(len(head.identities))
    joints = torch.zeros(FRAMES, len(head.joints), 3)
    camera = Camera(torch.diag(torch.tensor([1.0, -1, -1, 1])), pinhole(SIZE, SIZE, 620.0), SIZE, SIZE)
    vertices = head.vertices(identity.expand(FRAMES, -1), Pose(expression, joints, true))
    generator = torch.Generator().manual_seed(0)
    speckles = torch.rand(vertices.shape[1], 1, generator=generator).expand(-1, 3).expand(FRAMES, -1, -1)
    seen = shade(vertices, head.faces, camera, speckles, Light(ambient=1.0, gloss=0.0))
    frames = (seen.rgb * 255).clamp(0, 255).byte().numpy()
    wrong = rigid(rotvec_to_matrix(turn + 0.07 * jaw[:, None] * torch.tensor([1.0, 0, 0])), true[:, :3, 3])
    wrong[:, 2, 3] *= 1 - 0.04 * jaw
    clip = Clip(Path("head.mp4"), SIZE, SIZE, 25.0, frames)
    return head, identity, clip, camera, expression.double().numpy(), true.double().numpy(), wrong.double().numpy()


def angles(a, b):
    traces = np.trace(a[:, :3, :3] @ b[:, :3, :3].swapaxes(1, 2), axis1=1, axis2=2)
    return np.degrees(np.arccos(np.clip((traces - 1) / 2, -1, 1)))


def test_a_face_that_widens_with_the_mouth_is_put_back(scene):
    head, identity, clip, camera, expression, true, wrong = scene
    found = firm_pose(clip, head, identity, wrong, expression, camera.K.double().numpy(), np.ones(FRAMES, bool))
    depth = lambda pose: np.abs(pose[:, 2, 3] / true[:, 2, 3] - 1)  # noqa: E731
    assert depth(wrong).max() > 0.035 and depth(found).max() < 0.015
    assert angles(wrong, true).max() > 3.5 and angles(found, true).max() < 1.5


def test_a_right_pose_stays(scene):
    head, identity, clip, camera, expression, true, _ = scene
    found = firm_pose(clip, head, identity, true, expression, camera.K.double().numpy(), np.ones(FRAMES, bool))
    assert angles(found, true).max() < 0.5 and np.abs(found[:, :3, 3] - true[:, :3, 3]).max() < 0.006


def test_the_beginning_does_not_depend_on_the_end_and_unseen_frames_keep_their_pose(scene):
    head, identity, clip, camera, expression, _, wrong = scene
    seen = np.ones(FRAMES, bool)
    seen[2] = False
    K = camera.K.double().numpy()
    whole = firm_pose(clip, head, identity, wrong, expression, K, seen)
    part = firm_pose(clip, head, identity, wrong[:5], expression[:5], K, seen[:5])
    assert np.array_equal(whole[:5], part) and np.array_equal(whole[2], wrong[2])
    assert np.array_equal(whole[0], wrong[0])


def test_a_picture_without_features_changes_nothing(scene):
    head, identity, clip, camera, expression, _, wrong = scene
    blank = Clip(clip.source, SIZE, SIZE, 25.0, np.full_like(clip.frames, 127))
    found = firm_pose(blank, head, identity, wrong, expression, camera.K.double().numpy(), np.ones(FRAMES, bool))
    assert np.array_equal(found, wrong)
