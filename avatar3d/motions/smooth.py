"""Smoothing of motions that leaves lip closures and blinks as deep as they were.

A low-pass filter takes the bottom off a p or the top off a blink: both last three or four frames. Here the frames in
which lips or lids are closed are fixed points, and only what lies between is smoothed.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.linalg import solveh_banded

from avatar3d.core import AvatarError, Motion, first_of
from avatar3d.heads.lips import Lips, lips

_TOUCHING, _SHARE = 0.7, 0.12
"""Lips are closed below so many millimetres, or below this share of a wide opening: trackers see some gap."""
_SHUT = 0.6
"""eyeBlink from which lids are taken for closed."""
_HOLD = 1e4
"""Weight of a frame that has to stay; others have 1."""


@dataclass(frozen=True)
class SmoothOptions:
    """Cut-off frequencies in Hz: slower motion passes. 0 leaves a part alone."""

    mouth: float = 7.0
    """Jaw, lips and tongue; speech has little above 6."""
    eyes: float = 9.0
    """Lids and gaze."""
    face: float = 4.0
    """Brows, cheeks and nose."""
    head: float = 4.0
    """Joints and root."""
    keep: bool = True
    """Keep closed lips and lids as they are."""


def smooth(motion: Motion, options: SmoothOptions = SmoothOptions(), head: str = "anny") -> Motion:
    """Returns the motion without jitter and without lag; frames with closed lips or lids keep them.

    Each curve y becomes the x that minimises sum c_n (x_n - y_n)^2 + l sum (x_(n-1) - 2 x_n + x_(n+1))^2 (a Whittaker
    smoother), l = (2 pi f / fps)^-4 for the cut-off f, and c_n = 1 but for closures, where it is 10^4.

    Args:
        motion: At least three frames, or it is returned as it is.
        options: Cut-off frequencies.
        head: Name of the head model, on whose mesh the lips' gap is measured.

    Raises:
        AvatarError: A frequency out of range, or names that are not expressions of the head.
    """
    for name in ("mouth", "eyes", "face", "head"):
        if not 0 <= getattr(options, name) <= 1000:
            raise AvatarError(f"smooth: {name} is {getattr(options, name)} Hz; give 0 or more")
    if len(motion) < 3:
        return motion
    expression = motion.pose.expression.double().numpy()
    smoothed = expression.copy()
    shut = closed_lips(motion, head) if options.keep else np.zeros(len(motion), bool)
    for part, cutoff in (("mouth", options.mouth), ("eyes", options.eyes), ("face", options.face)):
        columns = [i for i, name in enumerate(motion.names) if part_of(name) == part]
        held = shut if part == "mouth" else np.zeros(len(motion), bool)
        if part == "eyes" and options.keep:
            lids = [first_of(motion.names, name) for name in ("eyeBlinkLeft", "eyeBlinkRight")]
            held = np.asarray((expression[:, lids] > _SHUT).any(1))
        if columns and cutoff > 0:
            smoothed[:, columns] = whittaker(expression[:, columns], held, cutoff / motion.fps).clip(0, 1)
    pose = replace(motion.pose, expression=torch.from_numpy(smoothed).to(motion.pose.expression))
    if options.head > 0:
        free = np.zeros(len(motion), bool)
        joints = pose.joints.double().numpy()
        flat = whittaker(joints.reshape(len(joints), -1), free, options.head / motion.fps)
        pose = replace(
            pose, joints=torch.from_numpy(flat.reshape(joints.shape)).to(pose.joints), root=_root(motion, options)
        )
    return replace(motion, pose=pose)


def closed_lips(motion: Motion, head: str = "anny") -> Bool[np.ndarray, " t"]:
    """Returns the frames in which the lips are closed while the mouth is in use.

    Frames where they stay closed for longer than 0.3 s count at their ends only: there is nothing to lose within.
    """
    gap = _gap(lips(head), motion, head)
    closed = gap <= max(_TOUCHING, _SHARE * float(np.percentile(gap, 90)))
    reach = max(1, round(0.15 * motion.fps))
    inner = closed.copy()
    for shift in range(1, reach + 1):
        inner[shift:] &= closed[:-shift]
        inner[:-shift] &= closed[shift:]
        inner[:shift] = inner[-shift:] = False
    return closed & ~inner


class Smoother:
    """Causal smoothing for live motion, frame by frame, that lets closures through at once.

    A One Euro filter (Casiez, Roussel and Vogel, CHI 2012) on each weight: the cut-off rises with its speed.
    """

    def __init__(self, fps: float, slowest: float = 2.0, quicken: float = 6.0, head: str = "anny"):
        """Makes one.

        Args:
            fps: Frames per second.
            slowest: Hz that pass where nothing moves.
            quicken: Hz more for each unit of weight a second.
            head: Name of the head model.
        """
        self._fps, self._slowest, self._quicken = fps, slowest, quicken
        self._head, self._lips = head, lips(head)
        self._last: np.ndarray | None = None
        self._speed: np.ndarray | None = None
        self._open = 0.0

    def __call__(self, motion: Motion) -> Motion:
        """Returns the next frames smoothed; joints and root pass as they are."""
        rows = motion.pose.expression.double().numpy()
        gaps = _gap(self._lips, motion, self._head)
        mouth = np.array([part_of(name) == "mouth" for name in motion.names])
        lids = np.array([name.startswith("eyeBlink") for name in motion.names])
        out = (
            np.stack([self._step(row, float(gap), mouth, lids) for row, gap in zip(rows, gaps, strict=True)])
            if len(rows)
            else rows
        )
        return replace(motion, pose=replace(motion.pose, expression=torch.from_numpy(out).to(motion.pose.expression)))

    def _step(self, row: np.ndarray, gap: float, mouth: np.ndarray, lids: np.ndarray) -> np.ndarray:
        if self._last is None or self._speed is None:
            self._last, self._speed, self._open = row, np.zeros_like(row), gap
            return row
        speed = (row - self._last) * self._fps
        self._speed = self._speed + self._gain(1.0) * (speed - self._speed)
        gain = self._gain(self._slowest + self._quicken * np.abs(self._speed))
        self._open = max(gap, self._open * 0.995)
        if gap <= max(_TOUCHING, _SHARE * self._open):
            gain = np.where(mouth, 1.0, gain)
        gain = np.where(lids & (row > _SHUT), 1.0, gain)
        self._last = self._last + gain * (row - self._last)
        return self._last

    def _gain(self, cutoff):
        step = 2 * np.pi * cutoff / self._fps
        return step / (step + 1)


def part_of(name: str) -> str:
    """Returns "mouth", "eyes" or "face" for an ARKit expression."""
    if name.startswith(("mouth", "jaw", "tongue")):
        return "mouth"
    return "eyes" if name.startswith("eye") else "face"


def _gap(measure: Lips, motion: Motion, head: str) -> Float[np.ndarray, " t"]:
    """Returns the lips' gap in millimetres, whatever the order of the motion's columns."""
    from avatar3d.heads import load

    names = load(head).expressions
    order = [first_of(motion.names, name) for name in names]
    return measure.gap(motion.pose.expression.double().numpy()[:, order])


def _root(motion: Motion, options: SmoothOptions) -> torch.Tensor:
    """Returns root transforms with rotation (as quaternions) and translation smoothed."""
    from avatar3d.geometry import matrix_to_quat, quat_to_matrix, rigid

    root = motion.pose.root.double()
    quats = matrix_to_quat(root[:, :3, :3])
    flips = torch.cumprod(torch.where((quats[1:] * quats[:-1]).sum(1) < 0, -1.0, 1.0).double(), 0)
    quats = torch.cat([quats[:1], quats[1:] * flips[:, None]])
    both = torch.cat([quats, root[:, :3, 3]], 1).numpy()
    both = torch.from_numpy(whittaker(both, np.zeros(len(both), bool), options.head / motion.fps))
    return rigid(quat_to_matrix(both[:, :4]), both[:, 4:]).to(motion.pose.root)


def whittaker(
    curves: Float[np.ndarray, "t c"], held: Bool[np.ndarray, " t"], cutoff: float
) -> Float[np.ndarray, "t c"]:
    """Returns the minimiser of `smooth`; `cutoff` in cycles a frame."""
    t = len(curves)
    weight = (2 * np.pi * cutoff) ** -4.0
    kept = np.where(held, _HOLD, 1.0)
    bands = np.zeros((3, t))  # upper form: bands[2] diagonal, [1] and [0] above it
    bands[2] = kept
    for i, a in enumerate((1.0, -2.0, 1.0)):
        bands[2, i : i + t - 2] += weight * a * a
    bands[1, 1 : t - 1] -= 2 * weight
    bands[1, 2:] -= 2 * weight
    bands[0, 2:] += weight
    return solveh_banded(bands, kept[:, None] * curves)
