"""Residuals of landmarks against a head model, and their derivatives: pure functions of numpy arrays.

Camera of the terms: with `g` metres per pixel at the head and `k` the inverse focal length in pixels, a rotated head
point (X, Y, Z) (y up, z towards the viewer, relative to the landmarks' centre) falls on

    x = (X + g U_x) / (g - k Z),    y = (-Y + g U_y) / (g - k Z)        pixels from the image's centre, y down.

It is the pinhole camera with translation (g U_x, -g U_y, -g / k), but rotation, place, size and focal length are nearly
independent of each other in it, and k = 0 is simply a camera without perspective.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from avatar3d.track.embedding import SKIN

LIPS = ((13, 14), (82, 87), (312, 317), (81, 178), (311, 402), (80, 88), (310, 318), (191, 95), (415, 324))
LIDS = (
    *((159, 145), (158, 153), (160, 144), (157, 154), (161, 163)),
    *((386, 374), (385, 380), (387, 373), (384, 381), (388, 390)),
)
CORNERS = ((61, 291), (78, 308))
OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148),
    *(176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)


@dataclass(frozen=True)
class Model:
    """A head's landmarks relative to their centre, metres, and the weight of each residual."""

    centre: Float[np.ndarray, " 3"]
    template: Float[np.ndarray, "l 3"]
    expression: Float[np.ndarray, "e l 3"]
    identity: Float[np.ndarray, "s l 3"]
    pairs: Int[np.ndarray, "p 2"]
    """Landmarks whose difference counts by itself: both lips, both lids, mouth width."""
    turning: Float[np.ndarray, "6 l 2"]
    """The network's error by the head's turn, see `bias`."""
    weights: Float[np.ndarray, " r"]
    """Of the l landmarks, then of the p pairs."""


@dataclass(frozen=True)
class State:
    """The unknowns of some frames: pose and expression of each, identity and focal length of all."""

    rotation: Float[np.ndarray, "t 3 3"]
    shift: Float[np.ndarray, "t 2"]
    """Projection of the landmarks' centre, pixels from the image's centre."""
    size: Float[np.ndarray, " t"]
    """Metres per pixel at the landmarks' centre."""
    expression: Float[np.ndarray, "t e"]
    identity: Float[np.ndarray, " s"]
    k: float
    """Inverse focal length, 1 / pixels."""

    def frames(self, index) -> "State":
        """Returns the state of the frames at `index`."""
        return replace(
            self,
            rotation=self.rotation[index],
            shift=self.shift[index],
            size=self.size[index],
            expression=self.expression[index],
        )


@dataclass(frozen=True)
class Jacobian:
    """Weighted residuals (millimetres) and their derivatives, one row block a frame."""

    residual: Float[np.ndarray, "t r"]
    local: Float[np.ndarray, "t r p"]
    """By rotation (3), shift (2), log size (1) and the expressions."""
    shared: Float[np.ndarray, "t r q"]
    """By identity and by k in thousandths; no columns when identity is not asked for."""


def points(model: Model, state: State) -> Float[np.ndarray, "t l 3"]:
    """Returns the landmarks in head axes, metres from their centre at rest."""
    shape = model.template + np.tensordot(state.identity, model.identity, 1)
    e = model.expression
    return shape + (state.expression @ e.reshape(len(e), -1)).reshape(len(state.expression), *e.shape[1:])


def project(model: Model, state: State) -> tuple[Float[np.ndarray, "t l 2"], Float[np.ndarray, "t l 3"]]:
    """Returns the landmarks in pixels from the image's centre, and rotated in metres."""
    X = points(model, state) @ state.rotation.swapaxes(1, 2)
    q = state.size[:, None] - state.k * X[..., 2]
    offset = state.size[:, None] * state.shift
    x = (X[..., 0] + offset[:, :1]) / q
    y = (-X[..., 1] + offset[:, 1:]) / q
    return np.stack([x, y], -1), X


def turn_terms(pitch: Float[np.ndarray, " t"], yaw: Float[np.ndarray, " t"]) -> Float[np.ndarray, "t 6"]:
    """Returns the quadratic's terms: 1, p, y, pp, py, yy of angles in radians."""
    return np.stack([np.ones_like(pitch), pitch, yaw, pitch * pitch, pitch * yaw, yaw * yaw], -1)


def bias(model: Model, state: State) -> Float[np.ndarray, "t l 2"]:
    """Returns how far off, in pixels, the network sees each landmark because the head is turned.

    It under-reacts: on renders it sees four fifths of the head's pitch. Angles are those of
    R = Rz(roll) Rx(pitch) Ry(yaw), held within the calibrated range.
    """
    R = state.rotation
    pitch = np.clip(np.arcsin(np.clip(R[:, 2, 1], -1, 1)), -_PITCH, _PITCH)
    yaw = np.clip(np.arctan2(-R[:, 2, 0], R[:, 2, 2]), -_YAW, _YAW)
    roll = np.arctan2(-R[:, 0, 1], R[:, 1, 1])
    upright = np.tensordot(turn_terms(pitch, yaw), model.turning, 1) / state.size[:, None, None]
    cos, sin = np.cos(roll)[:, None], np.sin(roll)[:, None]
    x, y = upright[..., 0], upright[..., 1]
    return np.stack([cos * x + sin * y, cos * y - sin * x], -1)


_PITCH, _YAW = np.radians(18.0), np.radians(30.0)
"""Turns that `tools/calibrate_landmarks.py` covers."""


def jacobian(
    model: Model, state: State, landmarks: Float[np.ndarray, "t l 2"], shared: bool = False, huber: float = 2.5
) -> Jacobian:
    """Returns residuals scaled to millimetres on the head, weighted and made robust, with their derivatives.

    Args:
        model: Landmarks and weights.
        state: Where to linearise.
        landmarks: Detected, pixels from the image's centre.
        shared: Whether to differentiate by identity and focal length.
        huber: Residuals beyond this many millimetres count linearly.
    """
    t, e = state.expression.shape
    px, X = project(model, state)
    count = px.shape[1]
    iq = 1 / (state.size[:, None] - state.k * X[..., 2])
    by_point = np.zeros((t, count, 2, 3), np.float32)  # d pixel / d rotated point
    by_point[..., 0, 0], by_point[..., 1, 1] = iq, -iq
    by_point[..., 2] = state.k * px * iq[..., None]
    local = np.empty((t, count, 2, 6 + e), np.float32)
    local[..., :3] = np.cross(X[..., None, :], by_point)  # of a small rotation w: d X = w x X
    local[..., 3:5] = np.eye(2) * (state.size[:, None] * iq)[..., None, None]
    local[..., 5] = state.size[:, None, None] * (state.shift[:, None] - px) * iq[..., None]
    by_head = by_point @ state.rotation[:, None].astype(np.float32)
    deltas = np.ascontiguousarray(model.expression.transpose(1, 2, 0), np.float32)
    local[..., 6:] = by_head @ deltas
    columns = [local]
    if shared:
        modes = np.ascontiguousarray(model.identity.transpose(1, 2, 0), np.float32)
        by_k = (px * (X[..., 2] * iq)[..., None] * 1e-3).astype(np.float32)
        columns += [by_head @ modes, by_k[..., None]]
    first, second = model.pairs.T
    mm = (1000 * state.size).astype(np.float32)

    def rows(a: np.ndarray) -> np.ndarray:
        both = np.concatenate([a, a[:, first] - a[:, second]], 1)
        return both * mm.reshape(-1, *[1] * (a.ndim - 1))

    residual = rows((px + bias(model, state) - landmarks).astype(np.float32))  # the bias changes slowly: held
    length = np.sqrt((residual**2).sum(-1))
    scale = np.sqrt(model.weights * np.minimum(1, huber / np.maximum(length, 1e-6))).astype(np.float32)[..., None]
    weighted = [(rows(c) * scale[..., None]).reshape(t, -1, c.shape[-1]) for c in columns]
    none = np.zeros((t, weighted[0].shape[1], 0), np.float32)
    return Jacobian(
        residual=(residual * scale).reshape(t, -1),
        local=weighted[0],
        shared=np.concatenate(weighted[1:], -1) if shared else none,
    )


def without_similarity(
    template: Float[np.ndarray, "l 3"], modes: Float[np.ndarray, "s l 3"]
) -> Float[np.ndarray, "s l 3"]:
    """Returns identity modes with translation, rotation and scale of the skin points taken out.

    Those seven directions are the pose's; leaving them in makes the shared solve drift along them.
    """
    centred = template - template[:SKIN].mean(0)

    def similarity(x: np.ndarray) -> np.ndarray:
        eye = np.broadcast_to(np.eye(3), (len(x), 3, 3))
        turn = np.cross(np.eye(3)[None], x[:, None])
        return np.concatenate([eye, turn, x[:, None]], 1)  # l 7 3

    basis = similarity(centred[:SKIN]).transpose(0, 2, 1).reshape(-1, 7)
    amounts = np.linalg.lstsq(basis, modes[:, :SKIN].reshape(len(modes), -1).T, rcond=None)[0]
    return modes - np.einsum("lmc,ms->slc", similarity(centred), amounts)
