"""Small corrections of tracked poses: how they are applied, and how strongly they are pulled towards none."""

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

from avatar3d.core import Pose
from avatar3d.geometry import rigid, rotvec_to_matrix

_USUAL = {"view.expression": 0.1, "view.joints": 0.03, "view.turn": 0.02, "view.shift": 0.004}
"""How far landmark tracking is usually off: weights, radians, radians, metres."""
_WEIGHT = 1e-3


def corrected(tracked: Pose, change: Mapping[str, Tensor]) -> Pose:
    """Returns the tracked poses with their corrections.

    Args:
        tracked: Batched over b frames.
        change: `view.expression` b e, `view.joints` b j 3 and `view.turn` b 3 (rotation vectors, radians) and
            `view.shift` b 3 (metres); turn and shift act in head space, before the root.
    """
    moved = rigid(rotvec_to_matrix(change["view.turn"]), change["view.shift"])
    return Pose(
        (tracked.expression + change["view.expression"]).clamp(0, 1),
        tracked.joints + change["view.joints"],
        tracked.root @ moved,
    )


def pull(change: Mapping[str, Tensor]) -> Float[Tensor, ""]:
    """Returns the pull of corrections towards none, in units of how far tracking is usually off."""
    return _WEIGHT * sum(((change[name] / size) ** 2).mean() for name, size in _USUAL.items())  # type: ignore[return-value]
