"""What motion files have in common: ARKit weights, turns of head and eyes, and a rate; and the way to a `Motion`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from avatar3d import geometry, heads
from avatar3d.core import AvatarError, Motion, Pose
from avatar3d.heads import ARKIT

NECK_SHARE = 0.4
"""Part of a head's turn that the neck carries, as the cervical spine does it; the rest is the skull's."""
MOST = 4_000_000
"""Frames in a file: 18 hours at 60 a second."""
_WEIGHT = 2.0  # beyond it a column holds percentages or something else altogether


@dataclass(frozen=True)
class Curves:
    """A performance as files hold it."""

    weights: Float[np.ndarray, "t 52"]
    """In alphabetical ARKit order, in [0, 1]."""
    head: Float[np.ndarray, "t 3"]
    """Rotation vector of the head, radians, in head space (x to its left, y up, z out of the face)."""
    eyes: Float[np.ndarray, "t 2 3"]
    """Rotation vectors of the left and right eyeball beyond what the eyeLook weights say, radians."""
    fps: float
    joints: Float[np.ndarray, "t 6 3"] | None = None
    """All joints of the default head, where the file tells them apart; they replace `head` and `eyes`."""
    root: Float[np.ndarray, "t 4 4"] | None = None
    """Head space to world, where the file has it."""

    def __len__(self) -> int:
        return len(self.weights)


def key(name: str) -> str:
    """Returns a name without case, separators and short sides: `eyeBlink_L` and `EyeBlinkLeft` are one."""
    name = re.sub(r"[_.-](l|r)$", lambda m: "left" if m[1] == "l" else "right", name.strip().lower())
    return re.sub(r"[\s_.-]", "", name)


def ordered(where: str, names: Sequence[str], values: Float[np.ndarray, "t c"]) -> Float[np.ndarray, "t 52"]:
    """Returns columns in ARKit order, clipped to [0, 1]; names that are missing stay at 0, others are left out.

    Raises:
        AvatarError: No ARKit name, one that comes twice, or values that are no weights.
    """
    columns: dict[str, int] = {}
    for i, name in enumerate(names):
        if key(name) in columns and key(name) in _KEYS:
            raise AvatarError(f"{where}: column '{name}' comes twice; keep one of them")
        columns[key(name)] = i
    known = [(i, columns[key(n)], n) for i, n in enumerate(ARKIT) if key(n) in columns]
    if not known:
        raise AvatarError(f"{where}: names none of the 52 ARKit expressions, such as jawOpen; check its columns")
    out = np.zeros((len(values), len(ARKIT)))
    for i, column, name in known:
        out[:, i] = values[:, column]
        if len(values) and np.abs(out[:, i]).max() > _WEIGHT:
            frame = int(np.abs(out[:, i]).argmax())
            raise AvatarError(
                f"{where}: frame {frame}: {name} is {out[frame, i]:g}; weights go from 0 to 1 (are these percentages?)"
            )
    return out.clip(0, 1)


def to_motion(curves: Curves) -> Motion:
    """Returns the motion on the default head; without a root in the file it stays at the origin."""
    head = heads.load("anny")
    t, names = len(curves), list(head.joints)
    if curves.joints is not None:
        joints = curves.joints
    else:
        joints = np.zeros((t, len(names), 3))
        joints[:, names.index("neck")] = NECK_SHARE * curves.head
        joints[:, names.index("head")] = (1 - NECK_SHARE) * curves.head
        joints[:, [names.index("eye_left"), names.index("eye_right")]] = curves.eyes
    root = np.broadcast_to(np.eye(4), (t, 4, 4)) if curves.root is None else curves.root
    parts = [torch.from_numpy(np.array(x)).float() for x in (curves.weights, joints, root)]
    return Motion(Pose(*parts), curves.fps, ARKIT)


def to_curves(motion: Motion) -> Curves:
    """Returns a motion as files hold it: the head's whole turn, the torso's included.

    Raises:
        AvatarError: The motion has other joints than the default head.
    """
    head, pose = heads.load("anny"), motion.pose
    joints, names = pose.joints.detach().double(), list(head.joints)
    if joints.shape[-2] != len(names):
        raise AvatarError(f"motion: {joints.shape[-2]} joints; files hold those of the default head, {len(names)}")
    turned = geometry.rotvec_to_matrix(joints)
    root = pose.root.detach().double()
    whole = root[:, :3, :3] @ turned[:, names.index("neck")] @ turned[:, names.index("head")]
    eyes = joints[:, [names.index("eye_left"), names.index("eye_right")]]
    weights = ordered("motion", motion.names, pose.expression.detach().double().numpy())
    turns = geometry.matrix_to_rotvec(whole).numpy()
    return Curves(weights, turns, eyes.numpy(), motion.fps, joints.numpy(), root.numpy())


def gaze(weights: Float[np.ndarray, "t 52"]) -> Float[np.ndarray, "t 2 3"]:
    """Returns the rotation vectors of both eyeballs that the eyeLook weights stand for on the default head."""
    return heads.load("anny").gaze_angles(torch.from_numpy(weights).float()).double().numpy()  # type: ignore[attr-defined]


def even(curves: Curves, times: Float[np.ndarray, " t"]) -> Curves:
    """Returns the curves on an even grid of `curves.fps` where the times of frames leave one (dropped frames).

    Weights and angles are interpolated linearly; an even motion comes back as it is.
    """
    grid = times[0] + np.arange(round((times[-1] - times[0]) * curves.fps) + 1) / curves.fps
    uneven = len(grid) != len(times) or np.abs(times - grid).max() > 0.5 / curves.fps
    if not uneven or len(times) < 2 or len(grid) > MOST:
        return curves

    def on_grid(values: np.ndarray) -> np.ndarray:
        flat = values.reshape(len(values), -1)
        return np.stack([np.interp(grid, times, c) for c in flat.T], 1).reshape(len(grid), *values.shape[1:])

    return Curves(on_grid(curves.weights), on_grid(curves.head), on_grid(curves.eyes), curves.fps)


def angles_to_rotvec(angles: Float[np.ndarray, "*t 3"]) -> Float[np.ndarray, "*t 3"]:
    """Returns rotation vectors of Live Link Face's (yaw, pitch, roll) in radians.

    Unreal's axes are left-handed: positive yaw looks to the person's right, positive pitch down, positive roll tips the
    crown to the left. (Checked on recordings of the app, where EyeLookInLeft comes with a positive LeftEyeYaw and
    EyeLookUp with a negative pitch.) Roll is applied first, yaw last.
    """
    flat = angles.reshape(-1, 3) * np.array([-1.0, 1.0, -1.0])
    return Rotation.from_euler("YXZ", flat).as_rotvec().reshape(angles.shape) if len(flat) else angles


def rotvec_to_angles(turns: Float[np.ndarray, "*t 3"]) -> Float[np.ndarray, "*t 3"]:
    """Returns Live Link Face's (yaw, pitch, roll) in radians of rotation vectors; see `angles_to_rotvec`."""
    flat = turns.reshape(-1, 3)
    if not len(flat):
        return turns
    return (Rotation.from_rotvec(flat).as_euler("YXZ") * np.array([-1.0, 1.0, -1.0])).reshape(turns.shape)


_KEYS = {key(name) for name in ARKIT}
