"""Mouths in videos, from the landmark network's 478 points: the same curves as of a motion, and distances of landmarks.

Each frame's points are brought upright and to the distance between the eyes' outer corners by the similarity that fits
its rigid points (eye corners, bridge of the nose, temples, forehead) to those of a reference face.
"""

import numpy as np
from jaxtyping import Float

from avatar3d.core import AvatarError
from avatar3d.score.lips import Mouth

_RIGID = (33, 133, 362, 263, 168, 6, 197, 10, 151, 9, 127, 356)
"""Points that neither speech nor brows move."""
_OUTER_EYES = (33, 263)
_LIPS = (
    *(61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185),
    *(78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191),
)
"""The outer and the inner contour of the lips."""
_INNER = ((13, 14), (82, 87), (312, 317))
"""Upper and lower points of the inner contour that face each other in the middle."""
_EYES = ((33, 160, 158, 133, 153, 144), (362, 385, 387, 263, 373, 380))
"""Around the eye from a corner, upper lid first, as for the eye aspect ratio of Soukupova and Cech (2016)."""
_CLOSED = 0.15
"""Lips are closed in the lowest part of their range: this share of the way from the 2nd to the 90th percentile."""


def upright(landmarks: Float[np.ndarray, "t l 3"], face: Float[np.ndarray, "l 2"] | None = None):
    """Returns landmarks in a common frame, t l 2, in units of the distance between the eyes' outer corners.

    Args:
        landmarks: Pixels; frames without a face are filled from their neighbours.
        face: Points of the reference face in such units; by default the mean face of these frames.

    Raises:
        AvatarError: No frame shows a face.
    """
    points = _filled(landmarks[..., :2].astype(np.float64))
    if face is None:
        face = face_of(points)
    rigid = list(_RIGID)
    wanted = face[rigid]
    centre = wanted.mean(0)
    own = points[:, rigid].mean(1, keepdims=True)
    a, b = points[:, rigid] - own, wanted - centre
    # The least-squares similarity in the plane, as complex numbers: b = z a.
    za, zb = a[..., 0] + 1j * a[..., 1], b[..., 0] + 1j * b[..., 1]
    z = (za.conj() * zb).sum(1) / (za.conj() * za).real.sum(1)
    moved = (points - own)[..., 0] + 1j * (points - own)[..., 1]
    turned = moved * z[:, None]
    return np.stack([turned.real, turned.imag], -1) + centre


def face_of(points: Float[np.ndarray, "t l 2"]) -> Float[np.ndarray, "l 2"]:
    """Returns the median face of some frames, upright, with the eyes' outer corners one unit apart."""
    left, right = points[:, _OUTER_EYES[0]], points[:, _OUTER_EYES[1]]
    across = (right - left)[:, 0] + 1j * (right - left)[:, 1]
    middle = ((left + right) / 2)[:, None]
    moved = (points - middle)[..., 0] + 1j * (points - middle)[..., 1]
    turned = moved / across[:, None]
    return np.median(np.stack([turned.real, turned.imag], -1), axis=0)


def mouth_of_landmarks(
    landmarks: Float[np.ndarray, "t l 3"], fps: float, face: Float[np.ndarray, "l 2"] | None = None
) -> Mouth:
    """Returns the curves of a mouth in a video; lengths in units of the distance between the eyes' outer corners.

    Raises:
        AvatarError: No frame shows a face.
    """
    points = upright(landmarks, face)
    opening = np.mean([np.linalg.norm(points[:, a] - points[:, b], axis=-1) for a, b in _INNER], axis=0)
    low, high = np.percentile(opening, [2, 90])
    lips = points[:, list(_LIPS)].reshape(len(points), -1)
    return Mouth(fps, opening, float(low + _CLOSED * (high - low)), lids(points), lips)


def lids(points: Float[np.ndarray, "t l 2"]) -> Float[np.ndarray, " t"]:
    """Returns how closed the lids are, 0 to 1: the eye aspect ratio against that of open eyes (80th percentile)."""
    ratios = []
    for corner, up1, up2, other, low2, low1 in _EYES:
        tall = sum(np.linalg.norm(points[:, a] - points[:, b], axis=-1) for a, b in ((up1, low1), (up2, low2)))
        ratios.append(tall / (2 * np.linalg.norm(points[:, corner] - points[:, other], axis=-1)))
    ratio = np.mean(ratios, axis=0)
    # The network sees lids move two thirds of their way: a shut eye keeps about a third of its ratio.
    return ((1 - ratio / max(1e-9, float(np.percentile(ratio, 80)))) / 0.67).clip(0, 1)


def landmark_distance(
    landmarks: Float[np.ndarray, "t l 3"], fps: float, reference: Float[np.ndarray, "u l 3"], reference_fps: float
) -> float:
    """Returns LMD: the mean distance between the lips' 40 landmarks in two videos, in percent of the face's size.

    Face size is the distance between the eyes' outer corners. Both are brought to the reference's median face by their
    rigid points, frames are paired by time over the common length.
    """
    face = face_of(_filled(reference[..., :2].astype(np.float64)))
    a, b = upright(landmarks, face), upright(reference, face)
    count = min(len(a), int((len(b) - 1) / reference_fps * fps + 1e-6) + 1)
    at = np.arange(count) * (reference_fps / fps)
    low = np.minimum(at.astype(int), len(b) - 1)
    high = np.minimum(low + 1, len(b) - 1)
    paired = b[low] + (at - low)[:, None, None] * (b[high] - b[low])
    away = np.linalg.norm(a[:count] - paired, axis=-1)[:, list(_LIPS)]
    return 100 * float(away.mean())


def _filled(points: Float[np.ndarray, "t l 2"]) -> Float[np.ndarray, "t l 2"]:
    seen = np.isfinite(points).all((1, 2))
    if not seen.any():
        raise AvatarError("score lips: no frame shows a face")
    if seen.all():
        return points
    at = np.flatnonzero(seen)
    flat = points[seen].reshape(len(at), -1)
    filled = [np.interp(np.arange(len(points)), at, flat[:, i]) for i in range(flat.shape[1])]
    return np.stack(filled, 1).reshape(points.shape)
