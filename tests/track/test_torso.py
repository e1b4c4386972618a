"""The chain of torso, neck and head."""

from pathlib import Path

import cv2
import numpy as np
import torch
from scipy.spatial.transform import Rotation

from avatar3d import heads
from avatar3d.core import Clip, Pose
from avatar3d.track import torso
from avatar3d.track.flow import torso_flow


def poses(count: int = 30) -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, count)
    out = np.zeros((count, 4, 4))
    out[:, :3, :3] = Rotation.from_rotvec(np.stack([0.2 * np.sin(t), 0.4 * np.cos(t), 0.1 * t / 6], 1)).as_matrix()
    out[:, :3, 3] = np.stack([0.01 * np.sin(t), 0.01 * np.cos(2 * t), -0.7 + 0.02 * np.sin(t)], 1)
    out[:, 3, 3] = 1
    return out


def test_head_stays_exactly_where_it_was_seen():
    head, identity = heads.load("anny"), torch.full((len(heads.load("anny").identities),), 0.3)
    chain = torso.chain(head, identity)
    wanted = poses()
    upright = np.repeat(torso.resting(wanted)[None], len(wanted), axis=0)
    still = np.repeat(torso._project(np.eye(4)[None] + _back(0.7), chain.torso, 900.0), len(wanted), axis=0)
    sure = np.arange(len(wanted)) % 5 != 0
    for aims in (None, torso.Targets(still, sure, 900.0)):
        joints = torso.split(chain, wanted, upright, aims, 25.0)
        assert np.abs(torso.compose(chain, joints) - wanted).max() < 1e-9
        turns = torch.zeros(len(wanted), len(head.joints), 3)
        turns[:, 0], turns[:, 1] = torch.from_numpy(joints.neck).float(), torch.from_numpy(joints.head).float()
        pose = Pose(torch.zeros(len(wanted), 52), turns, torch.from_numpy(joints.root).float())
        found = head.joint_transforms(identity, pose)[:, head.joints.index("head")].double().numpy()
        assert np.abs(found - wanted).max() < 1e-5


def test_torso_rests_in_the_image_while_the_head_turns():
    head = heads.load("anny")
    chain = torso.chain(head, torch.zeros(len(head.identities)))
    wanted = poses()
    wanted[:, :3, 3] = [0, 0, -0.7]
    upright = np.zeros((len(wanted), 3))
    still = np.repeat(torso._project(np.eye(4)[None] + _back(0.7), chain.torso, 900.0), len(wanted), axis=0)
    alone = torso.split(chain, wanted, upright, None, 25.0)
    held = torso.split(chain, wanted, upright, torso.Targets(still, np.ones(len(wanted), bool), 900.0), 25.0)
    away = [np.linalg.norm(torso._project(j.root, chain.torso, 900.0) - still, axis=-1).mean() for j in (alone, held)]
    assert away[1] < 6 and away[1] < 0.5 * away[0]  # pixels; 1.3 of them are a millimetre


def test_pivots_are_the_heads_joints():
    head = heads.load("anny")
    chain = torso.chain(head, torch.zeros(len(head.identities)))
    turned = Rotation.from_rotvec([0.3, 0.2, 0.1]).as_rotvec()
    joints = torch.zeros(1, len(head.joints), 3)
    joints[0, 1] = torch.from_numpy(turned).float()
    moved = head.joint_transforms(
        torch.zeros(len(head.identities)), Pose(torch.zeros(1, 52), joints, torch.eye(4)[None])
    )
    at = moved[0, 1].double().numpy() @ np.append(chain.head, 1)
    assert np.allclose(at[:3], chain.head, atol=1e-5)
    assert chain.neck[1] < chain.head[1] < 0


def test_flow_follows_a_textured_torso_and_not_the_background():
    rng = np.random.default_rng(0)
    cloth = cv2.GaussianBlur(rng.integers(0, 255, (400, 500, 3), dtype=np.uint8), (0, 0), 2)
    back = cv2.GaussianBlur(rng.integers(0, 255, (400, 400, 3), dtype=np.uint8), (0, 0), 2)
    frames, masks, truth = [], [], []
    for n in range(12):
        angle, shift = 0.01 * n, np.array([2.0 * n, -1.0 * n])
        a = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        matrix = np.concatenate([a, (shift - a @ [0, 0])[:, None]], 1)
        shape = cv2.warpAffine(np.full((400, 500), 255, np.uint8), matrix, (400, 400))
        shape[:250] = 0
        frames.append(np.where(shape[..., None] > 128, cv2.warpAffine(cloth, matrix, (400, 400)), back))
        masks.append(shape)
        truth.append(matrix)
    landmarks = np.zeros((12, 478, 3))
    landmarks[:, :, :2] = [200, 150]
    landmarks[:, 152, :2], landmarks[:, 10, :2] = [200, 230], [200, 70]
    flow = torso_flow(Clip(Path("cloth"), 400, 400, 25.0, frames, masks, landmarks), landmarks)
    assert flow.sure.all()
    at = np.array([200.0, 320.0])
    for n, matrix in enumerate(truth):
        assert np.abs(flow.matrix[n] @ at + flow.shift[n] - matrix @ np.append(at, 1)).max() < 1.0


def _back(distance: float) -> np.ndarray:
    out = np.zeros((1, 4, 4))
    out[0, 2, 3] = -distance
    return out
