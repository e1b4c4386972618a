"""What a face does when it does nothing: blinks, glances, breath and sway, added to a motion.

Everything is a state machine that goes from frame to frame: a ten-minute file in blocks gives the bits of the whole.
"""

import functools
import itertools
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from avatar3d import geometry, heads
from avatar3d.core import AvatarError, HeadModel, Motion, Pose, first_of
from avatar3d.drive.eyes import Blinks, Gaze, Look
from avatar3d.drive.rotations import composed
from avatar3d.drive.sway import Breath, Noise

_SLOW, _QUICK = 2.4, 0.7
"""Seconds between the knots of posture and of small movements; noise ends at 0.2 and 0.7 Hz."""
_POSTURE, _SMALL = (1.1, 0.8, 0.6), (0.22, 0.18, 0.1)
"""Standard deviations of yaw, pitch and roll of an idle head, degrees."""
_SHARES = {"neck": 0.4, "head": 0.6}
"""A head turn is carried by neck and skull, as in `render.path.TURNS`."""
_SHOULDER, _RISE, _TILT = 1.1, 0.0012, 0.25
"""A full breath: degrees by which clavicles rise, metres by which the body does, degrees by which the head tilts up."""
_LID_DOWN = 0.35
"""Share of a blink that looking down with a full weight has already closed."""
_HOME, _REST = 0.8, 0.5
"""Seconds before the end of a loop from which eyes look straight ahead and no blink begins."""


@dataclass(frozen=True)
class LifeOptions:
    """How lively a face is while nothing else moves it."""

    seed: int = 0
    """Other seeds, other moments; the same seed gives the same bits."""
    blinks: float = 17.0
    """Blinks a minute; people at rest have 10 to 25. 0 for none."""
    gaze: float = 1.0
    """Size of gaze shifts; 1 as people in conversation, 0 for none."""
    away: float = 0.25
    """Share of time that the eyes spend elsewhere than on the partner's face."""
    head: float = 1.0
    """Size of idle head motion; 0 for none."""
    breath: float = 1.0
    """Depth of breath; 0 for none."""
    fixate: bool = True
    """Keep the eyes on their target while the head turns. Turn it off for motions that bring a gaze of their own."""
    target: tuple[float, float] = (0.0, 0.0)
    """Where the partner is, seen from the head at rest: degrees to the head's left, degrees down."""
    looks: tuple[tuple[float, float, float], ...] = ()
    """Where else the partner is later: (seconds, degrees to the left, degrees down), in order of time."""
    distance: float = 0.7
    """How far the partner is, metres; both eyes meet there."""
    loop: float | None = None
    """Repeat without a seam after so many seconds (2 or more); None for never."""


def idle(count: int, fps: float, options: LifeOptions = LifeOptions(), head: str = "anny") -> Motion:
    """Returns a motion of nothing but life.

    Args:
        count: Frames.
        fps: Frames per second.
        options: How lively.
        head: Name of the head model.

    Raises:
        AvatarError: An option out of range.
    """
    model = heads.load(head)
    pose = Pose(torch.zeros(count, len(model.expressions)), torch.zeros(count, len(model.joints), 3), _still(count))
    return Life(fps, options, head)(Motion(pose, fps, model.expressions))


def enliven(
    motion: Motion, options: LifeOptions = LifeOptions(), cues: Sequence[float] = (), head: str = "anny"
) -> Motion:
    """Returns the motion with life added.

    Args:
        motion: Any motion with the eyes' expressions.
        options: How lively.
        cues: Times in seconds at which a phrase ends: about half of them get a blink.
        head: Name of the head model that the motion's joints belong to.

    Raises:
        AvatarError: An option out of range, or a motion of another head.

    Example:
        enliven(motion, LifeOptions(seed=3, blinks=12))
    """
    return Life(motion.fps, options, head)(motion, cues)


class Life:
    """Adds life to a motion that comes in blocks, in order."""

    def __init__(self, fps: float, options: LifeOptions = LifeOptions(), head: str = "anny"):
        """See `enliven`.

        Raises:
            AvatarError: An option out of range.
        """
        _check(options, fps)
        self._fps, self._options = fps, options
        model = heads.load(head)
        self._joints = model.joints
        self._reach = _eye_reach(head)
        self._frames = None if options.loop is None else round(options.loop * fps)
        self._n = 0
        self._cues: deque[float] = deque()
        self._begin()

    def __call__(self, motion: Motion, cues: Sequence[float] = ()) -> Motion:
        """Returns the next frames with life added.

        Args:
            motion: The next frames, at the same rate.
            cues: Phrase ends in seconds from the very beginning, in order; those of these frames, or also later ones.

        Raises:
            AvatarError: The motion has another rate or another number of joints.
        """
        if abs(motion.fps - self._fps) > 1e-6 or motion.pose.joints.shape[1] != len(self._joints):
            raise AvatarError(
                f"life at {self._fps:g} fps for {len(self._joints)} joints cannot be added to a motion at "
                f"{motion.fps:g} fps with {motion.pose.joints.shape[1]} joints; resample it or name its head"
            )
        self._cues.extend(cues)
        pose = motion.pose
        expression = pose.expression.double().numpy().copy()
        joints = pose.joints.double().numpy().copy()
        up = np.zeros(len(motion))
        columns = _Columns(motion.names)
        for i in range(len(motion)):
            up[i] = self._frame(expression[i], joints[i], columns)
        like = pose.expression
        root = pose.root.clone()
        if self._options.breath > 0:
            root[:, :3, 3] += root[:, :3, 1] * torch.from_numpy(up).to(root)[:, None]
        changed = Pose(torch.from_numpy(expression).to(like), torch.from_numpy(joints).to(like), root, pose.soft)
        return replace(motion, pose=changed)

    def _begin(self) -> None:
        """Sets all parts to the state of frame 0."""
        o = self._options
        streams = [np.random.default_rng([o.seed, i]) for i in range(5)]
        self._blinks = Blinks(o.blinks, self._fps, streams[0])
        aims = [(at, yaw - o.target[0], pitch - o.target[1]) for at, yaw, pitch in o.looks]
        self._gaze = Gaze(o.away, o.gaze, self._fps, streams[1], aims)
        self._posture = Noise(_SLOW, 3, streams[2], o.loop)
        self._small = Noise(_QUICK, 3, streams[3], o.loop)
        self._breath = Breath(streams[4], o.loop)

    def _frame(self, expression: np.ndarray, joints: np.ndarray, columns: "_Columns") -> float:
        """Adds life to one frame in place; returns how far the body rises, metres."""
        o, n = self._options, self._n
        now = n / self._fps
        if self._frames is not None:
            n %= self._frames
            if n == 0:
                self._begin()
        self._n += 1
        t = n / self._fps
        left = math.inf if o.loop is None else o.loop - t
        cues = 0
        while self._cues and self._cues[0] <= now:
            self._cues.popleft()
            cues += 1
        look = self._gaze.step(n, home=left < _HOME)
        closed = self._blinks.step(n, look.shift, cues, rest=left < _REST)
        fill = o.breath * self._breath.at(t)
        sway = [
            a * p + b * q for a, p, b, q in zip(_POSTURE, self._posture.at(t), _SMALL, self._small.at(t), strict=True)
        ]
        yaw, pitch, roll = (o.head * x for x in sway)
        self._turn(joints, pitch + look.head_pitch - _TILT * fill, yaw + look.head_yaw, roll, fill)
        if o.gaze > 0 or o.fixate:
            self._look(expression, joints, columns, look)
        if closed > 0:
            for lid, down in zip(columns.blink, columns.down, strict=True):
                expression[lid] = max(expression[lid], closed * (1.0 - _LID_DOWN * expression[down]))
        return fill * _RISE

    def _turn(self, joints: np.ndarray, pitch: float, yaw: float, roll: float, fill: float) -> None:
        turns = {name: (share * pitch, share * yaw, share * roll) for name, share in _SHARES.items()}
        turns |= {"clavicle_left": (0.0, 0.0, _SHOULDER * fill), "clavicle_right": (0.0, 0.0, -_SHOULDER * fill)}
        for name, degrees in turns.items():
            if name in self._joints and any(degrees):
                j = self._joints.index(name)
                joints[j] = composed([math.radians(x) for x in degrees], joints[j].tolist())

    def _look(self, expression: np.ndarray, joints: np.ndarray, columns: "_Columns", look: Look) -> None:
        """Writes the gaze into the eyeLook weights, which turn eyeballs and move lids, on top of the motion's own."""
        o = self._options
        turned = [0.0, 0.0]
        if o.fixate:
            carried = [joints[self._joints.index(name)] for name in _SHARES if name in self._joints]
            turned = [math.degrees(sum(float(v[axis]) for v in carried)) for axis in (1, 0)]
        yaw, pitch = (a + b - c for a, b, c in zip((look.yaw, look.pitch), o.target, turned, strict=True))
        for pairs, reach in zip(columns.look, self._reach, strict=True):
            aside = math.degrees(math.atan(reach.x / o.distance))
            for (plus, minus), (most_plus, most_minus), angle in zip(
                pairs, (reach.yaw, reach.pitch), (yaw - aside, pitch), strict=True
            ):
                own = expression[plus] * most_plus - expression[minus] * most_minus
                angle += float(own)
                expression[plus] = min(1.0, max(0.0, angle / most_plus))
                expression[minus] = min(1.0, max(0.0, -angle / most_minus))


@dataclass(frozen=True)
class _Reach:
    """What an eye's eyeLook weights do."""

    x: float
    """Metres of the eye's centre from the middle, to the head's left."""
    yaw: tuple[float, float]
    """Degrees to the head's left and right at a weight of 1."""
    pitch: tuple[float, float]
    """Degrees down and up."""


class _Columns:
    """Where a motion's eye expressions stand."""

    def __init__(self, names: Sequence[str]):
        def at(name: str) -> int:
            return first_of(names, name)

        self.blink = (at("eyeBlinkLeft"), at("eyeBlinkRight"))
        self.down = (at("eyeLookDownLeft"), at("eyeLookDownRight"))
        self.look = tuple(
            (
                (at(f"eyeLook{to_left}{side}"), at(f"eyeLook{to_right}{side}")),
                (at(f"eyeLookDown{side}"), at(f"eyeLookUp{side}")),
            )
            for side, to_left, to_right in (("Left", "Out", "In"), ("Right", "In", "Out"))
        )


@functools.cache
def _eye_reach(head: str) -> tuple[_Reach, _Reach]:
    """Returns how far the eyeLook weights turn the eyeballs of a head model, left eye first."""
    model = heads.load(head)

    def degrees(name: str, joint: int, axis: int) -> float:
        pose = Pose(torch.zeros(len(model.expressions)), torch.zeros(len(model.joints), 3), torch.eye(4))
        pose.expression[first_of(model.expressions, name)] = 1.0
        turned = model.joint_transforms(torch.zeros(len(model.identities)), pose)[joint, :3, :3]
        return max(1.0, abs(math.degrees(float(geometry.matrix_to_rotvec(turned)[axis]))))

    def reach(side: str, to_left: str, to_right: str) -> _Reach:
        joint = first_of(model.joints, f"eye_{side.lower()}")
        yaw = (degrees(f"eyeLook{to_left}{side}", joint, 1), degrees(f"eyeLook{to_right}{side}", joint, 1))
        pitch = (degrees(f"eyeLookDown{side}", joint, 0), degrees(f"eyeLookUp{side}", joint, 0))
        return _Reach(_eye_centre(model, side), yaw, pitch)

    return reach("Left", "Out", "In"), reach("Right", "In", "Out")


def _eye_centre(model: HeadModel, side: str) -> float:
    pose = Pose(torch.zeros(len(model.expressions)), torch.zeros(len(model.joints), 3), torch.eye(4))
    eye = model.regions[f"eye_{side.lower()}"] > 0.5
    return float(model.vertices(torch.zeros(len(model.identities)), pose)[eye, 0].mean())


def _still(count: int) -> torch.Tensor:
    return torch.eye(4).expand(count, 4, 4).clone()


def _check(options: LifeOptions, fps: float) -> None:
    bounds = {
        "blinks": (0, 60),
        "gaze": (0, 3),
        "away": (0, 0.9),
        "head": (0, 5),
        "breath": (0, 5),
        "distance": (0.1, 1e4),
    }
    for name, (low, high) in bounds.items():
        if not low <= getattr(options, name) <= high:
            raise AvatarError(f"life: {name} is {getattr(options, name)}; give a value from {low} to {high}")
    if any(a[0] > b[0] for a, b in itertools.pairwise(options.looks)) or not np.isfinite(options.looks).all():
        raise AvatarError("life: looks are (seconds, degrees left, degrees down) in order of time")
    if options.seed < 0:
        raise AvatarError(f"life: seed is {options.seed}; give 0 or more")
    if options.loop is not None and not 2 <= options.loop <= 3600:
        raise AvatarError(f"life: a loop of {options.loop:g} s; give 2 s or more")
    if not 5 <= fps <= 1000:
        raise AvatarError(f"life: {fps:g} frames a second; give 5 or more")
