"""Where the landmark network's 478 points lie on a head, and how far they really move with each expression.

The points are calibrated by running the network on renders of the head itself (`tools/calibrate_landmarks.py`), because
the network's idea of "the brow" or "the jaw line" is its own, and because it under-reacts: on renders a full blink
moves its lids about two thirds of the way.
"""

import functools
import hashlib
import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from safetensors import safe_open
from torch import Tensor

from avatar3d.core import AvatarError, HeadModel, Pose

_log = logging.getLogger(__name__)

POINTS = 478
"""Landmarks of the network: 468 on the skin, then five on each iris (the subject's right eye first)."""
SKIN = 468
_EDGE = 0.02
"""Longer than any edge of a head's triangles near the face, metres."""
DATA = Path(__file__).parents[1] / "heads" / "data" / "landmarks.safetensors"


@dataclass(frozen=True)
class Embedding:
    """Landmarks as points of a head's surface."""

    face: Int[np.ndarray, " l"]
    bary: Float[np.ndarray, "l 3"]
    spread: Float[np.ndarray, " l"]
    """Median distance in millimetres between the surface points hit over poses and identities: small is trustworthy."""
    response: Float[np.ndarray, "e l 2"]
    """Measured motion of each detected landmark for a full expression, head x and y, metres."""
    turning: Float[np.ndarray, "6 l 2"]
    """Error of each landmark (image axes turned upright, metres) as a quadratic of the head's pitch and yaw."""
    point: Float[np.ndarray, "l 3"]
    """Where the landmarks were on the neutral head it was calibrated on, metres."""
    topology: str
    """Fingerprint of that head, see `fingerprint`."""


@dataclass(frozen=True)
class Surface:
    """The landmarks of one head as a linear model in metres, head space at rest."""

    template: Float[np.ndarray, "l 3"]
    expression: Float[np.ndarray, "e l 3"]
    identity: Float[np.ndarray, "s l 3"]


def fingerprint(head: HeadModel) -> str:
    """Returns a hash of the head's triangles: the embedding follows them."""
    return hashlib.sha256(head.faces.cpu().numpy().astype(np.int64).tobytes()).hexdigest()[:16]


def on(head: HeadModel, path: Path = DATA) -> Embedding:
    """Returns the landmarks of a head that shares the default head's shape and space.

    Landmarks that were calibrated on other triangles are moved to the nearest points of these.
    """
    stored = load(path)
    if stored.topology == fingerprint(head):
        return stored
    _log.warning(
        "landmarks were calibrated on another version of head '%s'; run tools/calibrate_landmarks.py", head.name
    )
    rest = vertices(head, torch.zeros(1, len(head.identities)), torch.zeros(1, len(head.expressions)))[0]
    faces = head.faces.cpu().numpy()
    found = [closest(rest, faces, point) for point in stored.point]
    return replace(stored, face=np.array([f for f, _ in found]), bary=np.stack([b for _, b in found]))


def closest(
    rest: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"], point: Float[np.ndarray, " 3"]
) -> tuple[int, Float[np.ndarray, " 3"]]:
    """Returns the triangle nearest to a point and the barycentrics there (clamped, so near enough off the edges)."""
    corner = np.linalg.norm(rest[faces[:, 0]] - point, axis=1)
    near_by = np.flatnonzero(corner <= corner.min() + 2 * _EDGE)
    a, b, c = (rest[faces[near_by, i]] for i in range(3))
    u, v, w = b - a, c - a, point - a
    uu, uv, vv, wu, wv = (u * u).sum(1), (u * v).sum(1), (v * v).sum(1), (w * u).sum(1), (w * v).sum(1)
    det = uu * vv - uv * uv + 1e-20
    weights = np.stack([np.zeros(len(near_by)), (vv * wu - uv * wv) / det, (uu * wv - uv * wu) / det], 1)
    weights[:, 0] = 1 - weights.sum(1)
    weights = np.clip(weights, 0, None)
    weights /= weights.sum(1, keepdims=True)
    near = weights[:, :1] * a + weights[:, 1:2] * b + weights[:, 2:] * c
    best = int(np.linalg.norm(near - point, axis=1).argmin())
    return int(near_by[best]), weights[best]


@functools.cache
def load(path: Path = DATA) -> Embedding:
    """Returns the embedding of the default head.

    Raises:
        AvatarError: If the file is missing, which means a broken installation.
    """
    if not path.is_file():
        raise AvatarError(f"{path} is missing; reinstall avatar3d or run tools/calibrate_landmarks.py")
    with safe_open(str(path), "numpy") as file:
        meta = file.metadata() or {}
        return Embedding(
            face=file.get_tensor("face").astype(np.int64),
            bary=file.get_tensor("bary").astype(np.float64),
            spread=file.get_tensor("spread").astype(np.float64),
            response=file.get_tensor("response").astype(np.float64),
            turning=file.get_tensor("turning").astype(np.float64),
            point=file.get_tensor("point").astype(np.float64),
            topology=meta.get("topology", ""),
        )


def surface(head: HeadModel, embedding: Embedding, identity: Float[Tensor, " s"] | None = None) -> Surface:
    """Returns the head's landmarks linearised at `identity` (default: the mean).

    Args:
        head: Any head model; its expressions and identities are probed one by one through `vertices`.
        embedding: Landmarks on the same head.
        identity: Identity vector, standard deviations.
    """
    e, s = len(head.expressions), len(head.identities)
    base = torch.zeros(s) if identity is None else identity.detach().float().cpu()
    rows = torch.cat([base[None].expand(1 + e, s), base + torch.eye(s)])
    weights = torch.cat([torch.zeros(1, e), torch.eye(e), torch.zeros(s, e)])
    points = [
        place(vertices(head, rows[i : i + 32], weights[i : i + 32]), head.faces.cpu().numpy(), embedding)
        for i in range(0, len(rows), 32)
    ]
    found = np.concatenate(points)
    return Surface(found[0], found[1 : 1 + e] - found[0], found[1 + e :] - found[0])


def place(
    mesh: Float[np.ndarray, "*b v 3"], faces: Int[np.ndarray, "f 3"], embedding: Embedding
) -> Float[np.ndarray, "*b l 3"]:
    """Returns the landmarks on a mesh."""
    corners = mesh[..., faces[embedding.face], :]
    return (corners * embedding.bary[:, :, None]).sum(-2)


def vertices(head: HeadModel, identity: Tensor, expression: Tensor) -> np.ndarray:
    """Returns rest vertices (b, v, 3) in float64."""
    b = len(identity)
    root = torch.eye(4).expand(b, 4, 4)
    with torch.no_grad():
        out = head.vertices(identity, Pose(expression, torch.zeros(b, len(head.joints), 3), root))
    return out.cpu().double().numpy()
