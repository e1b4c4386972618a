"""What lips do on a head's mesh: how far apart they are, and whether the lower one covers the upper teeth.

Measured in head space before joints turn the head, on the vertices themselves: a weight of 1 means nothing by itself,
a gap of zero millimetres does.
"""

import functools
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from avatar3d.core import HeadModel, Pose, first_of
from avatar3d.heads.base import load

_COLUMNS = (-5.8, 0.0, 5.8)
"""Where across the mouth the gap is measured, millimetres from the middle."""
_HALF = 1.5
"""Half the width of such a column, millimetres; the mesh has an edge every 3 to 6."""
_OPENS = 15.0
"""What moves down by more millimetres than this as the jaw opens wide is the lower lip, less than 5 the upper."""


@dataclass(frozen=True)
class Lips:
    """The lips and the upper teeth's edge of a head, as linear functions of expressions."""

    rest: Float[np.ndarray, "p 3"]
    """Lip vertices of the mean person at rest, millimetres."""
    moves: Float[np.ndarray, "e p 3"]
    """What each expression at 1 adds."""
    upper: tuple[np.ndarray, ...]
    lower: tuple[np.ndarray, ...]
    """Indices into these of the two lips in each column."""
    edge: float
    """Height of the upper teeth's edge, millimetres."""

    def points(self, expression: Float[np.ndarray, "t e"]) -> Float[np.ndarray, "t p 3"]:
        """Returns where the lips' vertices are, millimetres."""
        moved = expression.astype(np.float64) @ self.moves.reshape(len(self.moves), -1)
        return self.rest + moved.reshape(len(expression), *self.rest.shape)

    def gap(self, expression: Float[np.ndarray, "t e"]) -> Float[np.ndarray, " t"]:
        """Returns how far the lips are apart where they are furthest, millimetres: 0 at rest, below 0 pressed."""
        heights = self.points(expression)[..., 1]
        closed = self.rest[:, 1]
        columns = [
            heights[:, up].min(1) - heights[:, low].max(1) - (closed[up].min() - closed[low].max())
            for up, low in zip(self.upper, self.lower, strict=True)
        ]
        return np.stack(columns).max(0)

    def over_teeth(self, expression: Float[np.ndarray, "t e"]) -> Float[np.ndarray, " t"]:
        """Returns how far the lower lip reaches above the upper teeth's edge, millimetres: above 0 they meet."""
        middle = self.lower[len(self.lower) // 2]
        return self.points(expression)[:, middle, 1].max(1) - self.edge


@functools.cache
def lips(name: str = "anny") -> Lips:
    """Returns the lips of a head model.

    Raises:
        AvatarError: No head of this name.
    """
    head = load(name)
    return lips_of(head)


def lips_of(head: HeadModel) -> Lips:
    """Returns the lips of a head model with regions `lips` and `teeth_upper` and the ARKit expressions."""
    count = len(head.expressions)
    pose = Pose(
        torch.cat([torch.zeros(1, count), torch.eye(count)]),
        torch.zeros(count + 1, len(head.joints), 3),
        torch.eye(4).expand(count + 1, 4, 4),
    )
    vertices = 1e3 * head.vertices(torch.zeros(len(head.identities)), pose).double().numpy()
    chosen = np.flatnonzero(head.regions["lips"].numpy() > 0.5)
    rest, moves = vertices[0, chosen], vertices[1:, chosen] - vertices[0, chosen]
    falls = -moves[first_of(head.expressions, "jawOpen"), :, 1]
    near = [np.abs(rest[:, 0] - x) < _HALF for x in _COLUMNS]
    # The rims that meet lie behind the lips' front; of what lies further inside only the teeth would see the gap.
    front = rest[:, 2] > rest[np.abs(rest[:, 0]) < _HALF, 2].max() - 4.5
    upper = tuple(np.flatnonzero(column & (falls < 5) & front) for column in near)
    lower = tuple(np.flatnonzero(column & (falls > _OPENS) & front) for column in near)
    teeth = vertices[0, head.regions["teeth_upper"].numpy() > 0.5]
    edge = float(teeth[np.abs(teeth[:, 0]) < 8, 1].min())
    return Lips(rest, moves, upper, lower, edge)
