"""Several calibrated views of each moment: one pose and expression for all of them, in a world of metres.

The terms are those of a single view (`energy`). Each view's pose follows from the head's place in the world and its
camera, so that the views' normal equations add up to those of a time step, and one solve serves all.
"""

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from avatar3d import heads
from avatar3d.core import AvatarError, Camera, Clip, HeadModel, Motion, Pose, Track
from avatar3d.geometry import rigid, rigid_inverse
from avatar3d.track import reading, torso
from avatar3d.track.embedding import SKIN, Embedding, surface, vertices
from avatar3d.track.embedding import on as embedded
from avatar3d.track.energy import Model, State
from avatar3d.track.energy import points as points_of
from avatar3d.track.joint import Heads, Rig, Seen, centred, in_views, mean_rotations, means, solve_heads
from avatar3d.track.options import TrackOptions
from avatar3d.track.smooth import bridge, bridge_rotations, steady_rotations
from avatar3d.track.solve import Prior, Stage, align, errors
from avatar3d.track.terms import FINE, LOST, expression_prior, keyframes, landmark_model

_log = logging.getLogger(__name__)

_FLIP = np.diag([1.0, -1.0, -1.0])
_FACING = np.cos(np.radians((20.0, 65.0)))
"""Turns of the head from a camera to which its landmarks count fully, and from which on not at all."""
_AGREED = np.radians(25.0)
"""Turn between the poses that two views suggest beyond which one of them saw no face."""
_BASELINE = np.radians(4.0)
"""Angle between rays that a point's depth takes."""
_POSE_ONLY = (Stage(("pose",), 2),)


def solve_views(
    clip: Clip,
    options: TrackOptions,
    identity: Float[Tensor, " s"] | None,
    world: Float[Tensor, "4 4"] | None,
    stages: tuple[tuple[Stage, ...], tuple[Stage, ...], tuple[Stage, ...]],
    observed: tuple[np.ndarray, np.ndarray, np.ndarray],
    tell: Callable[[str, float], None],
) -> Track:
    """Returns the track of a clip with a camera for each frame.

    The world of the track is the capture's, scaled to metres and moved so that the head of the calmest time step is at
    the origin, upright and facing +z; `Track.world` is that similarity.

    Args:
        clip: With a batched camera and time steps.
        options: `TrackOptions`.
        identity: Known identity.
        world: Known similarity from the capture's world to the track's.
        stages: On keyframes, on all time steps, and once more with the smoothed pose.
        observed: Landmarks, coefficients, and which frames have both.
        tell: Told the step's name and the fraction done.

    Raises:
        AvatarError: The cameras are unusable.
    """
    head = heads.load(options.head)
    embedding = embedded(head)
    shared, each, final = stages
    seen = _seen(clip, observed, embedding, options)
    steps = int(clip.steps.max()) + 1
    # Time steps without a face are left out of the solve and bridged afterwards.
    known, rank = np.unique(seen.rig.step, return_inverse=True)
    seen = replace(seen, rig=replace(seen.rig, step=rank))
    there = np.isin(np.arange(steps), known)
    if not there.all():
        _log.warning(
            "%s: no face in any view of %d of %d time steps; they are bridged", clip.source, (~there).sum(), steps
        )
    scale = None if world is None else float(torch.linalg.det(world[:3, :3].double()).abs() ** (1 / 3))

    tell("shape", 0.0)
    model = landmark_model(surface(head, embedding), embedding, options.response)
    facing = _normals(head, embedding)
    if identity is None:
        start, trusted = _begin(model, facing, seen, scale, options)
        keys = keyframes(replace(start.face, rotation=start.rotation), options.keys)
        few = _only(trusted, keys)
        start = replace(start, rotation=start.rotation[keys], place=start.place[keys], face=start.face.frames(keys))
        shape = solve_heads(model, facing, few, start, _prior(few, options, False), _fixed(shared)).face.identity
    else:
        shape = identity.detach().double().cpu().numpy()
    tell("pose", 0.0)
    model = landmark_model(surface(head, embedding, torch.from_numpy(shape).float()), embedding, options.response)
    state, seen = _begin(model, facing, seen, scale, options)
    prior = _prior(seen, options, options.smooth)
    state = solve_heads(model, facing, seen, state, prior, each)
    if scale is None:  # once more, now that the face itself is known
        state = solve_heads(model, facing, seen, _rescaled(model, seen, state), prior, each)
    if options.smooth and len(known) > 2:
        rotation, curves = steady_rotations(state.rotation, 1000 * state.place, clip.fps)
        state = replace(state, rotation=rotation, place=curves / 1000)
        state = solve_heads(model, facing, seen, state, prior, final)
    return _track(clip, head, model, seen, state, shape, there, world, options)


def _seen(clip: Clip, observed: tuple[np.ndarray, ...], embedding: Embedding, options: TrackOptions) -> Seen:
    """Returns what the views with a face saw, brought to one focal length."""
    landmarks, coefficients = (x[observed[2]] for x in observed[:2])
    found = observed[2]
    assert clip.camera is not None
    K, w2c = clip.camera.K.double().numpy(), clip.camera.w2c.double().numpy()
    if K.ndim != 3 or w2c.ndim != 3 or len(K) != len(clip):
        raise AvatarError(f"{clip.source}: {len(clip)} frames need a camera each")
    if not (np.isfinite(K).all() and np.isfinite(w2c).all() and (K[:, [0, 1], [0, 1]] > 0).all()):
        raise AvatarError(f"{clip.source}: a camera holds NaN, infinity or a focal length that is not positive")
    K, w2c = K[found], w2c[found]
    focal = float(np.median(K[:, 0, 0]))
    points = landmarks.copy()
    points[..., :2] = (points[..., :2] - K[:, None, :2, 2]) * (focal / K[:, [0, 1], [0, 1]])[:, None]
    points[..., 2] *= focal / K[:, 0, 0][:, None]
    rig = Rig(_FLIP @ w2c[:, :3, :3], w2c[:, :3, 3] @ _FLIP, clip.steps[found], focal)
    ones = np.ones(len(points))
    if not options.reading:
        return Seen(rig, points, coefficients, ones, np.tile(np.eye(3), (len(points), 1, 1)), 0 * ones)
    found = reading.read(reading.load(), embedding, points, coefficients, 1 / focal)
    return Seen(rig, points, found.expression, ones, found.rotation, found.trust)


def _normals(head: HeadModel, embedding: Embedding) -> Float[np.ndarray, "l 3"]:
    """Returns the direction in which the head's surface faces at each landmark, at rest."""
    rest = vertices(head, torch.zeros(1, len(head.identities)), torch.zeros(1, len(head.expressions)))[0]
    faces = head.faces.cpu().numpy()
    across = np.cross(rest[faces[:, 1]] - rest[faces[:, 0]], rest[faces[:, 2]] - rest[faces[:, 0]])
    at_vertex = np.zeros_like(rest)
    for i in range(3):
        np.add.at(at_vertex, faces[:, i], across)
    normal = (at_vertex[faces[embedding.face]] * embedding.bary[..., None]).sum(1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-12
    normal[SKIN:] = (0.0, 0.0, 1.0)
    return normal


def _begin(
    model: Model, facing: np.ndarray, seen: Seen, scale: float | None, options: TrackOptions
) -> tuple[Heads, Seen]:
    """Returns a first guess from each view's own pose, its world brought to scale, and the views with their trust."""
    rig, steps = seen.rig, seen.steps
    alone = align(model, seen.points[..., :2], seen.points[..., 2], seen.coefficients, 1 / rig.focal)
    turned = np.einsum("vji,vjk->vik", rig.turn, alone.rotation)  # to the world
    weight = np.clip((alone.rotation[:, 2, 2] - _FACING[1]) / (_FACING[0] - _FACING[1]), 0.02, 1)
    for step in range(steps):
        here = np.flatnonzero(rig.step == step)
        cosine = (np.einsum("aij,bij->ab", turned[here], turned[here]) - 1) / 2
        agree = cosine > np.cos(_AGREED)
        best = int((agree @ weight[here]).argmax())
        weight[here] *= agree[best]
    rotation = mean_rotations(turned, weight, rig.step, steps)
    # From each camera to the head, in world axes and metres; the size of the head in the picture tells how far.
    depth = alone.size * rig.focal
    ahead = np.stack([alone.size * alone.shift[:, 0], -alone.size * alone.shift[:, 1], -depth], 1)
    away = np.einsum("vji,vj->vi", rig.turn, ahead)
    seen = replace(seen, weight=weight)
    known = scale is not None
    if scale is None:
        a, b = (centred(x, weight, rig.step, steps) for x in (away, rig.centre))
        spread = (weight[:, None] * b * b).sum()
        scale = float(-(weight[:, None] * a * b).sum() / spread) if spread > 1e-12 else 1.0
        scale = scale if scale > 0 else 1.0
    place = means(away + scale * rig.centre, weight, rig.step, steps)
    expression = means(seen.coefficients, weight, rig.step, steps)
    blank = np.zeros((steps, 2))
    face = State(rotation, blank, np.ones(steps), expression, np.zeros(len(model.identity)), 1 / rig.focal)
    state = Heads(rotation, place, scale, face)
    if not known and not _wide(seen):
        _log.warning(
            "no two cameras see the face from different sides: the world is taken to be in metres; add such a camera"
            " or the views will not agree"
        )
    prior = _prior(seen, options, False)
    for _ in range(0 if known else 2):
        state = _rescaled(model, seen, solve_heads(model, facing, seen, state, prior, _POSE_ONLY))
    return state, seen


def _wide(seen: Seen) -> bool:
    """Returns whether some time step is seen from directions that tell depth."""
    ahead = -seen.rig.turn[:, 2]
    for step in range(seen.steps):
        here = ahead[(seen.rig.step == step) & (seen.weight > 0.1)]
        if len(here) > 1 and np.arccos(np.clip((here @ here.T).min(), -1, 1)) > _BASELINE:
            return True
    return False


def _rescaled(model: Model, seen: Seen, state: Heads) -> Heads:
    """Returns the state with the world's scale taken from triangulated landmarks, where views are far enough apart."""
    rig, up, down = seen.rig, 0.0, 0.0
    shape = points_of(model, state.face)[:, :SKIN]
    for step in range(seen.steps):
        here = np.flatnonzero((rig.step == step) & (seen.weight > 0.1))
        rays = np.concatenate([seen.points[here, :SKIN, :2] * [1, -1], np.full((len(here), SKIN, 1), -rig.focal)], -1)
        rays = np.einsum("vji,vlj->vli", rig.turn[here], rays)
        rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
        if len(here) < 2 or np.arccos(np.clip((rays[:1] * rays).sum(-1).min(), -1, 1)) < _BASELINE:
            continue
        across = np.eye(3) - rays[..., :, None] * rays[..., None, :]  # v l 3 3
        across *= seen.weight[here, None, None, None]
        right = np.einsum("vlij,vj->li", across, rig.centre[here])
        points = np.linalg.solve(across.sum(0) + 1e-9 * np.eye(3), right[..., None])[..., 0]
        turned = shape[step] @ state.rotation[step].T
        trust = model.weights[:SKIN, None] / len(shape)
        x = turned - (trust * turned).sum(0) / trust.sum()
        p = points - (trust * points).sum(0) / trust.sum()
        up, down = up + (trust * x * x).sum(), down + (trust * x * p).sum()
    if down <= 0 or not 0.5 < up / down / state.scale < 2:
        return state
    scale = float(up / down)
    return replace(state, scale=scale, place=state.place * (scale / state.scale))


def _only(seen: Seen, steps: Int[np.ndarray, " k"]) -> Seen:
    """Returns the views of some time steps, numbered anew."""
    kept = np.flatnonzero(np.isin(seen.rig.step, steps))
    few = seen.views(kept)
    return replace(few, rig=replace(few.rig, step=np.searchsorted(steps, few.rig.step)))


def _fixed(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
    """Returns the stages without the focal length, which is known here."""
    return tuple(replace(s, free=tuple(f for f in s.free if f != "focal")) for s in stages)


def _prior(seen: Seen, options: TrackOptions, smooth: bool) -> Prior:
    mean = means(seen.coefficients, seen.weight, seen.rig.step, seen.steps)
    if not options.reading:
        return expression_prior(mean, 1 / seen.rig.focal, options.ridge, smooth)
    turned, sure = np.einsum("vji,vjk->vik", seen.rig.turn, seen.read), seen.weight * seen.trust
    rotation = mean_rotations(turned, np.maximum(sure, 1e-6), seen.rig.step, seen.steps)
    trust = np.zeros(seen.steps)
    np.maximum.at(trust, seen.rig.step, sure)
    return expression_prior(mean, 1 / seen.rig.focal, options.ridge, smooth, (rotation, trust))


def _track(
    clip: Clip,
    head: HeadModel,
    model: Model,
    seen: Seen,
    state: Heads,
    shape: np.ndarray,
    there: Bool[np.ndarray, " t"],
    world: Tensor | None,
    options: TrackOptions,
) -> Track:
    """Returns the solution in the world of its calmest head."""
    views, _ = in_views(seen.rig, state)
    away = errors(model, views, seen.points[..., :2])[:, :SKIN].mean(1)[:, None]
    error = means(away, seen.weight, seen.rig.step, seen.steps)
    quality = np.zeros(len(there))
    quality[there] = np.clip((LOST - error[:, 0]) / (LOST - FINE), 0.02, 1)
    pose = np.tile(np.eye(4), (len(there), 1, 1))
    pose[:, :3, :3] = bridge_rotations(state.rotation, there)
    pose[:, :3, 3] = bridge(state.place, there) - pose[:, :3, :3] @ model.centre
    if world is None:
        calm = torso.calmest(pose, there)
        moved = np.linalg.inv(pose[calm])
        similarity = moved @ np.diag([state.scale, state.scale, state.scale, 1.0])
    else:
        similarity = world.double().numpy()
        moved = similarity @ np.diag([1 / state.scale] * 3 + [1.0])
    pose = moved @ pose
    who = torch.from_numpy(shape).float()
    chain = torso.chain(head, who)
    upright = np.repeat(torso.resting(pose)[None], len(pose), axis=0)
    joints = torso.split(chain, pose, upright, None, clip.fps)
    turns = torch.zeros(len(pose), len(head.joints), 3)
    turns[:, head.joints.index("neck")] = torch.from_numpy(joints.neck).float()
    turns[:, head.joints.index("head")] = torch.from_numpy(joints.head).float()
    expression = torch.from_numpy(bridge(state.face.expression, there)).float()
    motion = Motion(
        Pose(expression, turns, torch.from_numpy(joints.root).float()), float(clip.fps), tuple(head.expressions)
    )
    assert clip.camera is not None
    cameras = moved_cameras(clip.camera, torch.from_numpy(similarity).float())
    return Track(
        *(head.name, who, motion, cameras, torch.from_numpy(quality).float()), torch.from_numpy(similarity).float()
    )


def moved_cameras(camera: Camera, similarity: Float[Tensor, "4 4"]) -> Camera:
    """Returns cameras of a capture's world as they stand in the track's, metres."""
    scale = torch.linalg.det(similarity[:3, :3].double()).abs() ** (1 / 3)
    turned = similarity.double().clone()
    turned[:3, :3] /= scale  # x -> R (scale x) + t
    w2c = camera.w2c.double().clone()
    w2c[..., :3, 3] *= scale
    back = rigid_inverse(rigid(turned[:3, :3], turned[:3, 3]))
    return Camera((w2c @ back).float(), camera.K, camera.width, camera.height)
