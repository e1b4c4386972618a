"""Joint tracking of landmarks that come from the model itself, seen by known cameras."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import Float

from avatar3d import heads
from avatar3d.capture import select
from avatar3d.core import AvatarError, Camera, Clip, Track
from avatar3d.geometry import look_at, pinhole, rotvec_to_matrix
from avatar3d.heads import ARKIT
from avatar3d.track import TrackOptions, track
from avatar3d.track.embedding import SKIN, on, surface
from avatar3d.track.energy import State, bias, points
from avatar3d.track.terms import landmark_model
from avatar3d.track.views import moved_cameras

SIZE, UNIT, STEPS = 512, 3.7, 5
"""Pixels, units of the capture's world in a metre."""
OPTIONS = TrackOptions(smooth=False, ridge=2.0)
FLIP = np.diag([1.0, -1.0, -1.0])
YAWS = np.radians([-40.0, -15.0, 12.0, 38.0, 180.0])


def scene(steps: int = STEPS, seed: int = 0) -> tuple[Clip, dict[str, np.ndarray]]:
    """Returns a clip of five cameras, one of them behind the head, in a world of odd units, and the truth."""
    rng = np.random.default_rng(seed)
    head = heads.load("anny")
    embedding = on(head)
    who = np.clip(rng.normal(0, 0.4, len(head.identities)), -1, 1)
    model = landmark_model(surface(head, embedding, torch.from_numpy(who).float()), embedding, OPTIONS.response)
    weights = rng.uniform(0.2, 1, (steps, 52)) * (rng.random((steps, 52)) < 6 / 52)
    weights[:, ARKIT.index("tongueOut")] = 0
    rotation = rotvec_to_matrix(torch.from_numpy(rng.uniform(-0.15, 0.15, (steps, 3)))).numpy()
    place = rng.uniform(-0.03, 0.03, (steps, 3))
    odd = rotvec_to_matrix(torch.tensor([0.3, 0.2, 1.2], dtype=torch.float64)).numpy()
    where = torch.from_numpy(np.stack([0.8 * np.sin(YAWS), 0.05 * np.cos(3 * YAWS), 0.8 * np.cos(YAWS)], 1))
    w2c = look_at(where, torch.zeros(5, 3, dtype=torch.float64)).numpy()
    focals = np.array([900.0, 1000.0, 950.0, 1100.0, 900.0])
    landmarks, cameras, times = [], [], []
    for step in range(steps):
        for view in range(5):
            turn, shift = FLIP @ w2c[view, :3, :3], FLIP @ w2c[view, :3, 3]
            centre = turn @ place[step] + shift
            size, f = -centre[2] / focals[view], focals[view]
            state = State(
                (turn @ rotation[step])[None],
                np.array([[centre[0], -centre[1]]]) / size,
                np.array([size]),
                weights[step : step + 1],
                np.zeros(len(who)),
                1 / f,
            )
            X = points(model, state) @ state.rotation.swapaxes(1, 2) + centre
            px = X[..., :2] / -X[..., 2:] * f * [1, -1] + bias(model, state) + SIZE / 2
            depth = (-X[..., 2:] - (-X[:, :SKIN, 2:]).mean(1, keepdims=True)) / size
            seen = np.concatenate([px, depth], -1)[0]
            landmarks.append(seen if view < 4 else np.full_like(seen, np.nan))
            moved = w2c[view].copy()  # the capture's world: turned and in other units
            moved[:3, :3] = moved[:3, :3] @ odd.T
            moved[:3, 3] *= UNIT
            cameras.append((moved, pinhole(SIZE, SIZE, f).numpy()))
            times.append(step)
    marks = np.stack(landmarks)
    found = np.isfinite(marks[:, :1, 0])
    clip = Clip(
        source=Path("made"),
        width=SIZE,
        height=SIZE,
        fps=25.0,
        frames=[np.zeros((SIZE, SIZE, 3), np.uint8)] * len(marks),
        landmarks=marks,
        blendshapes=np.where(found, 0.1, np.nan) * np.ones(52),
        camera=Camera(
            torch.from_numpy(np.stack([c[0] for c in cameras])).float(),
            torch.from_numpy(np.stack([c[1] for c in cameras])).float(),
            SIZE,
            SIZE,
        ),
        times=np.array(times),
    )
    return clip, {"weights": weights, "rotation": rotation, "place": place, "identity": who, "odd": odd}


def skulls(solved: Track) -> Float[np.ndarray, "t 4 4"]:
    head = heads.load(solved.head)
    moves = head.joint_transforms(solved.identity.expand(len(solved.motion), -1), solved.motion.pose)
    return moves[:, head.joints.index("head")].double().numpy()


def degrees(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    trace = np.trace(a.swapaxes(1, 2) @ b, axis1=1, axis2=2)
    return np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))


def in_first_camera(solved: Track) -> tuple[np.ndarray, np.ndarray]:
    """Returns the skull's rotation and place in the axes of the first camera, in which no choice of a world shows."""
    camera = solved.camera.at(0).w2c.double().numpy()
    seen = camera @ skulls(solved)
    return seen[:, :3, :3], seen[:, :3, 3]


@pytest.fixture(scope="module")
def known() -> tuple[Clip, dict[str, np.ndarray], Track]:
    """A scene, its truth, and its track with the identity known."""
    clip, truth = scene()
    return clip, truth, track(clip, OPTIONS, identity=torch.from_numpy(truth["identity"]).float())


def test_pose_scale_and_weights_come_back(known) -> None:
    clip, truth, solved = known
    assert solved.world is not None and len(solved.motion) == STEPS and len(solved.camera.w2c) == len(clip)
    scale = float(torch.linalg.det(solved.world[:3, :3])) ** (1 / 3)
    assert scale == pytest.approx(1 / UNIT, rel=1e-2)
    rotation, place = in_first_camera(solved)
    first = look_at(
        torch.tensor([0.8 * np.sin(YAWS[0]), 0.05 * np.cos(3 * YAWS[0]), 0.8 * np.cos(YAWS[0])], dtype=torch.float64),
        torch.zeros(3, dtype=torch.float64),
    ).numpy()
    assert np.median(degrees(rotation, first[:3, :3] @ truth["rotation"])) < 0.3
    weights = solved.motion.pose.expression.numpy()
    moved = [i for i in range(52) if truth["weights"][:, i].std() > 0.15 and weights[:, i].std() > 0]
    r = [np.corrcoef(weights[:, i], truth["weights"][:, i])[0, 1] for i in moved]
    assert len(r) > 12 and np.mean(r) > 0.97
    centre = on(heads.load("anny")).point[:SKIN].mean(0)
    seen = place + np.einsum("tij,j->ti", rotation, centre)
    wanted = truth["place"] @ first[:3, :3].T + first[:3, 3]
    assert np.abs(seen - wanted).max() < 0.02 and np.abs(np.diff(seen - wanted, axis=0)).max() < 4e-3


def test_the_world_is_the_calmest_heads() -> None:
    solved = track(scene(2)[0], OPTIONS)
    calm = skulls(solved)
    at_origin = np.abs(calm - np.eye(4)).max((1, 2))
    assert at_origin.min() < 1e-4


def test_a_known_world_is_kept(known) -> None:
    clip, truth, first = known
    who = torch.from_numpy(truth["identity"]).float()
    later = select(clip, np.flatnonzero(clip.steps >= 3).tolist())
    again = track(later, OPTIONS, identity=who, world=first.world)
    np.testing.assert_allclose(again.camera.w2c, first.camera.w2c[15:], atol=1e-5)
    np.testing.assert_allclose(skulls(again), skulls(first)[3:], atol=4e-3)


def test_a_view_that_takes_something_else_for_a_face_is_outvoted(known) -> None:
    clip, truth, good = known
    who = torch.from_numpy(truth["identity"]).float()
    wrong = clip.landmarks.copy()  # type: ignore[union-attr]
    wrong[4] = wrong[1]  # the camera behind the head reports a face
    blendshapes = clip.blendshapes.copy()  # type: ignore[union-attr]
    blendshapes[4] = 0.9
    solved = track(replace(clip, landmarks=wrong, blendshapes=blendshapes), OPTIONS, identity=who)
    assert degrees(in_first_camera(solved)[0], in_first_camera(good)[0]).max() < 0.2


def test_a_time_step_without_a_face_is_bridged(known) -> None:
    clip, truth, _ = known
    marks = clip.landmarks.copy()  # type: ignore[union-attr]
    marks[clip.steps == 2] = np.nan
    solved = track(replace(clip, landmarks=marks), OPTIONS, identity=torch.from_numpy(truth["identity"]).float())
    assert solved.quality[2] == 0 and (solved.quality[[0, 1, 3, 4]] > 0.5).all()
    assert torch.isfinite(solved.motion.pose.root).all()


def test_it_comes_out_the_same_again(known) -> None:
    clip, truth, one = known
    two = track(clip, OPTIONS, identity=torch.from_numpy(truth["identity"]).float())
    assert torch.equal(one.motion.pose.root, two.motion.pose.root) and torch.equal(one.camera.w2c, two.camera.w2c)


def test_a_camera_for_each_frame_is_needed() -> None:
    clip, _ = scene(1)
    assert clip.camera is not None
    with pytest.raises(AvatarError, match="camera each"):
        track(replace(clip, camera=clip.camera.at(slice(0, 3))), OPTIONS)
    nan = Camera(clip.camera.w2c * float("nan"), clip.camera.K, SIZE, SIZE)
    with pytest.raises(AvatarError, match="NaN"):
        track(replace(clip, camera=nan), OPTIONS)


def test_cameras_follow_a_similarity() -> None:
    """What a camera sees of a point stays where it is in the picture when world and camera are moved together."""
    clip, _ = scene(1)
    assert clip.camera is not None
    turn = rotvec_to_matrix(torch.tensor([0.2, -0.5, 0.9]))
    similarity = torch.eye(4)
    similarity[:3, :3], similarity[:3, 3] = 0.27 * turn, torch.tensor([0.1, -0.2, 0.4])
    point = torch.tensor([0.3, -0.1, 0.2, 1.0])
    before = clip.camera.w2c @ point
    after = moved_cameras(clip.camera, similarity).w2c @ (similarity @ point)
    torch.testing.assert_close(after[:, :3], 0.27 * before[:, :3], rtol=1e-4, atol=1e-5)
