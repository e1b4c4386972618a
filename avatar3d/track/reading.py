"""What the landmark network's output says about a head's rotation and expression, learned on renders.

The network's errors are of a few kinds and touch all points at once: it sees four fifths of a nod, takes an open mouth
for a nod, and its depths know of turns that its pixels do not show. A solve with independent noise on each point cannot
know that; a linear map from everything the network gives can. Trained by `tools/learn_reading.py` on portraits of the
default head with random identities, skins, light and cameras; `track` uses its answers as priors.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from safetensors import safe_open
from scipy.spatial.transform import Rotation

from avatar3d.core import AvatarError
from avatar3d.track.embedding import DATA, SKIN, Embedding

_OWN = 4.0
"""Frames of which the clip's mean must consist to count as much as what is known of all people."""
_LEARNED = 0.5
"""Share of what was learned in the weights; the rest are the network's coefficients. The map knows renders and draws
the doubtful to its mean (of people's pucker it reads a third); the coefficients know people, but not all of a face."""
_STRANGE, _ALIEN = 15.0, 45.0
"""Mean squared answer, in deviations, that is still trusted, and from which it is not. Portraits stay below 8, people
and other head models below 12; landmarks that are a head model's own, which the network never gives, reach 100."""


@dataclass(frozen=True)
class Reader:
    """Two linear maps from features (see `features`) to a rotation vector and 52 weights.

    How faces differ between people is not how one face moves, so that the mean over a clip is read by the one and what
    differs from it by the other.
    """

    mean: Float[np.ndarray, "l 3"]
    """Of the points in the head's axes, metres."""
    between: Float[np.ndarray, "f o"]
    offset: Float[np.ndarray, " o"]
    within: Float[np.ndarray, "f o"]
    usual: Float[np.ndarray, "2 o"]
    """Mean and deviation of what was read off the portraits."""


@dataclass(frozen=True)
class Reading:
    """Read off each frame."""

    rotation: Float[np.ndarray, "t 3 3"]
    """Head to camera (y up)."""
    expression: Float[np.ndarray, "t 52"]
    """In [0, 1]."""
    trust: Float[np.ndarray, " t"]
    """1 for landmarks like those the reader learned from, 0 for ones that the network would not give."""


@functools.cache
def load(path: Path = DATA) -> Reader:
    """Returns the reader that ships with the default head.

    Raises:
        AvatarError: If the file is missing or older, which means a broken installation.
    """
    names = [f"reading_{name}" for name in ("mean", "between", "offset", "within", "usual")]
    if path.is_file():
        with safe_open(str(path), "numpy") as file:
            if set(names) <= set(file.keys()):
                return Reader(*(file.get_tensor(name).astype(np.float64) for name in names))
    raise AvatarError(f"{path} has no reading; reinstall avatar3d or run tools/learn_reading.py")


def read(
    reader: Reader,
    embedding: Embedding,
    points: Float[np.ndarray, "t l 3"],
    coefficients: Float[np.ndarray, "t 52"],
    k: float,
) -> Reading:
    """Returns rotation and expression of every frame of one person.

    Args:
        reader: See `load`.
        embedding: Landmarks on the head.
        points: Detected, pixels from the principal point, y down, finite.
        coefficients: The network's.
        k: Inverse focal length, 1 / pixels.
    """
    x, rough = features(embedding, points, coefficients, k, reader.mean)
    t = len(x)
    centre = (t * x.mean(0) + _OWN * x) / (t + _OWN)
    out = centre @ reader.between + reader.offset + (x - centre) @ reader.within
    strange = (((x @ reader.between + reader.offset - reader.usual[0]) / reader.usual[1]) ** 2).mean(1)
    trust = np.clip((_ALIEN - strange) / (_ALIEN - _STRANGE), 0, 1)
    share = (_LEARNED * trust)[:, None]
    expression = share * np.clip(out[:, 3:], 0, 1) + (1 - share) * coefficients
    return Reading(rough @ Rotation.from_rotvec(out[:, :3]).as_matrix(), expression, trust)


def features(
    embedding: Embedding,
    points: Float[np.ndarray, "t l 3"],
    coefficients: Float[np.ndarray, "t 52"],
    k: float | Float[np.ndarray, " t"],
    mean: Float[np.ndarray, "l 3"],
) -> tuple[Float[np.ndarray, "t f"], Float[np.ndarray, "t 3 3"]]:
    """Returns what the maps read, and the rotation that they correct: of the similarity that fits best.

    Features are the points in the head's axes (metres, less their mean), the coefficients, and the head's angles
    towards the ray on which it lies, with their products.
    """
    rough, shape, place = _aligned(embedding, points)
    pitch, yaw, roll = angles(_towards(place, k).swapaxes(1, 2) @ rough).T
    turns = np.stack([pitch, yaw, roll, pitch**2, yaw**2, pitch * yaw, yaw * roll, pitch * roll], 1)
    return np.concatenate([(shape - mean).reshape(len(shape), -1), coefficients, turns], 1), rough


def angles(rotation: Float[np.ndarray, "t 3 3"]) -> Float[np.ndarray, "t 3"]:
    """Returns pitch, yaw, roll of R = Rz(roll) Rx(pitch) Ry(yaw), radians."""
    pitch = np.arcsin(np.clip(rotation[:, 2, 1], -1, 1))
    yaw = np.arctan2(-rotation[:, 2, 0], rotation[:, 2, 2])
    return np.stack([pitch, yaw, np.arctan2(-rotation[:, 0, 1], rotation[:, 1, 1])], -1)


def _aligned(embedding: Embedding, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns rotation, points in head axes (metres) and their place in pixels (y up) by weighted Procrustes."""
    seen = points * [1, -1, -1]
    moved = np.sqrt((embedding.response[:, :SKIN] ** 2).sum((0, 2)))
    weight = 1 / (1 + (moved / np.median(moved)) ** 2)  # what expressions hardly move decides
    weight /= weight.sum()
    rest = embedding.point[:SKIN] - weight @ embedding.point[:SKIN]
    middle = np.einsum("l,tli->ti", weight, seen[:, :SKIN])
    centred = seen - middle[:, None]
    across = np.einsum("tli,l,lj->tij", centred[:, :SKIN], weight, rest)
    u, s, vt = np.linalg.svd(across)
    flip = np.ones((len(u), 3))
    flip[:, 2] = np.sign(np.linalg.det(u @ vt))
    size = (s * flip).sum(1) / (weight @ (rest**2).sum(1))
    rotation = (u * flip[:, None]) @ vt
    return rotation, centred @ rotation / size[:, None, None], middle[:, :2]


def _towards(place: Float[np.ndarray, "t 2"], k: float | np.ndarray) -> Float[np.ndarray, "t 3 3"]:
    """Returns the shortest turns of the viewing axis (0, 0, -1) to the rays through a place."""
    x, y = place.T * k
    ray = np.stack([x, y, -np.ones_like(x)], 1)
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    axis = np.stack([ray[:, 1], -ray[:, 0], np.zeros_like(x)], 1)  # (0, 0, -1) x ray
    sine = np.linalg.norm(axis, axis=1, keepdims=True)
    return Rotation.from_rotvec(axis * np.arcsin(sine) / np.maximum(sine, 1e-12)).as_matrix()
