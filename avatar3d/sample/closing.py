"""How far lids and lips are apart, and how strongly expressions are shown on a head so that they just close."""

import functools
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from avatar3d.core import Bearing
from avatar3d.heads import AnnyHead
from avatar3d.heads.lips import Lips, lips

_COLUMNS = (26.0, 29.0, 32.0, 35.0, 38.0, 41.0)
"""Where across the eye the gap is measured on the mean head, millimetres from the middle of the face."""
_HALF = 2.4
_FALLS, _STAYS = 4.0, 3.0
"""What a blink moves down by more millimetres than the first is the upper lid, by less than the second the lower."""
OVERLAP = 1.0
"""Millimetres by which lids pass each other in a full blink, so that they close in every column."""
_GAIN = 0.5  # the least
_MORE = 0.1  # millimetres by which lips may press more than the mean head's


@dataclass(frozen=True)
class Lids:
    """Vertices of the rims of the lids of one eye, by column."""

    upper: tuple[np.ndarray, ...]
    lower: tuple[np.ndarray, ...]

    def gaps(self, vertices: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, " c"]:
        """Returns how far the lids are apart in each column, millimetres; below 0 they pass each other."""
        y = vertices[:, 1] * 1e3
        return np.array([y[u].min() - y[w].max() for u, w in zip(self.upper, self.lower, strict=True)])


@functools.cache
def _all(name: str) -> dict[str, Lids]:
    from avatar3d import heads

    head = heads.load(name)
    assert isinstance(head, AnnyHead)
    return {side: _found(head, side) for side in ("left", "right")}


def lids(head: AnnyHead, side: str) -> Lids:
    """Returns the lids of the "left" or the "right" eye."""
    return _all(head.name)[side]


def _found(head: AnnyHead, side: str) -> Lids:
    at = head.template.double().numpy() * 1e3
    blink = head.deltas[head.expressions.index(f"eyeBlink{side.capitalize()}")].double().numpy() * 1e3
    region = head.regions[f"lids_{side}"].numpy() > 0.5
    upper, lower = [], []
    for x in _COLUMNS:
        near = region & (np.abs(np.abs(at[:, 0]) - x) < _HALF)
        upper.append(np.flatnonzero(near & (blink[:, 1] < -_FALLS)))
        lower.append(np.flatnonzero(near & (blink[:, 1] > -_STAYS) & (at[:, 1] < 0)))
    return Lids(tuple(upper), tuple(lower))


def seam(mouth: Lips, weights: Float[np.ndarray, "t e"]) -> Float[np.ndarray, " t"]:
    """Returns how far lips are apart where they are nearest, millimetres, less that at rest; below 0 they pass."""
    heights = mouth.points(weights)[..., 1]
    columns = [
        heights[:, up].min(1) - heights[:, low].max(1) - (mouth.rest[up, 1].min() - mouth.rest[low, 1].max())
        for up, low in zip(mouth.upper, mouth.lower, strict=True)
    ]
    return np.stack(columns).min(0)


def lips_of(head: AnnyHead, rest: Float[np.ndarray, "v 3"]) -> Lips:
    """Returns the lips of a person with these vertices at rest, metres."""
    return replace(lips(head.name), rest=rest[head.regions["lips"].numpy() > 0.5] * 1e3)


def bearing(head: AnnyHead, identity: Float[Tensor, " s"]) -> Bearing:
    """Returns gains of expressions with which lids and lips of this head meet as they do on the mean one.

    Expressions move every head by the same millimetres: narrow eyes would close too far, lips press through each other.
    """
    gain = np.ones(len(head.expressions))
    rest, mean = head.rest(identity).double().numpy(), head.template.double().numpy()
    steps = np.linspace(1.0, _GAIN, 51)
    for side in ("left", "right"):
        rims = lids(head, side)
        for what in ("eyeBlink", "eyeSquint", "eyeLookDown"):
            row = head.expressions.index(f"{what}{side.capitalize()}")
            move = head.deltas[row].double().numpy()
            gaps = np.stack([rims.gaps(rest + s * move) for s in steps])
            if what == "eyeBlink":  # the column that closes last decides
                closed = gaps.max(1) <= -OVERLAP
                gain[row] = steps[closed].min() if closed.any() else 1.0
            else:
                gain[row] = _first(steps, gaps.min(1) >= min(0.0, float(rims.gaps(mean + move).min())))
    own, usual = lips_of(head, rest), lips_of(head, mean)
    for row, name in enumerate(head.expressions):
        if name.startswith(("mouth", "jaw", "cheek")) and name not in ("mouthClose", "jawOpen"):
            one = np.zeros((1, len(gain)))
            one[:, row] = 1.0
            least = min(0.0, float(seam(usual, one)[0])) - _MORE
            gain[row] = _first(steps, seam(own, one * steps[:, None]) >= least)
    j = len(head.joints)
    return Bearing(torch.from_numpy(gain).float(), torch.zeros(len(gain)), torch.ones(j), torch.zeros(j, 3))


def _first(steps: np.ndarray, good: np.ndarray) -> float:
    """Returns the first step that is good, or the last."""
    return float(steps[np.argmax(good)] if good.any() else steps[-1])
