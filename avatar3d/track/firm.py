"""The head's pose from its firm parts: features of skull, hairline and ears followed from keyframes.

The landmark network sees a wider face when the mouth opens (by up to 2.5 % on the shared clips, while the skull's
outline keeps its width to 0.4 %), which the solve can only read as a nearer head. Features on the mesh where neither
expression nor neck bends it have no such bias; the landmarks' pose stays as first guess and as a weak prior.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation
from torch import Tensor

from avatar3d.core import Camera, Clip, HeadModel, Pose
from avatar3d.ops import mesh

_SIDE = 512
"""Longer side, in pixels, at which features are followed."""
_FEATURES, _ENOUGH = 200, 24
_TURN = np.radians(10.0)
"""A new keyframe is taken when the head has turned by this much from all others."""
_STIFF = 0.0012
"""Metres by which a firm point may move in any expression at 1."""
_NOISE, _ROBUST = 0.7, 1.5
"""Pixels: error of a feature, and distance from which it counts linearly."""
_PRIOR = np.array([0.06, 0.06, 0.06, 0.006, 0.006, 0.06])
"""Error of the landmarks' pose: rotation in radians, place in metres, depth last."""
_FLIP = np.diag([1.0, -1.0, -1.0])


@dataclass(frozen=True)
class _Key:
    image: np.ndarray
    pixels: Float[np.ndarray, "n 2"]
    points: Float[np.ndarray, "n 3"]
    """Where the features sit on the head at rest, metres."""
    rotation: Float[np.ndarray, "3 3"]


def firm_pose(
    clip: Clip,
    head: HeadModel,
    identity: Float[Tensor, " s"],
    pose: Float[np.ndarray, "t 4 4"],
    K: Float[np.ndarray, "3 3"],
    seen: Bool[np.ndarray, " t"],
) -> Float[np.ndarray, "t 4 4"]:
    """Returns the head's rest-to-camera transforms (y up), corrected by what the firm parts of the head did.

    Frames are visited in order and only look back, so that a clip and its beginning agree.

    Args:
        clip: Images.
        head: The head model.
        identity: Whose head.
        pose: From the landmarks.
        K: Intrinsics in pixels of the clip.
        seen: Frames with a face; the others keep their pose.
    """
    scale = min(1.0, _SIDE / max(clip.width, clip.height))
    size = (max(1, round(clip.width * scale)), max(1, round(clip.height * scale)))
    K = np.diag([size[0] / clip.width, size[1] / clip.height, 1.0]) @ K
    rest, firm = _firm(head, identity)
    keys: list[_Key] = []
    out = pose.copy()
    for n, image in enumerate(clip.frames):
        if n >= len(pose):
            break
        if not seen[n]:
            continue
        grey = cv2.resize(
            cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA
        )
        near = min(keys, key=lambda k: _angle(k.rotation, pose[n, :3, :3]), default=None)
        found = _solve(near, grey, pose[n], K) if near is not None else pose[n]
        if found is None:
            continue
        out[n] = found
        if all(_angle(k.rotation, found[:3, :3]) > _TURN for k in keys):
            pixels, points = _features(grey, found, K, rest, firm, head.faces)
            if len(pixels) >= _ENOUGH:
                keys.append(_Key(grey, pixels, points, found[:3, :3]))
    return out


def _firm(head: HeadModel, identity: Tensor) -> tuple[Tensor, Bool[np.ndarray, " v"]]:
    """Returns the vertices at rest and which of them no expression and no bending of the neck moves."""
    e, j = len(head.expressions), len(head.joints)
    rest = head.vertices(identity, Pose(torch.zeros(e), torch.zeros(j, 3), torch.eye(4)))
    each = Pose(torch.eye(e), torch.zeros(e, j, 3), torch.eye(4).expand(e, 4, 4))
    moved = (head.vertices(identity.expand(e, -1), each) - rest).norm(dim=-1).amax(0)
    turn = torch.zeros(j, 3)
    turn[head.joints.index("head")] = torch.tensor([0.3, 0.3, 0.0])
    bent = Pose(torch.zeros(e), turn, torch.eye(4))
    motion = head.joint_transforms(identity, bent)[head.joints.index("head")]
    stiff = rest @ motion[:3, :3].T + motion[:3, 3]
    slack = (head.vertices(identity, bent) - stiff).norm(dim=-1)
    return rest, ((moved < _STIFF) & (slack < _STIFF)).numpy()


def _features(
    grey: np.ndarray, pose: np.ndarray, K: np.ndarray, rest: Tensor, firm: np.ndarray, faces: Tensor
) -> tuple[np.ndarray, np.ndarray]:
    """Returns good features on the firm parts in view: pixels, and their places on the head at rest."""
    height, width = grey.shape
    posed = rest.double().numpy() @ pose[:3, :3].T + pose[:3, 3]
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    camera = Camera(flip, torch.from_numpy(K).float(), width, height)
    seen = mesh.rasterize(torch.from_numpy(posed).float(), faces, camera)
    face = seen.face.numpy()
    allowed = (face >= 0) & firm[faces.numpy()].all(-1)[face]
    # A feature's window must not reach over the outline, where the background slides past.
    allowed = cv2.erode(allowed.astype(np.uint8), np.ones((5, 5), np.uint8))
    found = cv2.goodFeaturesToTrack(grey, _FEATURES, 0.003, 5, mask=allowed * 255, blockSize=5)
    if found is None:
        return np.zeros((0, 2), np.float32), np.zeros((0, 3))
    pixels = found[:, 0]
    column, line = (pixels[:, i].astype(int) for i in range(2))
    corners = rest.double().numpy()[faces.numpy()[face[line, column]]]
    return pixels, (corners * seen.bary.numpy()[line, column][..., None]).sum(1)


def _solve(key: _Key, grey: np.ndarray, pose: np.ndarray, K: np.ndarray) -> np.ndarray | None:
    """Returns the pose that takes a keyframe's features to where they are now, or None when they are lost."""
    guess = _project(pose, key.points, K)[0].astype(np.float32)
    window = {"winSize": (21, 21), "maxLevel": 3, "flags": cv2.OPTFLOW_USE_INITIAL_FLOW}
    now, ok, _ = cv2.calcOpticalFlowPyrLK(key.image, grey, key.pixels, guess.copy(), **window)
    back, ok_back, _ = cv2.calcOpticalFlowPyrLK(grey, key.image, now, key.pixels.copy(), **window)
    good = (ok.ravel() == 1) & (ok_back.ravel() == 1) & (np.linalg.norm(back - key.pixels, axis=1) < 1.0)
    if good.sum() < _ENOUGH:
        return None
    points, target = key.points[good], now[good].astype(np.float64)
    middle = points.mean(0)
    current = pose.astype(np.float64).copy()
    start = current.copy()
    for _ in range(8):
        pixels, view = _project(current, points, K)
        residual = pixels - target
        length = np.linalg.norm(residual, axis=1)
        weight = np.minimum(1.0, _ROBUST / np.maximum(length, 1e-9)) / _NOISE**2
        arm = (points - middle) @ current[:3, :3].T @ _FLIP
        z = view[:, 2:]
        by_view = np.zeros((len(points), 2, 3))
        by_view[:, 0, 0], by_view[:, 1, 1] = K[0, 0] / z[:, 0], K[1, 1] / z[:, 0]
        by_view[:, :, 2] = -np.stack([K[0, 0] * view[:, 0], K[1, 1] * view[:, 1]], 1) / z**2
        by_turn = np.cross(arm[:, None, :], by_view)
        J = np.concatenate([by_turn, by_view], -1).reshape(-1, 6)
        w = np.repeat(weight, 2)
        # Features agree to a fraction of a pixel but share errors: they count as if they were fewer.
        share = min(1.0, 40.0 / len(points))
        away = _difference(current, start, middle)
        A = share * (J * w[:, None]).T @ J + np.diag(1 / _PRIOR**2)
        b = -share * (J * w[:, None]).T @ residual.ravel() - away / _PRIOR**2
        step = np.linalg.solve(A, b)
        current = _moved(current, step, middle)
        if np.abs(step).max() < 1e-6:
            break
    final = np.linalg.norm(_project(current, points, K)[0] - target, axis=1)
    return current if (final < 3 * _ROBUST).sum() >= _ENOUGH else None


def _project(pose: np.ndarray, points: np.ndarray, K: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns pixels and camera-space points (y down, z forward)."""
    view = (points @ pose[:3, :3].T + pose[:3, 3]) @ _FLIP
    return view[:, :2] / view[:, 2:] * np.array([K[0, 0], K[1, 1]]) + K[:2, 2], view


def _moved(pose: np.ndarray, step: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Returns the pose turned about a point of the head and shifted; the step is in camera axes (y down)."""
    out = pose.copy()
    turn = _FLIP @ Rotation.from_rotvec(step[:3]).as_matrix() @ _FLIP
    place = pose[:3, :3] @ middle + pose[:3, 3] + _FLIP @ step[3:]
    out[:3, :3] = turn @ pose[:3, :3]
    out[:3, 3] = place - out[:3, :3] @ middle
    return out


def _difference(pose: np.ndarray, start: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Returns the step of `_moved` that leads from `start` to `pose`."""
    turn = _FLIP @ (pose[:3, :3] @ start[:3, :3].T) @ _FLIP
    shift = (pose[:3, :3] - start[:3, :3]) @ middle + pose[:3, 3] - start[:3, 3]
    return np.concatenate([Rotation.from_matrix(turn).as_rotvec(), _FLIP @ shift])


def _angle(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.arccos(np.clip((np.trace(a @ b.T) - 1) / 2, -1, 1)))
