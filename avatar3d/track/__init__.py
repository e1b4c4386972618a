"""Clip -> Track: identity and focal length of all frames; pose, expression and gaze of each, from landmarks."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from avatar3d import heads
from avatar3d.core import AvatarError, Camera, Clip, HeadModel, Motion, Pose, Track
from avatar3d.geometry import pinhole
from avatar3d.track import torso
from avatar3d.track.embedding import POINTS, SKIN, Embedding, Surface, surface
from avatar3d.track.embedding import on as embedded
from avatar3d.track.energy import CORNERS, LIDS, LIPS, OVAL, Model, State, without_similarity
from avatar3d.track.firm import firm_pose
from avatar3d.track.flow import torso_flow
from avatar3d.track.smooth import bridge, bridge_rotations, steady_rotations
from avatar3d.track.solve import Prior, Stage, align, errors, solve

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
_QUICK = ("eyeBlink", "eyeLook", "eyeSquint", "eyeWide", "jaw", "mouth")
"""Expressions that move fully within two or three frames."""

Progress = Callable[[str, float], None]
"""Told the step's name and the fraction done."""


@dataclass(frozen=True)
class TrackOptions:
    """How to track."""

    head: str = "anny"
    """Head model, by name."""
    keys: int = 30
    """Keyframes that decide identity and focal length."""
    torso: bool = True
    """Follow the shoulders by optical flow; otherwise the torso trails the head."""
    firm: bool = True
    """Correct the head's pose by features followed on its firm parts: skull, hairline, ears."""
    smooth: bool = True
    """Take jitter out of the head's pose where it hardly moves, and tie expressions of neighbouring frames."""
    ridge: float = 200.0
    """Pull of the expressions towards the landmark network's own coefficients."""
    response: float = 0.25
    """How much of the network's response on renders to trust over the head's geometry, 0 to 1. It under-reacts to
    renders, hardly to people: at 1 tracked smiles and blinks overshoot by 2 to 4 mm, at 0.25 by half a millimetre."""


def track(
    clip: Clip,
    options: TrackOptions | None = None,
    identity: Float[Tensor, " s"] | None = None,
    focal: float | None = None,
    progress: Progress | None = None,
) -> Track:
    """Returns a head's motion through a clip, or its pose in a photo.

    The world is the camera's space with y up and z towards the viewer (the camera sits at its origin), unless
    `clip.camera` says where the camera stands. Gaze is in the eyeLook weights; the eye joints stay at zero.

    Args:
        clip: With landmarks and blendshapes.
        options: Defaults are meant to do.
        identity: Known identity: only poses are solved (a driving video, held-out frames).
        focal: Known focal length in pixels, for a clip without a camera.
        progress: Called now and then.

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
    embedding = embedded(head)
    camera, points = _camera(clip, landmarks[seen])
    known = float(clip.camera.K[0, 0]) if clip.camera is not None else focal
    k = 1 / known if known is not None else 1 / (_FOCAL * max(clip.width, clip.height))

    mean = surface(head, embedding)
    model = _model(mean, embedding, options.response)
    tell("shape", 0.0)
    shape, k = _shared(model, points, coefficients[seen], k, known is not None, identity, options)
    own = surface(head, embedding, torch.from_numpy(shape).float())
    model = _model(own, embedding, options.response)
    tell("pose", 0.0)
    state = _each(model, points, coefficients[seen], k, options, tell)
    if options.smooth:
        state = _steadied(state, clip.fps)
        state = _windows(model, points, state, _prior(coefficients[seen], k, options), FACE)
    error = errors(model, state, points[..., :2])
    inner = np.setdiff1d(np.arange(SKIN), OVAL)
    quality = np.zeros(len(seen))
    quality[seen] = np.clip((_LOST - error[:, inner].mean(1)) / (_LOST - _FINE), 0.02, 1)

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
    world = torch.linalg.inv(camera.w2c.double()) @ _FLIP.double() @ torch.from_numpy(joints.root)
    motion = Motion(
        Pose(torch.from_numpy(expression).float(), moves, world.float()), float(clip.fps), tuple(head.expressions)
    )
    return Track(head.name, torch.from_numpy(shape).float(), motion, camera, torch.from_numpy(quality).float())


_FOCAL = 1.6
"""Expected focal length over the longer side: between a phone held out (1.0) and a cropped studio shot (2 and more)."""
_GAP = 0.6
"""Seconds over which the shoulders' motion is bridged where flow loses them."""
_INTRO = 2.0
"""Seconds at the start that decide how the torso sits under the head, so that a clip and its beginning agree."""
_FINE, _LOST = 1.5, 6.0
"""Mean landmark error in millimetres at which a frame counts fully, and not at all."""


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
    if not seen.all():
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


def _model(surface: Surface, embedding: Embedding, response: float) -> Model:
    """Returns the terms' model: measured responses instead of geometry, identity free of pose, trust by point."""
    expression = surface.expression.copy()
    expression[:, :SKIN, :2] += response * (embedding.response[:, :SKIN] - expression[:, :SKIN, :2])
    centre = surface.template[:SKIN].mean(0)
    noise = 0.6**2  # squared millimetres of detector noise on the best points
    # Points that expressions move far are known less well; the rigid ones decide the pose (0.3 degrees better on ICT).
    restless = 0.4 * np.sqrt(0.04 * (1e6 * embedding.response**2).sum((0, 2)))
    weights = 1 / (noise + np.minimum(embedding.spread, 6.0) ** 2 + restless**2)
    weights[list(OVAL)] *= 0.1  # the outline slides on the surface as the head turns
    weights /= np.median(weights)
    weights[SKIN:] = np.maximum(weights[SKIN:], 1.0)
    pairs = np.array(LIPS + LIDS + CORNERS)
    return Model(
        centre=centre,
        template=surface.template - centre,
        expression=expression,
        identity=without_similarity(surface.template, surface.identity),
        pairs=pairs,
        turning=embedding.turning,
        weights=np.concatenate([weights, np.full(len(pairs), 3.0)]),
    )


def _prior(coefficients: np.ndarray, k: float, options: TrackOptions) -> Prior:
    names = heads.ARKIT
    smooth = np.array([10.0 if n.startswith(_QUICK) else 100.0 for n in names]) * options.smooth
    return Prior(coefficients, ridge=options.ridge, smooth=smooth, k=k)


def _shared(
    model: Model,
    points: np.ndarray,
    coefficients: np.ndarray,
    k: float,
    known: bool,
    identity: Tensor | None,
    options: TrackOptions,
) -> tuple[np.ndarray, float]:
    """Returns identity and inverse focal length."""
    if identity is not None and known:
        return identity.detach().double().cpu().numpy(), k
    start = align(model, points[..., :2], points[..., 2], coefficients, k)
    keys = _keyframes(start, options.keys)
    held = ({"identity"} if identity is not None else set()) | ({"focal"} if known else set())
    stages = tuple(replace(s, free=tuple(f for f in s.free if f not in held)) for s in SHARED)
    start = start.frames(keys)
    if identity is not None:
        start = replace(start, identity=identity.detach().double().cpu().numpy())
    prior = Prior(coefficients[keys], ridge=options.ridge, k=k)
    state = solve(model, points[keys, :, :2], start, prior, stages)
    return state.identity, state.k


def _keyframes(state: State, count: int) -> np.ndarray:
    """Returns frames that differ most in rotation and expression: farthest-point sampling from the most average one."""
    features = np.concatenate([state.rotation.reshape(len(state.rotation), 9) * 2, state.expression], 1)
    chosen = [int(np.linalg.norm(features - np.median(features, 0), axis=1).argmin())]
    nearest = np.full(len(features), np.inf)
    while len(chosen) < min(count, len(features)):
        nearest = np.minimum(nearest, np.linalg.norm(features - features[chosen[-1]], axis=1))
        chosen.append(int(nearest.argmax()))
    return np.sort(np.array(chosen))


def _each(
    model: Model, points: np.ndarray, coefficients: np.ndarray, k: float, options: TrackOptions, tell: Progress
) -> State:
    """Returns every seen frame's state with identity folded into the model."""
    start = align(model, points[..., :2], points[..., 2], coefficients, k)
    return _windows(model, points, start, _prior(coefficients, k, options), EACH, tell)


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
        here = replace(prior, expression=prior.expression[part])
        solved = solve(model, points[part, :, :2], start.frames(part), here, stages)
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
