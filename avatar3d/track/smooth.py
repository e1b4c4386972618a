"""Filters over time without lag: robust smoothing of tracked curves, and bridges over frames without a face."""

import numpy as np
from jaxtyping import Bool, Float
from scipy.linalg import solveh_banded


def steady(
    values: Float[np.ndarray, "t c"], fps: float, slow: float, sharp: float, rounds: int = 6
) -> Float[np.ndarray, "t c"]:
    """Returns the curves with jitter removed where they hardly accelerate, and kept where they do.

    Minimises sum |x - y|^2 + sum l_n |x_(n-1) - 2 x_n + x_(n+1)|^2 (a Whittaker smoother of second order), where l falls
    with the acceleration that remains, l_n = L / (1 + (|a_n| / sharp)^2): a Cauchy penalty by iterated reweighting, shared
    by all columns. Zero phase, so that a blink or a nod stays on its frame.

    Args:
        values: Curves in one unit.
        fps: Frames per second.
        slow: Cut-off in hertz where nothing moves.
        sharp: Acceleration, in that unit per frame squared at 25 frames per second, from which motion is believed.
        rounds: Reweightings.
    """
    t = len(values)
    if t < 3:
        return values.copy()
    most = (2 * np.pi * slow / fps) ** -4.0
    limit = sharp * (25.0 / fps) ** 2
    out, weight = values, np.full(t - 2, most)
    for _ in range(rounds):
        out = _whittaker(values, weight)
        bend = np.sqrt((np.diff(out, 2, axis=0) ** 2).sum(1))
        weight = most / (1 + (bend / limit) ** 2)
    return _whittaker(values, weight)


def steady_rotations(
    rotations: Float[np.ndarray, "t 3 3"], others: Float[np.ndarray, "t c"], fps: float, slow: float, sharp: float
) -> tuple[Float[np.ndarray, "t 3 3"], Float[np.ndarray, "t c"]]:
    """Returns rotations and further curves smoothed together, see `steady`.

    Args:
        rotations: Of a body about 100 mm in radius.
        others: Further curves of the same body in millimetres.
        fps: Frames per second.
        slow: Cut-off in hertz where nothing moves.
        sharp: Acceleration in millimetres per frame squared from which motion is believed.
    """
    from scipy.spatial.transform import Rotation

    quats = Rotation.from_matrix(rotations).as_quat()
    flips = np.cumprod(np.concatenate([[1.0], np.where((quats[1:] * quats[:-1]).sum(1) < 0, -1.0, 1.0)]))
    lever = 200.0  # millimetres of motion per unit of quaternion: twice the radius
    both = steady(np.concatenate([quats * flips[:, None] * lever, others], 1), fps, slow, sharp)
    return Rotation.from_quat(both[:, :4]).as_matrix(), both[:, 4:]


def bridge(values: Float[np.ndarray, "m *c"], seen: Bool[np.ndarray, " t"]) -> Float[np.ndarray, "t *c"]:
    """Returns values of all frames from those of the seen ones: linear in gaps, held at the ends."""
    where = np.flatnonzero(seen)
    flat = values.reshape(len(values), -1)
    at = np.arange(len(seen))
    columns = [np.interp(at, where, flat[:, i]) for i in range(flat.shape[1])]
    return np.stack(columns, 1).reshape(len(seen), *values.shape[1:])


def bridge_rotations(
    rotations: Float[np.ndarray, "m 3 3"], seen: Bool[np.ndarray, " t"]
) -> Float[np.ndarray, "t 3 3"]:
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
