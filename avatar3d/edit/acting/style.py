"""Manner of a performance as statistics, and their transfer: how large, how quick, how often, how crooked.

    styled(performance, style_of(reference), 0.8)

A style is some hundred numbers: of each weight its neutral, and how much it moves slowly and quickly (so speed and
asymmetry are in it); of the head how much it turns slowly and nods quickly; blinks and nods a minute. What is said
stays: the transfer scales what a performance does about its neutral, and lips that met still meet.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from scipy.signal import find_peaks

from avatar3d import geometry
from avatar3d.core import AvatarError, Motion
from avatar3d.edit.acting import blinks
from avatar3d.edit.acting.contacts import MOUTH, bounds_of, in_order, kept, with_weights
from avatar3d.heads import load
from avatar3d.motions.neutral import neutral_of
from avatar3d.motions.smooth import whittaker

_CUT = {True: 2.0, False: 0.7}
"""Hz between slow and quick: of the mouth, and of the rest."""
_LEAST_WEIGHT, _LEAST_TURN = 0.01, 0.004
"""Standard deviations (weights; radians) below which there is no manner, only noise."""
_MOST = {True: 1.8, False: 3.0}
"""Factors that a transfer goes to at most (and their inverses): of the mouth, which has to stay readable, and of the
rest."""
_FRAMES = 25
"""Frames below which there are no statistics."""
_NOD, _SHAKE = 0.03, 5.0
"""Radians of quick pitch from peak to trough that make a nod, and Hz above which it is a tracker's tremor."""
_TURNS = ("neck", "head")
_AXES = ("pitch", "yaw", "roll")


@dataclass(frozen=True)
class Style:
    """The manner of one performance. Mappings are by ARKit name, or by axis of the head."""

    neutral: Mapping[str, float]
    slow: Mapping[str, float]
    """Standard deviation of what is slower than 2 Hz (mouth) or .7 Hz."""
    quick: Mapping[str, float]
    """Standard deviation of the rest."""
    head_slow: Mapping[str, float]
    """Radians, for pitch, yaw and roll."""
    head_quick: Mapping[str, float]
    blinks: float
    """A minute."""
    nods: float
    """A minute."""

    def as_json(self) -> dict:
        """Returns plain data."""
        return asdict(self)


def style_of(motion: Motion, head: str = "anny") -> Style:
    """Returns the manner of a performance.

    Raises:
        AvatarError: Fewer than 25 frames, or an expression of the head is missing.
    """
    if len(motion) < _FRAMES:
        raise AvatarError(f"style: {len(motion)} frames; {_FRAMES} or more are needed, better ten seconds")
    names = _names(head)
    weights, turns = in_order(motion, head), _turns(motion, head)
    calm = dict(zip(motion.names, neutral_of(motion).expression.double().tolist(), strict=True))
    slow = _slow(weights, names, motion.fps)
    head_slow = whittaker(turns, np.zeros(len(turns), bool), _CUT[False] / motion.fps)
    used = [at for at, name in enumerate(names) if not name.startswith(("eyeBlink", "eyeLook"))]
    return Style(
        {names[at]: calm[names[at]] for at in used},
        {names[at]: float(slow[:, at].std()) for at in used},
        {names[at]: float((weights - slow)[:, at].std()) for at in used},
        dict(zip(_AXES, head_slow.std(0).tolist(), strict=True)),
        dict(zip(_AXES, (turns - head_slow).std(0).tolist(), strict=True)),
        blinks.rate(motion),
        60 * _nods((turns - head_slow)[:, :1], motion.fps) * motion.fps / len(motion),
    )


def distance(one: Style, other: Style) -> float:
    """Returns how unlike two manners are: 0 for the same, 1 where amplitudes differ by a factor of e throughout.

    Root of the mean over parts (neutral in units of .1, slow and quick of each weight, the head's, blinks, nods), rates
    and amplitudes as logarithms of ratios.
    """
    parts = [
        _mean([(one.neutral[n] - other.neutral[n]) / 0.1 for n in one.neutral]),
        _ratios(one.slow, other.slow, _LEAST_WEIGHT),
        _ratios(one.quick, other.quick, _LEAST_WEIGHT),
        _ratios(one.head_slow, other.head_slow, _LEAST_TURN),
        _ratios(one.head_quick, other.head_quick, _LEAST_TURN),
        np.log((one.blinks + 3) / (other.blinks + 3)) ** 2,
        np.log((one.nods + 6) / (other.nods + 6)) ** 2,
    ]
    return float(np.sqrt(np.mean(parts)))


def styled(motion: Motion, style: Style, strength: float | int = 1.0, seed: int = 0, head: str = "anny") -> Motion:
    """Returns a performance in the manner of another.

    Args:
        motion: What is done; at least 25 frames.
        style: The manner.
        strength: 0 for the motion as it is, 1 for as much of the manner as its limits allow, up to 2 for more.
        seed: Of the places of new blinks.
        head: Name of the head model.

    Raises:
        AvatarError: Too few frames, or a strength out of range.
    """
    if not 0 <= strength <= 2:
        raise AvatarError(f"style: strength {strength}; give a number from 0 to 2")
    if strength == 0:
        return motion
    own, names = style_of(motion, head), _names(head)
    weights = in_order(motion, head)
    slow = _slow(weights, names, motion.fps)
    out = weights.copy()
    for at, name in enumerate(names):
        if name not in own.neutral:
            continue
        most = _MOST[name.startswith(MOUTH)]
        start = own.neutral[name]
        gain_slow = _gain(own.slow[name], style.slow[name], _LEAST_WEIGHT, strength, most)
        gain_quick = _gain(own.quick[name], style.quick[name], _LEAST_WEIGHT, strength, most)
        change = gain_slow * (slow[:, at] - start) + gain_quick * (weights[:, at] - slow[:, at])
        out[:, at] = start + strength * (style.neutral[name] - start) + change
    done = with_weights(motion, out.clip(0, 1), head)
    done = _turned(done, own, style, strength, head)
    wanted = own.blinks + min(strength, 1.0) * (style.blinks - own.blinks)
    done = blinks.with_rate(done, wanted, seed)
    bounds = bounds_of(motion, head)  # a mumbler opens less: only contacts are kept
    return kept(done, replace(bounds, low=np.full(len(motion), -np.inf)), motion, head)


def _turned(motion: Motion, own: Style, style: Style, strength: float, head: str) -> Motion:
    """Returns the motion with turns of neck and head made larger or smaller about their mean, by axis and speed."""
    names = load(head).joints
    joints = motion.pose.joints.double()
    out = joints.clone()
    for name in _TURNS:
        at = names.index(name)
        curves = joints[:, at].numpy()
        slow = whittaker(curves, np.zeros(len(curves), bool), _CUT[False] / motion.fps)
        mean = curves.mean(0)
        gains = [
            np.array([_gain(mine[a], its[a], _LEAST_TURN, strength, _MOST[False]) for a in _AXES])
            for mine, its in ((own.head_slow, style.head_slow), (own.head_quick, style.head_quick))
        ]
        out[:, at] = torch.from_numpy(mean + gains[0] * (slow - mean) + gains[1] * (curves - slow))
    return replace(motion, pose=replace(motion.pose, joints=out.to(motion.pose.joints)))


def _gain(mine: float, its: float, least: float, strength: float, most: float) -> float:
    """Returns the factor that brings an amplitude to another's; what stands still is not blown up."""
    if mine < least:
        return 1.0
    return float(np.clip((max(its, least / 3) / mine) ** strength, 1 / most, most))


def _turns(motion: Motion, head: str) -> Float[np.ndarray, "t 3"]:
    """Returns how the head is turned against the torso, neck and head together, as rotation vectors from the mean."""
    names = load(head).joints
    matrices = [geometry.rotvec_to_matrix(motion.pose.joints[:, names.index(n)].double()) for n in _TURNS]
    whole = matrices[0] @ matrices[1]
    middle = geometry.rotvec_to_matrix(geometry.matrix_to_rotvec(whole).mean(0))
    return geometry.matrix_to_rotvec(middle.mT @ whole).numpy()


def _slow(weights: np.ndarray, names: tuple[str, ...], fps: float) -> np.ndarray:
    out = np.empty_like(weights)
    mouth = np.array([name.startswith(MOUTH) for name in names])
    for part in (True, False):
        columns = mouth == part
        out[:, columns] = whittaker(weights[:, columns], np.zeros(len(weights), bool), _CUT[part] / fps)
    return out


def _nods(pitch: Float[np.ndarray, "t 1"], fps: float) -> int:
    """Returns how many peaks stand out by `_NOD` on both sides."""
    return len(find_peaks(whittaker(pitch, np.zeros(len(pitch), bool), _SHAKE / fps)[:, 0], prominence=_NOD)[0])


def _names(head: str) -> tuple[str, ...]:
    return tuple(load(head).expressions)


def _ratios(one: Mapping[str, float], other: Mapping[str, float], least: float) -> float:
    return _mean([np.log(max(one[n], least) / max(other[n], least)) for n in one])


def _mean(values: list) -> float:
    return float(np.mean(np.square(values)))
