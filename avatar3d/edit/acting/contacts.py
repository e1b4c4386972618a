"""Lips that meet keep meeting, whatever else is done to a performance: bounds in millimetres on the head's mesh.

An edit may open a mouth that was open, but not one that was closed for a p, and the lower lip that was at the teeth for
an f stays there. The bounds are continuous in what the lips did before, so that nothing jumps.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float

from avatar3d.core import AvatarError, Motion, first_of
from avatar3d.heads import load
from avatar3d.heads.lips import lips

_TOUCHING, _SHARE = 0.7, 0.12
"""Lips are closed below so many millimetres, or below this share of a wide opening: as `score lips` counts."""
_CLOSED = 0.5
"""Millimetres that closed lips may be apart after an edit."""
_SLACK = 2.0
"""By how much more than they were apart beyond closed lips may be opened, for each millimetre."""
_CONTACT, _MEETS = -0.5, -0.3
"""Millimetres of the lower lip above the teeth's edge: what counts as contact, and what is kept of it."""
_PAUSE, _FREE = 0.15, 15.0
"""Seconds from the ends of a closure in which it is kept; millimetres a second by which it is let go further inside:
lips that are closed or still for longer are at rest and say nothing."""
_STILL = 0.6
"""Millimetres of the gap's range within `_PAUSE` before and after of lips that are still."""
_LOSS, _OPEN = 2.5, 1.5
"""Millimetres of its gap that a closed mouth may lose (pressed lips), and, in units of what counts as closed, the gap
from which a mouth loses nothing: an open vowel that is smiled shut would be another sound."""
_OPENERS = {"jawOpen": 0.1, "mouthLowerDown": 0.3, "mouthUpperUp": 0.2}
"""What opens a mouth again: the most of it."""
_STEPS = 14
"""Bisections: the change is found to 1 / 8192."""
PARTING = ("jawOpen", "jawForward", "mouthLowerDown", "mouthUpperUp", "mouthFunnel", "mouthShrugUpper", "tongueOut")
"""Expressions that part the lips: the first to give way."""


@dataclass(frozen=True)
class Bounds:
    """What lips have to keep to, frame by frame."""

    gap: Float[np.ndarray, " t"]
    """Millimetres that the lips may be apart."""
    low: Float[np.ndarray, " t"]
    """Millimetres that they have to be apart: open sounds stay open."""
    teeth: Float[np.ndarray, " t"]
    """Millimetres that the lower lip has to reach above the upper teeth's edge."""


def bounds_of(motion: Motion, head: str = "anny") -> Bounds:
    """Returns what an edited performance has to keep of what this one's lips do.

    Raises:
        AvatarError: The motion lacks an expression of the head.
    """
    measure, weights = lips(head), in_order(motion, head)
    gap, teeth = measure.gap(weights), measure.over_teeth(weights)
    closed = closed_at(gap)
    high = np.maximum(gap, _CLOSED) + _SLACK * np.maximum(gap - closed, 0.0)
    free = _FREE * np.maximum(_depth((gap <= closed) | _still(gap, motion.fps)) / motion.fps - _PAUSE, 0.0)
    low = gap - _LOSS * np.clip(1 - gap / (_OPEN * closed), 0.0, 1.0)
    meets = np.minimum(teeth, _MEETS) - _SLACK * np.maximum(_CONTACT - teeth, 0.0)
    return Bounds(high + free, low, meets - free)


def kept(motion: Motion, bounds: Bounds, calm: Motion | None = None, head: str = "anny") -> Motion:
    """Returns the motion with its mouth brought back wherever the lips break the bounds, no further than they ask.

    Jaw and lips open again a mouth that was shut. Of a mouth that was opened, first what parts the lips goes back
    towards `calm`, then the rest.

    Args:
        motion: Edited.
        bounds: Of the same frames.
        calm: A motion that keeps the bounds: what was edited. Without it, the mouth at rest.
        head: Name of the head model.

    Raises:
        AvatarError: Motions of different lengths, or expressions that are not the head's.
    """
    if len(bounds.gap) != len(motion) or (calm is not None and len(calm) != len(motion)):
        raise AvatarError(f"{len(motion)} frames cannot keep to the lips of {len(bounds.gap)}")
    measure, names = lips(head), load(head).expressions
    given = _opened(in_order(motion, head), bounds, head)
    back = in_order(calm, head) if calm is not None else np.where(_starts(names, MOUTH), 0.0, given)

    def broken(weights: np.ndarray, at: np.ndarray) -> np.ndarray:
        return (measure.gap(weights) > bounds.gap[at] + 1e-6) | (measure.over_teeth(weights) < bounds.teeth[at] - 1e-6)

    at = np.flatnonzero(broken(given, np.arange(len(given))))
    parting, mouth = _starts(names, PARTING), _starts(names, MOUTH)

    def moved(share: np.ndarray) -> np.ndarray:
        """Returns the frames for shares in [0, 2]: what parts the lips goes back first, then all of the mouth."""
        first, second = np.clip(share, 0, 1)[:, None], np.clip(share - 1, 0, 1)[:, None]
        part = np.where(parting, first, 0.0)
        part = np.where(mouth, np.maximum(part, second), 0.0)
        return given[at] + part * (back[at] - given[at])

    out = given.copy()
    out[at] = moved(2 * _least(lambda share: ~broken(moved(2 * share), at), len(at)))
    return with_weights(motion, out, head)


def with_weights(motion: Motion, weights: Float[np.ndarray, "t e"], head: str = "anny") -> Motion:
    """Returns the motion with other weights, given in the head's order; those that are the same keep their bits."""
    names = tuple(load(head).expressions)
    columns = [at for at, name in enumerate(motion.names) if name in names]
    order = [names.index(motion.names[at]) for at in columns]
    old = motion.pose.expression
    expression = old.clone()
    same = torch.from_numpy(weights[:, order]) == old[:, columns].double()
    expression[:, columns] = torch.where(same, old[:, columns], torch.from_numpy(weights[:, order]).to(old))
    return replace(motion, pose=replace(motion.pose, expression=expression))


MOUTH = ("mouth", "jaw", "tongue", "cheekPuff")
"""How the expressions begin that move lips."""


def in_order(motion: Motion, head: str = "anny") -> Float[np.ndarray, "t e"]:
    """Returns the weights in the head's order, as float64.

    Raises:
        AvatarError: An expression of the head is missing.
    """
    if motion.names == tuple(load(head).expressions):
        return motion.pose.expression.double().numpy()
    order = [first_of(motion.names, name) for name in load(head).expressions]
    return motion.pose.expression.double().numpy()[:, order]


def closed_at(gap: Float[np.ndarray, " t"]) -> float:
    """Returns the gap in millimetres below which lips count as closed in a performance."""
    return max(_TOUCHING, _SHARE * float(np.percentile(gap, 90))) if len(gap) else _TOUCHING


def _opened(weights: np.ndarray, bounds: Bounds, head: str) -> np.ndarray:
    """Returns weights with jaw and lips opened where the mouth lost too much of its gap."""
    measure, names = lips(head), tuple(load(head).expressions)
    at = np.flatnonzero(measure.gap(weights) < bounds.low - 1e-6)
    more = np.array([next((v for n, v in _OPENERS.items() if name.startswith(n)), 0.0) for name in names])
    out = weights.copy()
    share = _least(lambda x: measure.gap(weights[at] + x[:, None] * more) >= bounds.low[at], len(at))
    out[at] = np.minimum(weights[at] + share[:, None] * more, np.maximum(weights[at], 1.0))
    return out


def _least(enough: Callable[[np.ndarray], np.ndarray], count: int) -> np.ndarray:
    """Returns the least share in [0, 1] that is enough, by bisection; 1 where none is known to be."""
    low, high = np.zeros(count), np.ones(count)
    for _ in range(_STEPS if count else 0):
        middle = (low + high) / 2
        fine = enough(middle)
        low, high = np.where(fine, low, middle), np.where(fine, middle, high)
    return high


def _starts(names: tuple[str, ...], starts: tuple[str, ...]) -> np.ndarray:
    return np.array([name.startswith(starts) for name in names])


def _still(gap: np.ndarray, fps: float) -> np.ndarray:
    reach = max(1, round(_PAUSE * fps))
    near = np.lib.stride_tricks.sliding_window_view(np.pad(gap, reach, mode="edge"), 2 * reach + 1)
    return np.asarray(near.max(1) - near.min(1) < _STILL)


def _depth(shut: np.ndarray) -> np.ndarray:
    """Returns for each frame how many frames it lies inside a run of closed ones; the ends of the motion are none."""
    count = len(shut)
    before, after = np.zeros(count), np.zeros(count)
    run = float(count)
    for t in range(count):
        run = run + 1 if shut[t] else 0.0
        before[t] = run
    run = float(count)
    for t in range(count - 1, -1, -1):
        run = run + 1 if shut[t] else 0.0
        after[t] = run
    return np.where(shut, np.minimum(before, after), 0.0)
