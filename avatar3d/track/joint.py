"""The normal equations of several views of a head: each view's added to those of its time step."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from avatar3d.track.energy import Model, State, jacobian
from avatar3d.track.solve import Equations, Prior, Stage, increments, pull_turn, turn

_SURE = 2.0
"""Views whose landmarks count as independent: the network errs alike in all of them."""
_GRAZING = (0.05, 0.35)
"""Cosines between a landmark's normal and the ray below which it is hidden, and above which it is plain."""
_CHUNK = 32


@dataclass(frozen=True)
class Rig:
    """Cameras in upright axes (x right, y up, z towards the viewer), the capture's own unit."""

    turn: Float[np.ndarray, "v 3 3"]
    """World to camera."""
    shift: Float[np.ndarray, "v 3"]
    step: Int[np.ndarray, " v"]
    focal: float
    """Pixels, common to all: landmarks are rescaled to it."""

    @property
    def centre(self) -> Float[np.ndarray, "v 3"]:
        """Where cameras stand in the world."""
        return -np.einsum("vji,vj->vi", self.turn, self.shift)

    def views(self, index) -> "Rig":
        """Returns some of the cameras."""
        return replace(self, turn=self.turn[index], shift=self.shift[index], step=self.step[index])


@dataclass(frozen=True)
class Seen:
    """What was detected in the views that show a face."""

    rig: Rig
    points: Float[np.ndarray, "v l 3"]
    """From the principal point, pixels of the common focal length; z as the network gives it."""
    coefficients: Float[np.ndarray, "v e"]
    weight: Float[np.ndarray, " v"]
    """How far to trust each view."""
    read: Float[np.ndarray, "v 3 3"]
    """The head's rotation in each camera, as read off the network; identity where it was not."""
    trust: Float[np.ndarray, " v"]
    """How far to trust that."""

    @property
    def steps(self) -> int:
        return int(self.rig.step.max()) + 1

    def views(self, index) -> "Seen":
        """Returns some of the views."""
        parts = (self.points, self.coefficients, self.weight, self.read, self.trust)
        return Seen(self.rig.views(index), *(x[index] for x in parts))


@dataclass(frozen=True)
class Heads:
    """The unknowns: the head in the world at each time step, its expressions, who it is."""

    rotation: Float[np.ndarray, "t 3 3"]
    place: Float[np.ndarray, "t 3"]
    """Of the landmarks' centre, metres."""
    scale: float
    """Metres per unit of the capture's world."""
    face: State
    """Expression and identity; the pose in it is not used."""


def solve_heads(
    model: Model, facing: np.ndarray, seen: Seen, state: Heads, prior: Prior, stages: tuple[Stage, ...]
) -> Heads:
    """Returns the state after all stages."""
    for stage in stages:
        for _ in range(stage.steps):
            shared = "identity" in stage.free
            equations = _equations(model, facing, seen, state, shared)
            pull_turn(equations, state.rotation, prior)
            step = increments(equations, state.face, prior, stage.free)
            face = replace(
                state.face,
                expression=np.clip(state.face.expression + step.expression, 0, 1),
                identity=np.clip(state.face.identity + step.shared[:-1], -4, 4) if shared else state.face.identity,
            )
            moved = state.place + np.clip(step.pose[:, 3:], -0.05, 0.05)
            state = replace(state, rotation=turn(step.pose[:, :3]) @ state.rotation, place=moved, face=face)
    return state


def in_views(rig: Rig, state: Heads) -> tuple[State, Float[np.ndarray, "v 3"]]:
    """Returns each view's own state, as `energy` has it, and the head's place in its camera."""
    place = np.einsum("vij,vj->vi", rig.turn, state.place[rig.step]) + state.scale * rig.shift
    size = np.maximum(-place[:, 2], 1e-2) / rig.focal
    return (
        replace(
            state.face,
            rotation=rig.turn @ state.rotation[rig.step],
            shift=np.stack([place[:, 0], -place[:, 1]], 1) / size[:, None],
            size=size,
            expression=state.face.expression[rig.step],
        ),
        place,
    )


def _equations(model: Model, facing: np.ndarray, seen: Seen, state: Heads, shared: bool) -> Equations:
    """Returns the normal equations of all views, added up by time step."""
    steps, e = seen.steps, state.face.expression.shape[1]
    q = len(state.face.identity) + 1 if shared else 0
    out = Equations(
        *(np.zeros((steps, 6 + e, 6 + e)), np.zeros((steps, 6 + e)), np.zeros((steps, 6 + e, q))),
        *(np.zeros((q, q)), np.zeros(q)),
    )
    total = np.zeros(steps)
    np.add.at(total, seen.rig.step, seen.weight)
    trust = seen.weight / np.maximum(total / _SURE, 1.0)[seen.rig.step]
    for i in range(0, len(trust), _CHUNK):
        part = slice(i, i + _CHUNK)
        rig = seen.rig.views(part)
        views, place = in_views(rig, state)
        j = jacobian(model, views, seen.points[part, :, :2], shared)
        rows = np.sqrt(trust[part, None] * _visible(model, facing, views, place)).repeat(2, axis=1)[..., None]
        local, residual = j.local * rows, (j.residual * rows[..., 0])[..., None]
        local[..., :6] = local[..., :6] @ _by_world(rig, place)
        across = local.swapaxes(1, 2)
        np.add.at(out.H, rig.step, across @ local)
        np.add.at(out.G, rig.step, (across @ residual)[..., 0])
        if shared:
            by_who = (j.shared * rows).reshape(-1, q)
            np.add.at(out.Hs, rig.step, across @ (j.shared * rows))
            out.Hss[:] += by_who.T @ by_who
            out.Gs[:] += by_who.T @ residual.ravel()
    return out


def _visible(
    model: Model, facing: np.ndarray, views: State, place: Float[np.ndarray, "v 3"]
) -> Float[np.ndarray, "v r"]:
    """Returns how well each view sees each landmark, then each pair of landmarks, in [0, 1]."""
    normal = np.einsum("vij,lj->vli", views.rotation, facing)
    ray = -(place[:, None] + np.einsum("vij,lj->vli", views.rotation, model.template))
    cosine = (normal * ray).sum(-1) / np.linalg.norm(ray, axis=-1)
    plain = np.clip((cosine - _GRAZING[0]) / (_GRAZING[1] - _GRAZING[0]), 0, 1)
    first, second = model.pairs.T
    return np.concatenate([plain, np.minimum(plain[:, first], plain[:, second])], 1)


def _by_world(rig: Rig, place: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, "v 6 6"]:
    """Returns the derivative of a view's pose (turn, shift, log size) by the head's turn and place in the world."""
    x, y, z = place.T
    depth = np.maximum(-z, 1e-2)
    out = np.zeros((len(place), 6, 6), np.float32)
    out[:, :3, :3] = rig.turn
    by_place = np.zeros((len(place), 3, 3))
    by_place[:, 0, 0], by_place[:, 0, 2] = rig.focal / depth, rig.focal * x / depth**2
    by_place[:, 1, 1], by_place[:, 1, 2] = -rig.focal / depth, -rig.focal * y / depth**2
    by_place[:, 2, 2] = -1 / depth
    out[:, 3:, 3:] = by_place @ rig.turn
    return out


def means(
    values: Float[np.ndarray, "v c"], weight: Float[np.ndarray, " v"], step: Int[np.ndarray, " v"], steps: int
) -> Float[np.ndarray, "t c"]:
    """Returns the weighted mean of the views' values by time step."""
    total, out = np.zeros(steps), np.zeros((steps, values.shape[1]))
    np.add.at(total, step, weight)
    np.add.at(out, step, weight[:, None] * values)
    return out / total[:, None]


def centred(values: np.ndarray, weight: np.ndarray, step: np.ndarray, steps: int) -> np.ndarray:
    return values - means(values, weight, step, steps)[step]


def mean_rotations(
    rotations: Float[np.ndarray, "v 3 3"], weight: Float[np.ndarray, " v"], step: Int[np.ndarray, " v"], steps: int
) -> Float[np.ndarray, "t 3 3"]:
    """Returns the weighted (chordal) mean of the views' rotations by time step."""
    total = np.zeros((steps, 3, 3))
    np.add.at(total, step, weight[:, None, None] * rotations)
    u, _, vt = np.linalg.svd(total)
    u[:, :, 2] *= np.linalg.det(u @ vt)[:, None]
    return u @ vt
