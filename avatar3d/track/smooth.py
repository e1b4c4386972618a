"""Filters over time without lag: robust smoothing of tracked curves, and bridges over frames without a face."""

import numpy as np
from jaxtyping import Bool, Float
from scipy.linalg import solveh_banded

_SLOWEST = 1.5
"""Hertz that pass where nothing moves: posture changes slowly."""
_QUICKEN = 0.35
"""Hertz per millimetre a second: everything passes at 30 mm/s."""


def steady(values: Float[np.ndarray, "t c"], fps: float, still: float = 3.0) -> Float[np.ndarray, "t c"]:
    """Returns the curves with jitter removed where they hardly move, and kept where they do.

    Minimises sum |x - y|^2 + sum l_n |x_(n-1) - 2 x_n + x_(n+1)|^2 (a Whittaker smoother of second order). Its cut-off
    frequency f_n, l_n = (2 pi f_n / fps)^-4, rises with the speed around frame n as in the One Euro filter (Casiez
    2012), but without lag: a nod or a jump stays on its frame.

    Args:
        values: Curves of one body in millimetres.
        fps: Frames per second.
        still: Speed in millimetres per second that jitter alone reaches.
    """
    if len(values) < 3:
        return values.copy()
    step = np.sqrt((np.diff(values, axis=0) ** 2).sum(1)) * fps
    around = np.maximum(step[1:], step[:-1])  # of the two steps that meet in each inner frame
    around = np.maximum.reduce([around, np.append(around[1:], 0), np.insert(around[:-1], 0, 0)])
    cutoff = _SLOWEST + _QUICKEN * np.maximum(0, around - still)
    return _whittaker(values, (2 * np.pi * cutoff / fps) ** -4.0)


def steady_rotations(
    rotations: Float[np.ndarray, "t 3 3"], others: Float[np.ndarray, "t c"], fps: float
) -> tuple[Float[np.ndarray, "t 3 3"], Float[np.ndarray, "t c"]]:
    """Returns rotations and further curves smoothed together, see `steady`.

    Args:
        rotations: Of a body about 100 mm in radius.
        others: Further curves of the same body in millimetres.
        fps: Frames per second.
    """
    from scipy.spatial.transform import Rotation

    quats = Rotation.from_matrix(rotations).as_quat()
    flips = np.cumprod(np.concatenate([[1.0], np.where((quats[1:] * quats[:-1]).sum(1) < 0, -1.0, 1.0)]))
    lever = 200.0  # millimetres of motion per unit of quaternion: twice the radius
    both = steady(np.concatenate([quats * flips[:, None] * lever, others], 1), fps)
    return Rotation.from_quat(both[:, :4]).as_matrix(), both[:, 4:]


def bridge(values: Float[np.ndarray, "m ..."], seen: Bool[np.ndarray, " t"]) -> Float[np.ndarray, "t ..."]:
    """Returns values of all frames from those of the seen ones: linear in gaps, held at the ends."""
    where = np.flatnonzero(seen)
    flat = values.reshape(len(values), -1)
    at = np.arange(len(seen))
    columns = [np.interp(at, where, flat[:, i]) for i in range(flat.shape[1])]
    return np.stack(columns, 1).reshape(len(seen), *values.shape[1:])


def bridge_rotations(rotations: Float[np.ndarray, "m 3 3"], seen: Bool[np.ndarray, " t"]) -> Float[np.ndarray, "t 3 3"]:
    """Returns rotations of all frames from those of the seen ones: slerp in gaps, held at the ends."""
    from scipy.spatial.transform import Rotation, Slerp

    where = np.flatnonzero(seen)
    if len(where) == 1:
        return np.repeat(rotations, len(seen), axis=0)
    at = np.clip(np.arange(len(seen)), where[0], where[-1])
    out = Slerp(where, Rotation.from_matrix(rotations))(at).as_matrix()
    out[where] = rotations
    return out


def _whittaker(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Returns (I + D' diag(weight) D)^-1 values for second differences D."""
    t = len(values)
    bands = np.zeros((3, t))  # upper form: bands[2] diagonal, [1] and [0] above it
    bands[2] = 1
    for i, a in enumerate((1.0, -2.0, 1.0)):
        bands[2, i : i + t - 2] += weight * a * a
    bands[1, 1 : t - 1] += -2 * weight
    bands[1, 2:] += -2 * weight
    bands[0, 2:] += weight
    return solveh_banded(bands, values)
