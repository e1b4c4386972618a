"""Gauss-Newton over declared stages: pose, expression in [0, 1], identity and focal length from 2D landmarks."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from avatar3d.track.energy import Jacobian, Model, State, bias, jacobian, project

_POSE = 6
_CHUNK = 32
"""Frames whose Jacobians are held at once: about 10 MB."""


@dataclass(frozen=True)
class Stage:
    """Some Gauss-Newton steps over some of the unknowns."""

    free: tuple[str, ...]
    """Of "pose", "expression", "identity", "focal"."""
    steps: int


@dataclass(frozen=True)
class Prior:
    """Weights of what is known before the landmarks are seen, in squared millimetres of landmark error."""

    expression: Float[np.ndarray, "t e"]
    """As read off the network."""
    ridge: float = 200.0
    """Pull of each expression towards them."""
    smooth: Float[np.ndarray, " e"] | float = 0.0
    """Weight of squared differences between neighbouring frames, by expression."""
    identity: float = 2.0
    """Weight of squared identity per frame (its prior is a unit normal)."""
    focal: float = 75.0
    """Weight per frame of the squared relative error of k."""
    k: float = 1e-3
    """Inverse focal length expected."""
    rotation: Float[np.ndarray, "t 3 3"] | None = None
    """The head's rotation expected, if there is such."""
    turn: Float[np.ndarray, " t"] | None = None
    """Pull of the rotation towards it, per squared radian; given with it."""

    def frames(self, index) -> "Prior":
        """Returns the prior of the frames at `index`."""
        rotation, turn = (None if x is None else x[index] for x in (self.rotation, self.turn))
        return replace(self, expression=self.expression[index], rotation=rotation, turn=turn)


def solve(
    model: Model, landmarks: Float[np.ndarray, "t l 2"], start: State, prior: Prior, stages: tuple[Stage, ...]
) -> State:
    """Returns the state after all stages.

    Args:
        model: Landmarks and weights.
        landmarks: Detected, pixels from the image's centre, finite.
        start: First guess, see `align`.
        prior: Pulls and smoothness.
        stages: What to free, in order.
    """
    state = start
    for stage in stages:
        for _ in range(stage.steps):
            state = _step(model, landmarks, state, prior, stage.free)
    return state


def align(
    model: Model,
    landmarks: Float[np.ndarray, "t l 2"],
    depth: Float[np.ndarray, "t l"],
    expression: Float[np.ndarray, "t e"],
    k: float,
) -> State:
    """Returns a first guess: similarity between the template and the network's own 3D points, by frame.

    Args:
        model: Landmarks.
        landmarks: Pixels from the image's centre, y down.
        depth: The network's z, pixels, negative towards the viewer.
        expression: First weights.
        k: Inverse focal length.
    """
    seen = np.stack([landmarks[..., 0], -landmarks[..., 1], -depth], -1)[:, : len(model.template) - 10]
    rest = model.template[: seen.shape[1]]
    centred = seen - seen.mean(1, keepdims=True)
    u, _, vt = np.linalg.svd(centred.swapaxes(1, 2) @ (rest - rest.mean(0)))
    flip = np.ones((len(seen), 3))
    flip[:, 2] = np.sign(np.linalg.det(u @ vt))
    rotation = (u * flip[:, None]) @ vt
    size = ((rest - rest.mean(0)) ** 2).sum() / np.einsum("tli,tij,lj->t", centred, rotation, rest - rest.mean(0))
    shift = landmarks[:, : seen.shape[1]].mean(1)
    return State(rotation, shift, np.abs(size), expression, np.zeros(len(model.identity)), k)


def errors(model: Model, state: State, landmarks: Float[np.ndarray, "t l 2"]) -> Float[np.ndarray, "t l"]:
    """Returns the distance between model and landmarks in millimetres on the head."""
    offset = project(model, state)[0] + bias(model, state) - landmarks
    return np.sqrt((offset**2).sum(-1)) * (1000 * state.size)[:, None]


@dataclass(frozen=True)
class Equations:
    """Normal equations of a linearised solve: local blocks by time step, shared unknowns beside them, float64."""

    H: Float[np.ndarray, "t p p"]
    """p: pose (6), then expressions."""
    G: Float[np.ndarray, "t p"]
    Hs: Float[np.ndarray, "t p q"]
    """q: identity, then one for the focal length; no columns where they are not asked for."""
    Hss: Float[np.ndarray, "q q"]
    Gs: Float[np.ndarray, " q"]


@dataclass(frozen=True)
class Increments:
    """A Gauss-Newton step."""

    pose: Float[np.ndarray, "t 6"]
    expression: Float[np.ndarray, "t e"]
    shared: Float[np.ndarray, " q"]


def _step(model: Model, landmarks: np.ndarray, state: State, prior: Prior, free: tuple[str, ...]) -> State:
    shared = "identity" in free or "focal" in free
    equations = _normal_equations(model, landmarks, state, shared)
    pull_turn(equations, state.rotation, prior)
    step = increments(equations, state, prior, free)
    moved = replace(
        state,
        rotation=turn(step.pose[:, :3]) @ state.rotation,
        shift=state.shift + step.pose[:, 3:5],
        size=state.size * np.exp(np.clip(step.pose[:, 5], -0.3, 0.3)),
        expression=np.clip(state.expression + step.expression, 0, 1),
    )
    if not shared:
        return moved
    k = float(np.clip(state.k + step.shared[-1] * 1e-3, 0.1 * prior.k, 3 * prior.k))
    return replace(moved, identity=np.clip(state.identity + step.shared[:-1], -4, 4), k=k)


def pull_turn(equations: Equations, rotation: Float[np.ndarray, "t 3 3"], prior: Prior) -> None:
    """Adds the pull of rotations towards those expected, if there are such."""
    if prior.rotation is not None and prior.turn is not None:
        away = Rotation.from_matrix(rotation @ prior.rotation.swapaxes(1, 2)).as_rotvec()
        equations.H[:, range(3), range(3)] += prior.turn[:, None]
        equations.G[:, :3] += prior.turn[:, None] * away


def increments(equations: Equations, state: State, prior: Prior, free: tuple[str, ...]) -> Increments:
    """Returns the step of some of the unknowns that the equations and the priors ask for.

    Args:
        equations: Of the landmarks alone.
        state: Where they were linearised; its pose is not looked at, so that it may be of any kind.
        prior: Pulls and smoothness.
        free: As in `Stage`.
    """
    t, e = state.expression.shape
    H, G, Hs = equations.H.copy(), equations.G.copy(), equations.Hs.copy()
    shared = "identity" in free or "focal" in free
    if "pose" in free:
        H[:, range(_POSE), range(_POSE)] += 1e-6
    else:
        H[:, :_POSE], H[:, :, :_POSE], G[:, :_POSE], Hs[:, :_POSE] = 0, 0, 0, 0
        H[:, range(_POSE), range(_POSE)] = 1
    # priors of the expressions
    pull = np.full(e, prior.ridge)
    H[:, range(_POSE, _POSE + e), range(_POSE, _POSE + e)] += pull
    G[:, _POSE:] += pull * (state.expression - prior.expression)
    smooth = np.broadcast_to(np.asarray(prior.smooth, float), (e,))
    change = smooth * np.diff(state.expression, axis=0)
    G[:-1, _POSE:] -= change
    G[1:, _POSE:] += change
    links = np.zeros((t, 1))
    links[:-1] += 1
    links[1:] += 1
    H[:, range(_POSE, _POSE + e), range(_POSE, _POSE + e)] += links * smooth
    # the pose is eliminated, then a box-constrained quadratic programme over the expressions
    inverse = np.linalg.inv(H[:, :_POSE, :_POSE])
    Hpe = H[:, :_POSE, _POSE:]
    carry = inverse @ Hpe
    reduced = H[:, _POSE:, _POSE:] - Hpe.swapaxes(1, 2) @ carry
    moving = "expression" in free
    low, high = (-state.expression, 1 - state.expression) if moving else (np.zeros((t, e)),) * 2

    def face(gradient: np.ndarray, x: np.ndarray) -> np.ndarray:
        if not moving:
            return x
        g = gradient[:, _POSE:] - (carry.swapaxes(1, 2) @ gradient[:, :_POSE, None])[..., 0]
        return box_qp(reduced, g, smooth, low, high, x)

    x = face(G, np.zeros((t, e)))
    ds = np.zeros(Hs.shape[2])
    if shared:
        ds = _shared_step(state, prior, free, Equations(H, G, Hs, equations.Hss, equations.Gs), (x, low, high))
        G = G + (Hs @ ds)
        x = face(G, x)
    dp = -(inverse @ (G[:, :_POSE, None] + Hpe @ x[..., None]))[..., 0]
    if "pose" not in free:
        dp[:] = 0
    return Increments(dp, x, ds)


def _normal_equations(model: Model, landmarks: np.ndarray, state: State, shared: bool) -> Equations:
    t = len(state.rotation)
    blocks: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    count = len(state.identity) + 1 if shared else 0
    Hss, Gs = np.zeros((count, count)), np.zeros(count)
    for i in range(0, t, _CHUNK):
        part = slice(i, i + _CHUNK)
        j: Jacobian = jacobian(model, state.frames(part), landmarks[part], shared)
        across = j.local.swapaxes(1, 2)
        blocks.append((across @ j.local, (across @ j.residual[..., None])[..., 0], across @ j.shared))
        if shared:
            flat = j.shared.reshape(-1, count)
            Hss += flat.T @ flat
            Gs += flat.T @ j.residual.ravel()
    H, G, Hs = (np.concatenate(b).astype(np.float64) for b in zip(*blocks, strict=True))
    return Equations(H, G, Hs, Hss, Gs)


def _shared_step(state: State, prior: Prior, free: tuple[str, ...], equations: Equations, bounds: tuple) -> np.ndarray:
    """Returns the step of identity and k with every free local unknown eliminated (Schur complement)."""
    H, G, Hs = equations.H, equations.G, equations.Hs
    x, low, high = bounds
    t, p, q = Hs.shape
    Hss, Gs = equations.Hss.copy(), equations.Gs.copy()
    penalty = np.concatenate([np.full(q - 1, t * prior.identity), [t * prior.focal / (prior.k * 1e3) ** 2]])
    Hss[range(q), range(q)] += penalty + 1e-6
    Gs += penalty * np.concatenate([state.identity, [(state.k - prior.k) * 1e3]])
    fixed = np.full(q, "identity" not in free)
    fixed[-1] = "focal" not in free
    Hs = Hs * ~fixed
    Hss[fixed], Hss[:, fixed], Gs[fixed] = 0, 0, 0
    Hss[fixed, fixed] = 1
    live = np.ones((t, p), bool)
    live[:, _POSE:] = (x > low + 1e-6) & (x < high - 1e-6)
    Hm = H * (live[:, :, None] & live[:, None, :])
    Hm[:, range(p), range(p)] += ~live
    Hsm = Hs * live[..., None]
    pinned = np.concatenate([np.zeros((t, _POSE)), x * ~live[:, _POSE:]], 1)
    Gm = (G + (H @ pinned[..., None])[..., 0]) * live
    Gs = Gs + (Hs * pinned[..., None]).sum((0, 1))
    Y = np.linalg.solve(Hm, np.concatenate([Gm[..., None], Hsm], 2))
    flat = Hsm.reshape(-1, q)
    S = Hss - flat.T @ Y[..., 1:].reshape(-1, q)
    damping = 0.05 if "focal" in free else 0.3  # the first shared steps start far away: shorter
    return -np.linalg.solve(S + np.diag(np.diag(S)) * damping, Gs - flat.T @ Y[..., 0].ravel())


def box_qp(
    H: Float[np.ndarray, "t e e"],
    g: Float[np.ndarray, "t e"],
    link: Float[np.ndarray, " e"],
    low: Float[np.ndarray, "t e"],
    high: Float[np.ndarray, "t e"],
    x: Float[np.ndarray, "t e"],
    sweeps: int = 60,
) -> Float[np.ndarray, "t e"]:
    """Returns argmin x'Hx/2 + g'x - sum link x_n x_(n+1) within bounds, by coordinate descent over all frames at once.

    Args:
        H: Positive definite; the caller has put the links on its diagonal.
        g: Gradient at zero.
        link: Coupling between neighbouring frames, by coordinate.
        low: Lower bounds.
        high: Upper bounds.
        x: Start.
        sweeps: Most passes over the coordinates.
    """
    columns = np.ascontiguousarray(H.transpose(1, 0, 2))
    diagonal = np.ascontiguousarray(np.diagonal(H, axis1=1, axis2=2).T)
    x = np.clip(x, low, high).T.copy()
    low, high = np.ascontiguousarray(low.T), np.ascontiguousarray(high.T)
    gradient = g + (H @ x.T[..., None])[..., 0]
    for _ in range(sweeps):
        largest = 0.0
        for a in range(len(x)):
            pull = gradient[:, a].copy()
            if link[a] > 0:
                pull[1:] -= link[a] * x[a, :-1]
                pull[:-1] -= link[a] * x[a, 1:]
            y = np.minimum(high[a], np.maximum(low[a], x[a] - pull / diagonal[a]))
            step = y - x[a]
            biggest = float(np.abs(step).max())
            if biggest == 0.0:
                continue
            gradient += columns[a] * step[:, None]
            x[a] = y
            largest = max(largest, biggest)
        if largest < 1e-4:
            break
    return np.ascontiguousarray(x.T)


def turn(w: Float[np.ndarray, "t 3"]) -> Float[np.ndarray, "t 3 3"]:
    """Returns rotation matrices of rotation vectors (Rodrigues)."""
    angle = np.maximum(np.linalg.norm(w, axis=-1), 1e-12)[:, None, None]
    K = np.zeros((len(w), 3, 3))
    K[:, 0, 1], K[:, 0, 2], K[:, 1, 2] = -w[:, 2], w[:, 1], -w[:, 0]
    K -= K.swapaxes(1, 2)
    return np.eye(3) + np.sin(angle) / angle * K + (1 - np.cos(angle)) / angle**2 * (K @ K)
