"""The head's pose from features followed on it from keyframes, trusted the more the firmer the place.

The landmark network sees a wider face when the mouth opens (by up to 2.5 % on the shared clips, while the skull's
outline keeps its width to 0.4 %), which the solve can only read as a nearer head. Features of the picture itself have
no such bias: those on skull, ears and nose bridge count fully, those that expressions move less, after the tracked
expression has moved them. The landmarks' pose stays as first guess and as a weak prior.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial.transform import Rotation
from torch import Tensor

from avatar3d.core import Camera, Clip, HeadModel, Pose
from avatar3d.ops import mesh

_SIDE = 512
"""Longer side, in pixels, at which features are followed."""
_FEATURES, _ENOUGH, _MANY = 200, 24, 80
"""Features of a keyframe at most; least found again to count at all, and fully."""
_CLEAR = 0.05
"""Strength of a feature over the strongest; weaker ones are shading, which slides as the head turns."""
_TURN = np.radians(10.0)
"""A new keyframe is taken when the head has turned by this much from all others."""
_FADED = 0.3
"""Share of a keyframe's features found again below which another keyframe is taken."""
_SLACK = 0.0015
"""Metres by which the neck's bending may move a point that turns with the head."""
_LOOSE, _UNTRACKED = 0.007, 0.25
"""Metres that a point may move in any expression at 1, and the share of that motion which tracking is taken to miss."""
_NOISE, _FORGET = 0.7, 2.0
"""Pixels: error of a feature, and distance in such errors at which it counts a quarter, and then ever less: outlines
and shading slide over a turning head, and on plain skin there is little else to follow."""
_WIDE, _STEPS = 5.0, 10
"""How much further features count in the first of so many steps."""
_SPAN = (15, 15)
"""Pixels around a feature that are followed with it; over larger ones the face bends too much."""
_VIEWS, _COUNT = 3, 6.0
"""Keyframes that a frame is matched with, and what each of them is worth, in independent features."""
_PRIOR = np.array([0.04, 0.04, 0.04, 0.006, 0.006, 0.04])
"""Error of the landmarks' pose: rotation in radians, place in metres, depth last."""
_FLIP = np.diag([1.0, -1.0, -1.0])


@dataclass(frozen=True)
class _Key:
    image: np.ndarray
    pixels: Float[np.ndarray, "n 2"]
    corners: Int[np.ndarray, "n 3"]
    """Vertices of the triangles that the features sit on."""
    bary: Float[np.ndarray, "n 3"]
    error: Float[np.ndarray, " n"]
    """Of the features' places, pixels."""
    rotation: Float[np.ndarray, "3 3"]
    links: int
    """Keyframes between it and one that was posed by landmarks, itself included."""

    def points(self, vertices: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, "n 3"]:
        return (vertices[self.corners] * self.bary[..., None]).sum(1)


@dataclass(frozen=True)
class _Match:
    points: Float[np.ndarray, "n 3"]
    target: Float[np.ndarray, "n 2"]
    error: Float[np.ndarray, " n"]
    count: Float[np.ndarray, " n"]
    """What each is worth, in independent features."""
    share: float
    links: int


def firm_pose(
    clip: Clip,
    head: HeadModel,
    identity: Float[Tensor, " s"],
    pose: Float[np.ndarray, "t 4 4"],
    expression: Float[np.ndarray, "t e"],
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
        expression: Tracked weights.
        K: Intrinsics in pixels of the clip.
        seen: Frames with a face; the others keep their pose.
    """
    scale = min(1.0, _SIDE / max(clip.width, clip.height))
    size = (max(1, round(clip.width * scale)), max(1, round(clip.height * scale)))
    K = np.diag([size[0] / clip.width, size[1] / clip.height, 1.0]) @ K
    loose = _looseness(head, identity)
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
        vertices = _shaped(head, identity, expression[n])
        # The nearest views, and the latest.
        near = sorted(keys[:-1], key=lambda k: _angle(k.rotation, pose[n, :3, :3]))[: _VIEWS - 1] + keys[-1:]
        matches = [m for m in (_follow(key, grey, pose[n], K, vertices) for key in near) if m is not None]
        out[n] = _solve(matches, pose[n], K) if matches else pose[n]
        share = max((m.share for m in matches), default=0.0)
        if share < _FADED or all(_angle(k.rotation, out[n, :3, :3]) > _TURN for k in keys):
            links = 1 + min((m.links for m in matches), default=0)
            new = _features(grey, out[n], K, vertices, loose, head.faces)
            if new is not None:
                keys.append(replace(new, links=links))
    return out


def _shaped(head: HeadModel, identity: Tensor, expression: np.ndarray) -> Float[np.ndarray, "v 3"]:
    still = Pose(torch.from_numpy(expression).float(), torch.zeros(len(head.joints), 3), torch.eye(4))
    return head.vertices(identity, still).double().numpy()


def _looseness(head: HeadModel, identity: Tensor) -> Float[np.ndarray, " v"]:
    """Returns how far any expression at 1 moves each vertex, metres; infinite where it does not turn with the head."""
    e, j = len(head.expressions), len(head.joints)
    rest = head.vertices(identity, Pose(torch.zeros(e), torch.zeros(j, 3), torch.eye(4)))
    each = Pose(torch.eye(e), torch.zeros(e, j, 3), torch.eye(4).expand(e, 4, 4))
    moved = (head.vertices(identity.expand(e, -1), each) - rest).norm(dim=-1).amax(0)
    turn = torch.zeros(j, 3)
    turn[head.joints.index("head")] = torch.tensor([0.3, 0.3, 0.0])
    bent = Pose(torch.zeros(e), turn, torch.eye(4))
    motion = head.joint_transforms(identity, bent)[head.joints.index("head")]
    slack = (head.vertices(identity, bent) - (rest @ motion[:3, :3].T + motion[:3, 3])).norm(dim=-1)
    for name in ("eyes", "lids", "mouth_interior", "lips"):
        if name in head.regions:
            moved = torch.where(head.regions[name] > 0.3, torch.inf, moved)
    return torch.where(slack < _SLACK, moved, torch.inf).double().numpy()


def _features(
    grey: np.ndarray, pose: np.ndarray, K: np.ndarray, vertices: np.ndarray, loose: np.ndarray, faces: Tensor
) -> _Key | None:
    """Returns a keyframe with good features on the parts in view that may be trusted, if there are enough."""
    height, width = grey.shape
    posed = vertices @ pose[:3, :3].T + pose[:3, 3]
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    seen = mesh.rasterize(
        torch.from_numpy(posed).float(), faces, Camera(flip, torch.from_numpy(K).float(), width, height)
    )
    face, ids = seen.face.numpy(), faces.numpy()
    worst = loose[ids].max(-1)
    allowed = (face >= 0) & (worst < _LOOSE)[face]
    # A feature's window must not reach over the outline, where the background slides past.
    allowed = cv2.erode(allowed.astype(np.uint8), np.ones((5, 5), np.uint8))
    found = cv2.goodFeaturesToTrack(grey, _FEATURES, _CLEAR, 5, mask=allowed * 255, blockSize=5)
    if found is None or len(found) < _ENOUGH:
        return None
    pixels = found[:, 0]
    column, line = (pixels[:, i].astype(int) for i in range(2))
    at = face[line, column]
    pixel = K[0, 0] / -posed[:, 2].mean()  # pixels a metre
    error = np.hypot(_NOISE, _UNTRACKED * worst[at] * pixel)
    return _Key(grey, pixels, ids[at], seen.bary.numpy()[line, column].astype(np.float64), error, pose[:3, :3], 1)


def _follow(key: _Key, grey: np.ndarray, pose: np.ndarray, K: np.ndarray, vertices: np.ndarray) -> _Match | None:
    """Returns where a keyframe's features are now, or None when too few are found again."""
    points = key.points(vertices)
    guess = _project(pose, points, K)[0].astype(np.float32)
    window = {"winSize": _SPAN, "maxLevel": 3, "flags": cv2.OPTFLOW_USE_INITIAL_FLOW}
    now, ok, _ = cv2.calcOpticalFlowPyrLK(key.image, grey, key.pixels, guess.copy(), **window)
    back, ok_back, _ = cv2.calcOpticalFlowPyrLK(grey, key.image, now, key.pixels.copy(), **window)
    good = (ok.ravel() == 1) & (ok_back.ravel() == 1) & (np.linalg.norm(back - key.pixels, axis=1) < 1.0)
    if good.sum() < _ENOUGH:
        return None
    # Features agree to a fraction of a pixel but share errors: a view counts as few, fewer for each link to it.
    count = np.full(int(good.sum()), _COUNT * min(1.0, good.sum() / _MANY) / good.sum() / key.links)
    return _Match(points[good], now[good].astype(np.float64), key.error[good], count, good.mean(), key.links)


def _solve(matches: list[_Match], pose: np.ndarray, K: np.ndarray) -> np.ndarray:
    """Returns the pose that takes features to where they are now, drawn towards the landmarks' pose."""
    points, target, error, count = (
        np.concatenate([getattr(m, name) for m in matches]) for name in ("points", "target", "error", "count")
    )
    middle = points.mean(0)
    current = pose.astype(np.float64).copy()
    start = current.copy()
    for step in range(_STEPS):
        pixels, view = _project(current, points, K)
        residual = pixels - target
        length = np.linalg.norm(residual, axis=1)
        reach = error * _FORGET * max(1.0, _WIDE * 0.6**step)  # begins where a wrong start may lie, then narrows
        weight = count / (1 + (length / reach) ** 2) ** 2 / error**2  # Geman-McClure
        arm = (points - middle) @ current[:3, :3].T @ _FLIP
        z = view[:, 2:]
        by_view = np.zeros((len(points), 2, 3))
        by_view[:, 0, 0], by_view[:, 1, 1] = K[0, 0] / z[:, 0], K[1, 1] / z[:, 0]
        by_view[:, :, 2] = -np.stack([K[0, 0] * view[:, 0], K[1, 1] * view[:, 1]], 1) / z**2
        by_turn = np.cross(arm[:, None, :], by_view)
        J = np.concatenate([by_turn, by_view], -1).reshape(-1, 6)
        w = np.repeat(weight, 2)
        away = _difference(current, start, middle)
        A = (J * w[:, None]).T @ J + np.diag(1 / _PRIOR**2)
        change = np.linalg.solve(A, -(J * w[:, None]).T @ residual.ravel() - away / _PRIOR**2)
        current = _moved(current, change, middle)
    return current


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
