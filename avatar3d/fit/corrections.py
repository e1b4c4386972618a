"""Corrections of tracked poses: what they are made of, how they are applied, how strongly they are pulled towards none.

A frame's correction is a row of numbers, each in units of how far landmark tracking is usually off, so that one rate of
the optimiser suits all: the head's turn (3) and shift (3), the joints (3 each), the soft nodes (3 each), the
expression.

The head and the torso are corrected apart. Turn and shift move the head as it was seen; the joints move the torso under
it, and the root follows from both. With root and joints as they stand in `Pose`, either would move everything.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from avatar3d.core import HeadModel, Pose
from avatar3d.geometry import rigid, rigid_inverse, rotvec_to_matrix

_TURN, _SHIFT, _EXPRESSION = 0.02, 0.004, 0.1
"""How far tracking is usually off: radians, metres, weights."""
_JOINT, _JOINTS = 0.03, {"neck": 0.1, "head": 0.1, "clavicle": 0.15}
"""The same for the joints, radians: landmarks say nothing of shoulders, and little of the torso."""
_SOFT = 0.015
"""How far soft nodes move, metres."""
_WEIGHT = 1e-3
_PERIOD = 8  # moments from one knot of the drift to the next


@dataclass(frozen=True)
class Corrector:
    """Corrects poses of one person's head."""

    head: HeadModel
    identity: Float[Tensor, " s"]

    @property
    def width(self) -> int:
        """Numbers in a correction."""
        return self.carried + len(self.head.expressions)

    @property
    def carried(self) -> int:
        """How many of them, from the first, hardly change from frame to frame: all but the expression."""
        return 6 + 3 * len(self.head.joints) + 3 * self._nodes

    @property
    def _nodes(self) -> int:
        return self.head.soft.shape[1]

    @property
    def _sizes(self) -> list[int]:
        return [3, 3, 3 * len(self.head.joints), 3 * self._nodes, len(self.head.expressions)]

    def apply(self, tracked: Pose, change: Float[Tensor, "b d"]) -> Pose:
        """Returns the tracked poses (batched over b) with their corrections."""
        turn, shift, joints, soft, expression = change.split(self._sizes, dim=-1)
        usual = joints.new_tensor([_JOINTS.get(name.split("_")[0], _JOINT) for name in self.head.joints])
        turned = tracked.joints + joints.unflatten(-1, (-1, 3)) * usual[:, None]
        seen = self._head(tracked)
        moved = seen @ rigid(rotvec_to_matrix(turn * _TURN), shift * _SHIFT)
        unrooted = Pose(tracked.expression, turned, torch.eye(4, dtype=turned.dtype).expand_as(tracked.root))
        root = moved @ rigid_inverse(self._head(unrooted))
        moved = soft.unflatten(-1, (self._nodes, 3)) * _SOFT
        if tracked.soft is not None:
            moved = tracked.soft + moved
        return Pose((tracked.expression + expression * _EXPRESSION).clamp(0, 1), turned, root, moved)

    def pull(self, change: Float[Tensor, "b d"]) -> Float[Tensor, ""]:
        """Returns the pull of corrections towards none; turn, shift, joints, soft nodes and expression
        count alike."""
        parts = [part for part in change.split(self._sizes, dim=-1) if part.shape[-1]]
        return _WEIGHT * torch.stack([part.square().mean() for part in parts]).sum()

    def _head(self, pose: Pose) -> Float[Tensor, "b 4 4"]:
        """Returns the skull's rest-to-world transforms."""
        identity = self.identity.expand(len(pose.expression), -1)
        return self.head.joint_transforms(identity, pose)[:, list(self.head.joints).index("head")]


def begin(moments: int, width: int) -> dict[str, Tensor]:
    """Returns no corrections, by the names of what is optimised: each moment's own, and a slow drift.

    A frame is seen too seldom in a short fit to come far by itself; the drift, linear between knots, takes along what
    its neighbours learn, and is the smoother for it.

    Args:
        moments: How many there are.
        width: Numbers in a correction.
    """
    return {"view": torch.zeros(moments, width), "drift": torch.zeros((moments - 1) // _PERIOD + 2, width)}


def at(values: Mapping[str, Tensor], moment: Int[Tensor, " b"]) -> Float[Tensor, "b d"]:
    """Returns the corrections of some moments."""
    knot, share = moment // _PERIOD, (moment % _PERIOD / _PERIOD)[:, None]
    return values["view"][moment] + values["drift"][knot].lerp(values["drift"][knot + 1], share)


def still(values: Mapping[str, Tensor], moment: Int[Tensor, " b"]) -> dict[str, Bool[Tensor, " _"]]:
    """Returns which rows stand still in a step that sees these moments only."""
    rows = {name: torch.ones(len(values[name]), dtype=torch.bool) for name in ("view", "drift")}
    rows["view"][moment] = False
    rows["drift"][moment // _PERIOD] = False
    rows["drift"][moment // _PERIOD + 1] = False
    return rows


def over_time(change: Float[Tensor, "m d"], index: Int[Tensor, " m"], frames: int) -> Float[Tensor, "t d"]:
    """Returns corrections of all frames from those at `index` (ascending): linear between them, held beyond."""
    when = torch.arange(frames)
    after = torch.searchsorted(index, when).clamp(max=len(index) - 1)
    before = (torch.searchsorted(index, when, right=True) - 1).clamp(min=0)
    gap = (index[after] - index[before]).clamp(min=1)
    share = ((when - index[before]) / gap).clamp(0, 1)[:, None]
    return change[before].lerp(change[after], share)
