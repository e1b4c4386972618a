"""Clip -> Track: identity and focal length of all frames; pose, expression and gaze of each, from landmarks."""

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from avatar3d import heads
from avatar3d.core import AvatarError, Camera, Clip, HeadModel, Motion, Pose, Track
from avatar3d.geometry import pinhole
from avatar3d.track import reading, torso
from avatar3d.track.embedding import POINTS, SKIN, Embedding, surface
from avatar3d.track.embedding import on as embedded
from avatar3d.track.energy import OVAL, Model, State
from avatar3d.track.firm import firm_pose
from avatar3d.track.flow import torso_flow
from avatar3d.track.options import TrackOptions
from avatar3d.track.smooth import bridge, bridge_rotations, steady_rotations
from avatar3d.track.solve import Prior, Stage, align, errors, solve
from avatar3d.track.terms import FINE, LOST, expression_prior, keyframes, landmark_model
from avatar3d.track.views import solve_views

__all__ = ["TrackOptions", "track"]

_log = logging.getLogger(__name__)

SHARED = (
    Stage(("pose",), 2),
    Stage(("pose", "expression"), 1),
    Stage(("pose", "expression", "identity"), 4),
    Stage(("pose", "expression", "identity", "focal"), 4),
    Stage(("pose", "expression"), 1),
)
"""On keyframes: what all frames have in common."""
EACH = (Stage(("pose",), 2), Stage(("pose", "expression"), 4))
"""On all frames, with identity and focal length fixed."""
FACE = (Stage(("expression",), 2),)
"""Once more with the smoothed pose."""

_FLIP = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
_WINDOW = 256
"""Frames solved together; bounds memory on long videos."""
Progress = Callable[[str, float], None]
"""Told the step's name and the fraction done."""


def track(
    clip: Clip,
    options: TrackOptions | None = None,
    identity: Float[Tensor, " s"] | None = None,
    focal: float | None = None,
    progress: Progress | None = None,
    world: Float[Tensor, "4 4"] | None = None,
) -> Track:
    """Returns a head's motion through a clip, or its pose in a photo.

    The world is the camera's space with y up and z towards the viewer (the camera sits at its origin), unless
    `clip.camera` says where the camera stands. Of a clip with a camera for each frame, all views of a time step give
    one pose, in a world of metres in which the head of the calmest time step is at the origin.
    Gaze is in the eyeLook weights; the eye joints stay at zero.

    Args:
        clip: With landmarks and blendshapes.
        options: Defaults are meant to do.
        identity: Known identity: only poses are solved (a driving video, held-out frames).
        focal: Known focal length in pixels, for a clip without a camera.
        progress: Called now and then.
        world: Known similarity from the world of the clip's cameras to that of the track, for a clip with a camera for
            each frame.

    Raises:
        AvatarError: If the clip has no landmarks, or a face in none of its frames.

    Example:
        >>> clip = avatar3d.capture("clip.mp4")  # doctest: +SKIP
        >>> avatar3d.track(clip).motion.pose.expression.shape  # doctest: +SKIP
        torch.Size([216, 52])
    """
    options = options or TrackOptions()
    tell = progress or (lambda name, done: None)
    landmarks, coefficients, seen = _observed(clip)
    head = heads.load(options.head)
    if identity is not None and len(identity) != len(head.identities):
        raise AvatarError(f"identity has {len(identity)} values, head '{head.name}' takes {len(head.identities)}")
    if clip.times is not None:
        stages = (SHARED, EACH, FACE)
        return solve_views(clip, options, identity, world, stages, (landmarks, coefficients, seen), tell)
    embedding = embedded(head)
    camera, points = _camera(clip, landmarks[seen])
    known = float(clip.camera.K[0, 0]) if clip.camera is not None else focal
    k = 1 / known if known is not None else 1 / (_FOCAL * max(clip.width, clip.height))

    mean = surface(head, embedding)
    model = landmark_model(mean, embedding, options.response)
    tell("shape", 0.0)
    prior = _prior(points, coefficients[seen], k, embedding, options)
    shape, k = _shared(model, points, prior, known is not None, identity, options.keys)
    prior = _prior(points, coefficients[seen], k, embedding, options)
    own = surface(head, embedding, torch.from_numpy(shape).float())
    model = landmark_model(own, embedding, options.response)
    tell("pose", 0.0)
    state = _each(model, points, prior, tell)
    if options.smooth:
        state = _steadied(state, clip.fps)
        state = _windows(model, points, state, prior, FACE)
    error = errors(model, state, points[..., :2])
    inner = np.setdiff1d(np.arange(SKIN), OVAL)
    quality = np.zeros(len(seen))
    quality[seen] = np.clip((LOST - error[:, inner].mean(1)) / (LOST - FINE), 0.02, 1)

    pose = _head_pose(model, state, seen)
    expression = bridge(state.expression, seen)
    camera = replace(camera, K=camera.K if clip.camera is not None else pinhole(clip.width, clip.height, 1 / k))
    if options.firm and seen.sum() > 1:
        identity = torch.from_numpy(shape).float()
        pose = firm_pose(clip, head, identity, pose, expression, camera.K.double().numpy(), seen)
    tell("torso", 0.0)
    joints = _chain(clip, head, torch.from_numpy(shape).float(), pose, landmarks, camera.K.double().numpy(), options)
    moves = torch.zeros(len(seen), len(head.joints), 3)
    moves[:, head.joints.index("neck")] = torch.from_numpy(joints.neck).float()
    moves[:, head.joints.index("head")] = torch.from_numpy(joints.head).float()
    placed = torch.linalg.inv(camera.w2c.double()) @ _FLIP.double() @ torch.from_numpy(joints.root)
    motion = Motion(
        Pose(torch.from_numpy(expression).float(), moves, placed.float()), float(clip.fps), tuple(head.expressions)
    )
    return Track(head.name, torch.from_numpy(shape).float(), motion, camera, torch.from_numpy(quality).float())


_FOCAL = 1.6
"""Expected focal length over the longer side: between a phone held out (1.0) and a cropped studio shot (2 and more)."""
_GAP = 0.6
"""Seconds over which the shoulders' motion is bridged where flow loses them."""
_INTRO = 2.0
"""Seconds at the start that decide how the torso sits under the head, so that a clip and its beginning agree."""


def _observed(clip: Clip) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns landmarks, coefficients and which frames have both."""
    if clip.landmarks is None or clip.blendshapes is None:
        raise AvatarError(f"{clip.source}: no landmarks in the clip; capture it with landmarks first")
    if clip.landmarks.shape[1] != POINTS:
        raise AvatarError(f"{clip.source}: {clip.landmarks.shape[1]} landmarks a frame; {POINTS} are needed")
    landmarks, coefficients = clip.landmarks.astype(np.float64), clip.blendshapes.astype(np.float64)
    seen = _finite(landmarks) & _finite(coefficients[..., None])
    if not seen.any():
        raise AvatarError(
            f"{clip.source}: no face found in any of {len(seen)} frames; show one face, larger or better lit"
        )
    if clip.times is None and not seen.all():
        _log.warning(
            "%s: no face in %d of %d frames, the first at %d; they are bridged and marked with quality 0",
            *(clip.source, (~seen).sum(), len(seen), int((~seen).argmax())),
        )
    return landmarks, coefficients, seen


def _camera(clip: Clip, landmarks: np.ndarray) -> tuple[Camera, np.ndarray]:
    """Returns the camera (focal length to be set if unknown) and landmarks from its principal point, square pixels."""
    if clip.camera is None:
        camera = Camera(_FLIP, pinhole(clip.width, clip.height, 1.0), clip.width, clip.height)
        return camera, landmarks - np.array([clip.width / 2, clip.height / 2, 0])
    K = clip.camera.K.double().numpy()
    if K.shape != (3, 3) or not np.isfinite(K).all() or K[0, 0] <= 0 or K[1, 1] <= 0:
        raise AvatarError(f"{clip.source}: camera K must be one finite 3x3 matrix with positive focal lengths")
    return clip.camera, (landmarks - np.array([K[0, 2], K[1, 2], 0])) * np.array([1, K[0, 0] / K[1, 1], 1])


def _prior(
    points: np.ndarray, coefficients: np.ndarray, k: float, embedding: Embedding, options: TrackOptions
) -> Prior:
    """Returns what is known of every seen frame before the solve."""
    if not options.reading:
        return expression_prior(coefficients, k, options.ridge, options.smooth)
    found = reading.read(reading.load(), embedding, points, coefficients, k)
    return expression_prior(found.expression, k, options.ridge, options.smooth, (found.rotation, found.trust))


def _shared(
    model: Model, points: np.ndarray, prior: Prior, known: bool, identity: Tensor | None, count: int
) -> tuple[np.ndarray, float]:
    """Returns identity and inverse focal length."""
    if identity is not None and known:
        return identity.detach().double().cpu().numpy(), prior.k
    start = align(model, points[..., :2], points[..., 2], prior.expression, prior.k)
    keys = keyframes(start, count)
    held = ({"identity"} if identity is not None else set()) | ({"focal"} if known else set())
    stages = tuple(replace(s, free=tuple(f for f in s.free if f not in held)) for s in SHARED)
    start = start.frames(keys)
    if identity is not None:
        start = replace(start, identity=identity.detach().double().cpu().numpy())
    state = solve(model, points[keys, :, :2], start, replace(prior.frames(keys), smooth=0.0), stages)
    return state.identity, state.k


def _each(model: Model, points: np.ndarray, prior: Prior, tell: Progress) -> State:
    """Returns every seen frame's state with identity folded into the model."""
    start = align(model, points[..., :2], points[..., 2], prior.expression, prior.k)
    return _windows(model, points, start, prior, EACH, tell)


def _windows(
    model: Model,
    points: np.ndarray,
    start: State,
    prior: Prior,
    stages: tuple[Stage, ...],
    tell: Progress = lambda name, done: None,
) -> State:
    """Returns the solution window by window; each begins with the last frames of the one before, to join smoothly."""
    overlap, parts, t = 8, [], len(points)
    for i in range(0, t, _WINDOW):
        part = slice(max(0, i - overlap), i + _WINDOW)
        solved = solve(model, points[part, :, :2], start.frames(part), prior.frames(part), stages)
        parts.append(solved.frames(slice(i - part.start, None)))
        tell("pose", min(1.0, (i + _WINDOW) / t))
    return replace(
        start,
        rotation=np.concatenate([p.rotation for p in parts]),
        shift=np.concatenate([p.shift for p in parts]),
        size=np.concatenate([p.size for p in parts]),
        expression=np.concatenate([p.expression for p in parts]),
    )


def _steadied(state: State, fps: float) -> State:
    """Returns the state with jitter taken out of the head's pose; values are in millimetres on the head."""
    mm = 1000 * np.median(state.size)
    curves = np.concatenate([state.shift * mm, 100 * np.log(state.size)[:, None]], 1)
    rotation, curves = steady_rotations(state.rotation, curves, fps)
    return replace(state, rotation=rotation, shift=curves[:, :2] / mm, size=np.exp(curves[:, 2] / 100))


def _head_pose(model: Model, state: State, seen: Bool[np.ndarray, " t"]) -> Float[np.ndarray, "t 4 4"]:
    """Returns the head's rest-to-camera transform (y up) of all frames, bridged where no face was seen."""
    g = state.size
    centre = np.stack([g * state.shift[:, 0], -g * state.shift[:, 1], -g / state.k], 1)
    pose = np.zeros((len(seen), 4, 4))
    pose[:, :3, :3] = bridge_rotations(state.rotation, seen)
    pose[:, :3, 3] = bridge(centre, seen) - pose[:, :3, :3] @ model.centre
    pose[:, 3, 3] = 1
    return pose


def _chain(
    clip: Clip,
    head: HeadModel,
    identity: Tensor,
    pose: np.ndarray,
    landmarks: np.ndarray,
    K: np.ndarray,
    options: TrackOptions,
) -> torso.Joints:
    """Returns root, neck and head joint; see `torso`."""
    chain = torso.chain(head, identity)
    intro = max(1, round(_INTRO * clip.fps))
    upright = np.repeat(torso.resting(pose[:intro])[None], len(pose), axis=0)
    first = torso.split(chain, pose, upright, None, clip.fps)
    if not options.torso or len(pose) < 2:
        return first
    flow = torso_flow(clip, bridge(landmarks[_finite(landmarks)], _finite(landmarks)))
    flow = flow.bridged(round(_GAP * clip.fps))
    early = flow.sure & (np.arange(len(pose)) < intro) if flow.sure[:intro].any() else np.arange(len(pose)) < intro
    at = torso.calmest(pose, early)
    middle, focal = K[:2, 2], float(K[0, 0])
    shift = flow.shift + flow.matrix @ middle - middle  # about the principal point
    pixels = torso.targets(chain, first.root[at], flow.matrix, shift, at, focal)
    return torso.split(chain, pose, upright, torso.Targets(pixels, flow.sure, focal), clip.fps)


def _finite(landmarks: np.ndarray) -> np.ndarray:
    return np.asarray(np.isfinite(landmarks).all((1, 2)))
