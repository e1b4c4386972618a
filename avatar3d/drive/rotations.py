"""Rotation vectors in plain scalars: a frame's result does not depend on how many frames come with it."""

import math
from collections.abc import Sequence


def composed(first: Sequence[float], then: Sequence[float]) -> list[float]:
    """Returns the rotation vector of the product `first` * `then` (`then` is applied to a point before `first`).

    Args:
        first: Rotation vector in radians.
        then: The other.
    """
    (aw, ax, ay, az), (bw, bx, by, bz) = quat(first), quat(then)
    return rotvec(
        (
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        )
    )


def quat(vector: Sequence[float]) -> tuple[float, float, float, float]:
    """Returns the unit quaternion (wxyz) of a rotation vector in radians."""
    x, y, z = vector
    angle = math.sqrt(x * x + y * y + z * z)
    scale = 0.5 if angle < 1e-9 else math.sin(angle / 2) / angle
    return math.cos(angle / 2), scale * x, scale * y, scale * z


def rotvec(quaternion: Sequence[float]) -> list[float]:
    """Returns the rotation vector, of length at most pi, of a quaternion (wxyz)."""
    w, x, y, z = quaternion
    length = math.sqrt(x * x + y * y + z * z)
    scale = 2.0 if length < 1e-12 else 2.0 * math.atan2(length, abs(w)) / length
    return [math.copysign(scale, w) * v for v in (x, y, z)]
