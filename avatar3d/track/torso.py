"""From the head's pose to the whole chain: torso (root), neck and head joint, with the head exactly where it was seen.

A frame gives the head's rigid pose from landmarks, and the torso's motion in the image from flow. The rotations of
root, neck and head joint are chosen so that torso points follow that motion and the neck bends as little and as evenly
as possible; the root's translation then follows from the head's pose, which stays exact whatever the torso does.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation

from avatar3d.core import HeadModel, Pose
from avatar3d.track.smooth import steady

_SPLIT = 0.4
"""Share of the head's turn that the neck takes: about what cervical joints below the axis do in small motions."""
_BEND = np.radians(8.0)
"""Spread of neck and head about that split, radians."""
_LEAN = np.radians((8.0, 8.0, 6.0))
"""Spread of the torso's pitch, yaw and roll about its resting orientation when its motion is known."""
_STIFF = np.radians(1.0)
"""The same when nothing is known: the torso then trails the head."""
_FOLLOW = 2.0
"""Millimetres to which torso points should follow the image."""
_REACH = 15.0
"""Millimetres from which a disagreement counts linearly: the neck gives way no further."""
_HELD = 0.25
"""Trust in a torso that is taken to rest where flow lost it."""


@dataclass(frozen=True)
class Chain:
    """Pivots at rest and torso points of one head with its identity, metres, head space."""

    neck: Float[np.ndarray, " 3"]
    head: Float[np.ndarray, " 3"]
    torso: Float[np.ndarray, "m 3"]


@dataclass(frozen=True)
class Joints:
    """A pose of the chain by frame; rotation vectors in radians."""

    root: Float[np.ndarray, "t 4 4"]
    neck: Float[np.ndarray, "t 3"]
    head: Float[np.ndarray, "t 3"]


@dataclass(frozen=True)
class Targets:
    """Where torso points should be seen."""

    pixels: Float[np.ndarray, "t m 2"]
    """From the image's centre, y down."""
    sure: Bool[np.ndarray, " t"]
    """Whether flow found it; else it is taken to rest there."""
    focal: float


def chain(head: HeadModel, identity: Float[torch.Tensor, " s"]) -> Chain:
    """Returns the pivots of a head's neck and head joints, found by turning them, and points that neither moves."""
    neck, skull = head.joints.index("neck"), head.joints.index("head")
    turns = torch.zeros(5, len(head.joints), 3)
    for i, (joint, axis) in enumerate(((neck, 0), (neck, 1), (skull, 0), (skull, 1))):
        turns[i, joint, axis] = 1.0
    pose = Pose(torch.zeros(5, len(head.expressions)), turns, torch.eye(4).expand(5, 4, 4))
    ids = identity.detach().float().cpu().expand(5, -1)
    with torch.no_grad():
        moved = head.joint_transforms(ids, pose).double().numpy()
        vertices = head.vertices(ids, pose).double().numpy()
    still = np.flatnonzero(np.abs(vertices[:4] - vertices[4]).max((0, 2)) < 1e-4)
    order = still[np.argsort(-vertices[4, still, 1], kind="stable")]  # the highest are the best seen
    chosen = order[: max(1, len(order) // 2)][:: max(1, len(order) // 64)]
    torso = vertices[4, chosen] if len(chosen) else vertices[4, vertices[4, :, 1].argsort()[:32]]
    return Chain(_pivot(moved[0:2, neck]), _pivot(moved[2:4, skull]), torso)


def resting(pose: Float[np.ndarray, "t 4 4"]) -> Float[np.ndarray, " 3"]:
    """Returns the torso's likely rotation vector: it shares half of the turn that the head has on the whole."""
    return 0.5 * np.median(_vector(pose[:, :3, :3]), axis=0)


def calmest(pose: Float[np.ndarray, "t 4 4"], allowed: Bool[np.ndarray, " t"]) -> int:
    """Returns the allowed frame whose head pose is nearest to the median one: there the neck is bent least."""
    where = np.concatenate([_vector(pose[:, :3, :3]) * 0.2, pose[:, :3, 3]], 1)
    away = np.linalg.norm(where - np.median(where, 0), axis=1)
    return int(np.where(allowed, away, np.inf).argmin())


def compose(chain: Chain, joints: Joints) -> Float[np.ndarray, "t 4 4"]:
    """Returns the head's rest-to-world transforms."""
    return joints.root @ _about(chain.neck, _matrix(joints.neck)) @ _about(chain.head, _matrix(joints.head))


def targets(chain: Chain, root: Float[np.ndarray, "4 4"], motion: np.ndarray, shift: np.ndarray, at: int, focal: float):
    """Returns where torso points move in the image when `root` is right in frame `at`.

    Args:
        chain: Torso points.
        root: Torso pose of that frame.
        motion: t 2 2 image motion since the first frame.
        shift: t 2 pixels, about the image's centre.
        at: The frame.
        focal: Pixels.
    """
    start = _project(root[None], chain.torso, focal)[0]
    back = np.linalg.inv(motion[at])
    first = (start - shift[at]) @ back.T
    return np.einsum("tij,mj->tmi", motion, first) + shift[:, None]


def split(
    chain: Chain,
    pose: Float[np.ndarray, "t 4 4"],
    upright: Float[np.ndarray, "t 3"],
    aims: Targets | None,
    fps: float,
    steps: int = 8,
) -> Joints:
    """Returns the chain's pose for given head poses.

    Args:
        chain: Pivots and torso points.
        pose: The head's rest-to-world transform by frame.
        upright: Expected rotation vector of the torso by frame.
        aims: Where torso points are seen; None to lean on `upright` alone.
        fps: Frames per second, for the smoothing of the joints (the head stays exact).
        steps: Gauss-Newton steps.
    """
    t = len(pose)
    x = np.concatenate([upright, np.zeros((t, 3))], 1)
    x[:, 3:] = _SPLIT * _vector(_matrix(upright).swapaxes(1, 2) @ pose[:, :3, :3])
    for _ in range(steps):
        base = _residuals(chain, pose, upright, aims, x)
        J = np.empty((*base.shape, 6))
        for i in range(6):
            nudge = x.copy()
            nudge[:, i] += 1e-5
            J[..., i] = (_residuals(chain, pose, upright, aims, nudge) - base) / 1e-5
        A = J.swapaxes(1, 2) @ J + 1e-6 * np.eye(6)
        step = -np.linalg.solve(A, J.swapaxes(1, 2) @ base[..., None])[..., 0]
        x = x + np.clip(step, -0.2, 0.2)
    x = steady(x * 150.0, fps) / 150.0  # 150 mm from the neck's pivot to the shoulders
    return _joints(chain, pose, x)


def _residuals(chain: Chain, pose: np.ndarray, upright: np.ndarray, aims: Targets | None, x: np.ndarray) -> np.ndarray:
    joints = _joints(chain, pose, x)
    turn = _vector(_matrix(upright).swapaxes(1, 2) @ pose[:, :3, :3])
    lean = _STIFF if aims is None else _LEAN
    rows = [
        (x[:, :3] - upright) / lean,
        (joints.neck - _SPLIT * turn) / _BEND,
        (joints.head - (1 - _SPLIT) * turn) / _BEND,
    ]
    if aims is not None:
        seen = _project(joints.root, chain.torso, aims.focal)
        mm = 1000 * np.abs(joints.root[:, 2, 3]) / aims.focal  # per pixel
        away = (seen - aims.pixels) * mm[:, None, None]
        mean = np.sqrt((away**2).sum(-1).mean(-1))
        trust = np.where(aims.sure, 1.0, _HELD) * np.sqrt(np.minimum(1, _REACH / np.maximum(mean, 1e-9)))
        per = trust / (_FOLLOW * np.sqrt(len(chain.torso)))
        rows.append((away * per[:, None, None]).reshape(len(x), -1))
    return np.concatenate(rows, 1)


def _joints(chain: Chain, pose: np.ndarray, x: np.ndarray) -> Joints:
    """Returns the chain with given root and neck rotation vectors (t 6) that puts the head at `pose` exactly."""
    root, neck = _matrix(x[:, :3]), _matrix(x[:, 3:])
    head = (root @ neck).swapaxes(1, 2) @ pose[:, :3, :3]
    rest = _about(chain.neck, neck) @ _about(chain.head, head)
    shift = pose[:, :3, 3] - (root @ rest[:, :3, 3:])[..., 0]
    return Joints(_rigid(root, shift), x[:, 3:], _vector(head))


def _project(root: np.ndarray, points: np.ndarray, focal: float) -> np.ndarray:
    """Returns pixels from the image's centre of head-space points."""
    X = points @ root[:, :3, :3].swapaxes(1, 2) + root[:, None, :3, 3]
    depth = np.maximum(-X[..., 2:], 1e-3)
    return X[..., :2] * np.array([1.0, -1.0]) * focal / depth


def _pivot(moved: np.ndarray) -> np.ndarray:
    """Returns the fixed point of two rotations about different axes (2 4 4)."""
    A = np.concatenate([np.eye(3) - m[:3, :3] for m in moved])
    return np.linalg.lstsq(A, np.concatenate([m[:3, 3] for m in moved]), rcond=None)[0]


def _about(pivot: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    return _rigid(rotation, pivot - rotation @ pivot)


def _rigid(rotation: np.ndarray, shift: np.ndarray) -> np.ndarray:
    out = np.zeros((len(rotation), 4, 4))
    out[:, :3, :3], out[:, :3, 3], out[:, 3, 3] = rotation, shift, 1
    return out


def _matrix(vectors: np.ndarray) -> np.ndarray:
    return Rotation.from_rotvec(vectors).as_matrix()


def _vector(matrices: np.ndarray) -> np.ndarray:
    return Rotation.from_matrix(matrices).as_rotvec()
