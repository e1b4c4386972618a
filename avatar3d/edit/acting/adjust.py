"""Weights of a performance one by one: gain, offset, smoothing, clamp, and a neutral that is taken out."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from avatar3d import geometry
from avatar3d.core import AvatarError, Motion, first_of
from avatar3d.edit.acting import units
from avatar3d.edit.acting.contacts import bounds_of, in_order, kept, with_weights
from avatar3d.heads import load
from avatar3d.motions.blend import REGIONS, region_of
from avatar3d.motions.neutral import Neutral, neutral_of
from avatar3d.motions.smooth import closed_lips, part_of, whittaker

_SHUT = 0.6
"""eyeBlink from which lids are closed: smoothing leaves them so."""


@dataclass(frozen=True)
class Adjustment:
    """What is done to a weight, in this order."""

    gain: float | int = 1.0
    """Factor, -4 to 4."""
    offset: float | int = 0.0
    """Added, -1 to 1."""
    smooth: float | int = 0.0
    """Cut-off in Hz: slower motion passes; 0 for no smoothing."""
    low: float | int = 0.0
    high: float | int = 1.0
    """Where the weight is cut."""

    def check(self, name: str) -> None:
        """Raises an `AvatarError` for a number out of range."""
        for key, least, most in (("gain", -4, 4), ("offset", -1, 1), ("smooth", 0, 100), ("low", 0, 1), ("high", 0, 1)):
            value = getattr(self, key)
            if not least <= value <= most:
                raise AvatarError(f"{name}: {key} is {value}; give a number from {least} to {most}")
        if self.low > self.high:
            raise AvatarError(f"{name}: clamp from {self.low} to {self.high}; the first must be the lower one")


def names_of(text: str) -> tuple[str, ...]:
    """Returns the ARKit weights that a name means: itself, both sides, a region, or an action unit.

    Raises:
        AvatarError: An unknown name; the nearest are named.

    >>> names_of("mouthSmile")
    ('mouthSmileLeft', 'mouthSmileRight')
    """
    known = load("anny").expressions
    if text in known:
        return (text,)
    if units.is_unit(text):
        return tuple(units.weights({text: 1.0}))
    both = tuple(name for name in known if name in (text + "Left", text + "Right"))
    region = tuple(name for name in known if region_of(name) == text)
    if not both and not region:
        first_of((*known, *(r for r in REGIONS if r not in ("head", "body"))), text)
    return region or both


def adjusted(motion: Motion, by: Mapping[str, Adjustment], contacts: bool = True, head: str = "anny") -> Motion:
    """Returns the motion with weights adjusted; weights that no name means keep their bits.

    Args:
        motion: Any.
        by: Adjustments by name (`names_of`); where names overlap they follow each other.
        contacts: Keep the lips together where they were.
        head: Name of the head model.

    Raises:
        AvatarError: An unknown name or a number out of range.
    """
    names = tuple(load(head).expressions)
    weights = in_order(motion, head).copy()
    touched = np.zeros(len(names), bool)
    for text, change in by.items():
        change.check(text)
        for name in names_of(text):
            at = names.index(name)
            curve = change.gain * weights[:, at] + change.offset
            if change.smooth and len(motion) >= 3:
                curve = whittaker(curve[:, None], _held(motion, name, head), change.smooth / motion.fps)[:, 0]
            weights[:, at] = curve.clip(change.low, change.high)
            touched[at] = True
    out = with_weights(motion, np.where(touched, weights, in_order(motion, head)), head)
    if contacts and any(names[at].startswith(("mouth", "jaw", "cheek", "tongue")) for at in np.flatnonzero(touched)):
        return kept(out, replace(bounds_of(motion, head), low=np.full(len(motion), -np.inf)), motion, head)
    return out


def recentred(motion: Motion, neutral: Neutral | None = None) -> Motion:
    """Returns somebody else's motion as changes from their neutral: what a face at rest would do.

    Args:
        motion: Any.
        neutral: The person's; by default found in the motion.
    """
    start, pose = neutral or neutral_of(motion), motion.pose
    expression = (pose.expression - start.expression.to(pose.expression)).clamp(0, 1)
    turned = geometry.rotvec_to_matrix(start.joints.to(pose.joints)).mT @ geometry.rotvec_to_matrix(pose.joints)
    root = geometry.rigid_inverse(start.root.to(pose.root)) @ pose.root
    pose = replace(pose, expression=expression, joints=geometry.matrix_to_rotvec(turned), root=root)
    return replace(motion, pose=pose)


def _held(motion: Motion, name: str, head: str) -> Bool[np.ndarray, " t"]:
    """Returns the frames whose closed lips or lids smoothing has to leave."""
    if part_of(name) == "mouth":
        return closed_lips(motion, head)
    if part_of(name) == "eyes":
        lids = [motion.names.index(n) for n in motion.names if n.startswith("eyeBlink")]
        values: Float[np.ndarray, "t 2"] = motion.pose.expression[:, lids].double().numpy()
        return np.asarray((values > _SHUT).any(1))
    return np.zeros(len(motion), bool)
