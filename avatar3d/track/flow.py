"""Motion of the shoulders in the image: features followed from a keyframe, and the similarity most of them agree on."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float

from avatar3d.core import Clip

_FEATURES = 160
_ENOUGH = 10
"""Fewest agreeing features for a similarity to be believed."""
_WIDE = 0.08
"""Least spread (standard deviation) of the features over the image's side: a cluster does not tell turn and size."""
_FADED = 0.4
"""Share of agreeing features below which a new keyframe is taken."""
_TOLERANCE = 1.5
"""Pixels at 512: forward-backward error, and distance from the common similarity."""
_SIDE = 512
"""Longer side, in pixels, at which flow is measured."""


@dataclass(frozen=True)
class Flow:
    """The torso's motion in the image since the first frame, x -> matrix x + shift."""

    matrix: Float[np.ndarray, "t 2 2"]
    """Scaled rotations."""
    shift: Float[np.ndarray, "t 2"]
    """Pixels."""
    sure: Bool[np.ndarray, " t"]
    """False where too few features agreed and the motion was held."""

    def bridged(self, longest: int) -> "Flow":
        """Returns the flow with gaps of up to `longest` frames between sure ones filled linearly, and sure.

        A torso that is followed, let go and followed again within a few frames would jump by centimetres.
        """
        known = np.flatnonzero(self.sure)
        if not len(known):
            return self
        time = np.arange(len(self.sure))
        after = np.clip(np.searchsorted(known, time), 0, len(known) - 1)
        before = np.clip(np.searchsorted(known, time, side="right") - 1, 0, len(known) - 1)
        gap = known[after] - known[before]
        flat = np.concatenate([self.matrix.reshape(-1, 4), self.shift], 1)
        filled = np.stack([np.interp(time, known, column[known]) for column in flat.T], 1)
        # Before the first and after the last sure frame both neighbours are the same one.
        gap = np.where(gap == 0, 2 * np.abs(time - known[after]), gap)
        return Flow(filled[:, :4].reshape(-1, 2, 2), filled[:, 4:], gap <= longest)


@dataclass(frozen=True)
class _Key:
    image: np.ndarray
    points: np.ndarray
    motion: np.ndarray
    """2x3, from the first frame to this one."""


@dataclass(frozen=True)
class _Followed:
    motion: np.ndarray
    """2x3, from the first frame to this one."""
    points: np.ndarray
    """The key's features, here."""
    share: float
    """Of the features that agree with the motion."""


def torso_flow(clip: Clip, landmarks: Float[np.ndarray, "t l 3"]) -> Flow:
    """Returns the motion of what is below the chin.

    Args:
        clip: Images, and a matte where there is one: without it a still background counts as torso.
        landmarks: Pixels, finite (bridged over frames without a face).
    """
    scale = min(1.0, _SIDE / max(clip.width, clip.height))
    size = (max(1, round(clip.width * scale)), max(1, round(clip.height * scale)))
    motion, key, guess = np.eye(2, 3), None, None
    motions, sure = [], []
    for n, (image, mask) in enumerate(_images(clip)):
        grey = cv2.resize(
            cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA
        )
        found = _follow(key, guess, grey) if key is not None and guess is not None else None
        if found is not None:
            motion, guess = found.motion, found.points
        sure.append(found is not None)
        motions.append(motion)
        if found is None or found.share < _FADED:
            points = _features(grey, _region(mask, size, landmarks[n] * scale))
            # A keyframe continues from the last motion.
            key, guess = (_Key(grey, points, motion), points) if _many(points, grey) else (None, None)
            sure[n] = sure[n] or (n == 0 and key is not None)  # nothing has moved yet
    out = np.stack(motions)
    return Flow(out[:, :, :2], out[:, :, 2] / scale, np.array(sure))


def _images(clip: Clip) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    if clip.masks is None:
        for image in clip.frames:
            yield image, None
    else:
        yield from zip(clip.frames, clip.masks, strict=False)


def _region(mask: np.ndarray | None, size: tuple[int, int], landmarks: np.ndarray) -> np.ndarray:
    """Returns where features may lie: the person well below the chin, or beside it, at most two face heights away."""
    width, height = size
    chin, brow = landmarks[152, :2], landmarks[10, :2]
    tall = float(np.linalg.norm(chin - brow))
    allowed = np.zeros((height, width), np.uint8)
    top = int(np.clip(chin[1] + 0.08 * tall, 0, height))  # with the collar, the best there is on plain clothes
    left, right = (int(np.clip(chin[0] + s * 2 * tall, 0, width)) for s in (-1, 1))
    allowed[top:, left:right] = 255
    level = int(np.clip(chin[1] - 0.05 * tall, 0, height))  # and the shoulders left and right of the neck
    near, far = (int(np.clip(chin[0] + s * 0.55 * tall, 0, width)) for s in (-1, 1))
    allowed[level:, left:near], allowed[level:, far:right] = 255, 255
    if mask is not None:
        plain = mask if mask.ndim == 2 else mask[..., 0]
        person = cv2.resize(np.ascontiguousarray(plain), size, interpolation=cv2.INTER_AREA)
        allowed &= (person > 128).astype(np.uint8) * 255
    return allowed


def _features(grey: np.ndarray, region: np.ndarray) -> np.ndarray:
    # Far apart: a busy hand shall not outvote a plain shirt.
    found = cv2.goodFeaturesToTrack(grey, _FEATURES, 0.002, 12, mask=region, blockSize=7)
    return np.zeros((0, 2), np.float32) if found is None else found[:, 0]


def _follow(key: _Key, guess: np.ndarray, grey: np.ndarray) -> _Followed | None:
    """Returns where the key's features are in another image, or None when they are lost.

    They are always matched with the keyframe itself, not with the frame before, so that errors do not add up.
    """
    window = {"winSize": (17, 17), "maxLevel": 3, "flags": cv2.OPTFLOW_USE_INITIAL_FLOW}
    now, ok, _ = cv2.calcOpticalFlowPyrLK(key.image, grey, key.points, guess.copy(), **window)
    back, ok_back, _ = cv2.calcOpticalFlowPyrLK(grey, key.image, now, key.points.copy(), **window)
    good = (ok.ravel() == 1) & (ok_back.ravel() == 1) & (np.linalg.norm(back - key.points, axis=1) < _TOLERANCE)
    if not _many(key.points[good], grey):
        return None
    step, inliers = cv2.estimateAffinePartial2D(
        key.points[good], now[good], method=cv2.RANSAC, ransacReprojThreshold=_TOLERANCE, maxIters=500, refineIters=10
    )
    if step is None or inliers.mean() < 0.3:
        return None
    kept = good.copy()
    kept[good] = inliers.ravel() == 1
    if not _many(key.points[kept], grey):
        return None
    # Features that lost their way start again from where the common motion puts them.
    placed = key.points @ step[:, :2].T + step[:, 2]
    points = np.where(kept[:, None], now, placed).astype(np.float32)
    return _Followed(_compose(step, key.motion), points, float(kept.mean()))


def _many(points: np.ndarray, grey: np.ndarray) -> bool:
    """Returns whether features are enough, and far enough apart."""
    return len(points) >= _ENOUGH and float(points.std(0).max()) > _WIDE * max(grey.shape)


def _compose(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Returns the 2x3 map that applies `first`, then `second`."""
    shift = second[:, :2] @ first[:, 2] + second[:, 2]
    return np.concatenate([second[:, :2] @ first[:, :2], shift[:, None]], 1)
