"""Edits of expression and pose: what the avatar shows in every pose and through every motion (`core.Bearing`)."""

import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from avatar3d import heads
from avatar3d.core import Avatar, AvatarError, Bearing, HeadModel, first_of
from avatar3d.edit.acting import units
from avatar3d.edit.base import Edit, Setting, check_range, named, ranged
from avatar3d.heads import ARKIT
from avatar3d.render.path import TURNS

_PARTS: Mapping[str, tuple[str, ...]] = {
    "brows": ("brow",),
    "cheeks": ("cheek", "noseSneer"),
    "eyelids": ("eyeBlink", "eyeSquint", "eyeWide"),
    "gaze": ("eyeLook",),
    "jaw": ("jaw",),
    "mouth": ("mouth", "tongue"),
}
"""Beginnings of the weights of each part of the face."""
_OPENERS = ("jaw", "mouthClose", "mouthFunnel", "mouthLowerDown", "mouthUpperUp", "mouthShrug", "tongueOut")
"""Weights that part the lips, or (mouthClose) follow the jaw so that they meet; at 0 the lips meet."""
_NEAREST = 0.05
"""Metres before the eyes that a gaze target must be."""


def _pairs() -> dict[str, tuple[str, ...]]:
    """Returns names of both sides: "eyeBlink" for eyeBlinkLeft and eyeBlinkRight."""
    stems = [name.removesuffix("Left") for name in ARKIT if name.endswith("Left")]
    return {stem: (f"{stem}Left", f"{stem}Right") for stem in stems if stem not in ("jaw", "mouth")}


_SIDES = _pairs()


@cache
def _unit_names() -> dict[str, str]:
    """Returns what each FACS unit is called that can be shown; "AU12L" and "AU12R" for one side."""
    out = {}
    for name, unit in units.table().items():
        for one in (name, f"{name}L", f"{name}R"):
            with contextlib.suppress(AvatarError):
                if units.weights({one: 1.0}) or any(units.turn({one: 1.0})):
                    out[one] = unit.title
    return out


def _face_names() -> tuple[str, ...]:
    return (*ARKIT, *_SIDES, *TURNS, *_unit_names())


def _gain_names() -> tuple[str, ...]:
    return ("all", *_PARTS, "head", *ARKIT, *_SIDES)


def _start(avatar: Avatar, head: HeadModel) -> Bearing:
    """Returns a copy of the avatar's bearing to change, or one that changes nothing."""
    if not head.expressions:
        raise AvatarError("splats without a head have no expression and no pose to edit")
    if avatar.bearing is not None:
        return avatar.bearing.map(torch.clone)
    e, j = len(head.expressions), len(head.joints)
    return Bearing(torch.ones(e), torch.zeros(e), torch.ones(j), torch.zeros(j, 3))


def _rows(head: HeadModel, names: tuple[str, ...]) -> list[int]:
    return [first_of(head.expressions, name) for name in names]


@dataclass(frozen=True)
class Face(Edit):
    """Add to the expression and pose of the face in every pose: ARKit weights, FACS units, angles of head and eyes.

    Two of them add up. With `hold` values stand instead of what a motion says.
    """

    kind: ClassVar[str] = "face"

    values: Mapping[str, float | str]
    """By name: ARKit weights from -1 to 1 (`eyeBlink` for both sides), FACS units from -1 to 1 or A to E (`AU12`,
    `AU12L`), `headYaw`, `headPitch`, `headRoll`, `gazeYaw`, `gazePitch` in degrees."""
    hold: float = ranged(0, 1, 0.0)
    """How much the named values stand instead of what a motion says: 0 they are added to it, 1 they replace it."""

    def check(self) -> None:
        for name, value in self.values.items():
            if name in TURNS:
                check_range(name, self._number(name), -TURNS[name].limit, TURNS[name].limit)
            elif name in ARKIT or name in _SIDES:
                check_range(name, self._number(name), -1, 1)
            elif name[:2] in ("AU", "au") or name[:1].isdigit():
                units.weights({name: abs(value) if isinstance(value, float | int) else value})
            else:
                first_of(_face_names(), name)

    def _number(self, name: str) -> float | int:
        value = self.values[name]
        if isinstance(value, str):
            raise AvatarError(f"{name} is '{value}'; letters are for FACS units, give a number")
        return value

    def apply(self, avatar: Avatar) -> Avatar:
        head = heads.of(avatar)
        bearing = _start(avatar, head)
        added, turned = torch.zeros(len(head.expressions)), torch.zeros(len(head.joints), 3)
        held, stopped = torch.zeros(len(head.expressions)), torch.zeros(len(head.joints))
        for name, value in self.values.items():
            if name in TURNS:
                turn = TURNS[name]
                for joint, share in turn.joints.items():
                    at = first_of(head.joints, joint)
                    turned[at] += torch.tensor(turn.axis) * math.radians(self._number(name)) * share
                    stopped[at] = 1
                continue
            if name in ARKIT or name in _SIDES:
                weights = dict.fromkeys(_SIDES.get(name, (name,)), self._number(name))
            else:
                sign = -1.0 if isinstance(value, float | int) and value < 0 else 1.0
                unit = {name: abs(value) if isinstance(value, float | int) else value}
                weights = {n: sign * w for n, w in units.weights(unit).items()}
                turned[first_of(head.joints, "head")] += sign * torch.tensor(units.turn(unit))
            for weight, amount in weights.items():
                at = first_of(head.expressions, weight)
                added[at] += amount
                held[at] = 1
        held, stopped = held * self.hold, stopped * self.hold
        bearing = Bearing(
            bearing.gain * (1 - held),
            (bearing.offset * (1 - held) + added).clamp(-1, 1),
            bearing.swing * (1 - stopped),
            bearing.turn * (1 - stopped[:, None]) + turned,
        )
        return replace(avatar, bearing=bearing)

    @classmethod
    def examples(cls) -> Mapping[str, Edit]:
        return {
            "jaw open by .3": cls({"jawOpen": 0.3}),
            "AU12 at C": cls({"AU12": "C"}),
            "head turned and tilted": cls({"headYaw": 20.0, "headRoll": 10.0}),
            "gaze to the left": cls({"gazeYaw": 20.0}),
            "wink, held": cls({"eyeBlinkLeft": 1.0}, hold=1.0),
        }


@dataclass(frozen=True)
class Gain(Edit):
    """Show expressions and turns of the head stronger or weaker than a motion has them."""

    kind: ClassVar[str] = "gain"

    values: Mapping[str, float] = named(_gain_names)
    """Factors from 0 to 3 by name: an ARKit weight, `brows`, `cheeks`, `eyelids`, `gaze`, `jaw`, `mouth`, `head` (its
    turns), or `all` weights."""

    def check(self) -> None:
        for name, value in self.values.items():
            check_range(f"gain of {name}", value, 0, 3)

    def apply(self, avatar: Avatar) -> Avatar:
        head = heads.of(avatar)
        bearing = _start(avatar, head)
        for name, value in self.values.items():
            if name == "head":
                bearing.swing[[first_of(head.joints, joint) for joint in ("neck", "head")]] *= value
                continue
            if name == "gaze":
                bearing.swing[[first_of(head.joints, joint) for joint in ("eye_left", "eye_right")]] *= value
            starts = ("",) if name == "all" else _PARTS.get(name, ())
            chosen = [x for x in head.expressions if starts and x.startswith(starts)]
            bearing.gain[_rows(head, tuple(chosen) or _SIDES.get(name, (name,)))] *= value
        return replace(avatar, bearing=bearing)

    @classmethod
    def examples(cls) -> Mapping[str, Edit]:
        return {"half the mouth's motion": cls({"mouth": 0.5, "jaw": 0.5})}


@dataclass(frozen=True)
class Close(Edit):
    """Close lips and lids, whatever a motion says."""

    kind: ClassVar[str] = "close"

    lips: float = ranged(0, 1, 0.0)
    """1 keeps the lips together, .5 lets them part half as far."""
    left_lid: float = ranged(0, 1, 0.0)
    """Of the person's left eye: 1 keeps it closed."""
    right_lid: float = ranged(0, 1, 0.0)
    """Of the person's right eye."""

    def apply(self, avatar: Avatar) -> Avatar:
        head = heads.of(avatar)
        bearing = _start(avatar, head)
        openers = _rows(head, tuple(name for name in head.expressions if name.startswith(_OPENERS)))
        bearing.gain[openers] *= 1 - self.lips
        bearing.offset[openers] *= 1 - self.lips
        for side, amount in (("Left", self.left_lid), ("Right", self.right_lid)):
            blink = first_of(head.expressions, f"eyeBlink{side}")
            others = _rows(head, tuple(f"eye{what}{side}" for what in ("Wide", "Squint")))
            bearing.gain[[blink, *others]] *= 1 - amount
            bearing.offset[[blink, *others]] *= 1 - amount
            bearing.offset[blink] += amount
        return replace(avatar, bearing=bearing)

    @classmethod
    def examples(cls) -> Mapping[str, Edit]:
        return {"lips together": cls(lips=1.0), "left eye closed": cls(left_lid=1.0)}


@dataclass(frozen=True)
class GazeAt(Edit):
    """Look at a point that moves with the head, with both eyes; upper lids follow."""

    kind: ClassVar[str] = "gaze_at"

    point: tuple[float, float, float] = ranged(-100, 100)
    """Metres in head space: x to the person's left, y up, z forward from between the eyes."""
    hold: float = ranged(0, 1, 1.0)
    """How much it stands instead of a motion's own gaze: 0 turns that gaze, 1 replaces it."""

    def check(self) -> None:
        if self.point[2] < _NEAREST:
            raise AvatarError(
                f"gaze_at: the point's z is {self.point[2]:g} m; give a point before the eyes, from 0.05 m"
            )

    def apply(self, avatar: Avatar) -> Avatar:
        head = heads.of(avatar)
        bearing = _start(avatar, head)
        at = [first_of(head.joints, name) for name in ("eye_left", "eye_right")]
        rest = head.joint_transforms(avatar.identity, _rest(head))[at]  # checks the identity; at rest these are 1
        turns = _aim(torch.tensor(self.point) - head.rest_joints(avatar.identity)[at].to(rest))  # type: ignore[attr-defined]
        for axis, turn in zip(at, turns, strict=True):
            bearing.swing[axis] *= 1 - self.hold
            bearing.turn[axis] *= 1 - self.hold
            bearing.turn[axis] += turn
        looks = [i for i, name in enumerate(head.expressions) if name.startswith("eyeLook")]
        bearing.gain[looks] *= 1 - self.hold
        bearing.offset[looks] *= 1 - self.hold
        _lids_follow(head, bearing, turns, at)
        return replace(avatar, bearing=bearing)

    @classmethod
    def examples(cls) -> Mapping[str, Edit]:
        return {"looking at the nose's tip": cls((0.0, -0.04, 0.12)), "looking down left": cls((0.3, -0.25, 0.6))}


def _rest(head: HeadModel):
    from avatar3d.render.path import neutral

    return neutral(head)


def _aim(towards: Float[Tensor, "2 3"]) -> Float[Tensor, "2 3"]:
    """Returns the rotation vectors that turn +z towards directions, about axes across the sight (Listing's law)."""
    direction = towards / towards.norm(dim=-1, keepdim=True)
    ahead = torch.tensor([0.0, 0.0, 1.0]).expand_as(direction)
    axis = torch.linalg.cross(ahead, direction)
    sine = axis.norm(dim=-1, keepdim=True)
    return axis / sine.clamp(min=1e-9) * torch.atan2(sine, direction[:, 2:])


def _lids_follow(head: HeadModel, bearing: Bearing, turns: Float[Tensor, "2 3"], at: list[int]) -> None:
    """Moves the up and down part of a gaze from the eye joints to the weights that move the lids, too; in place."""
    for side, (axis, turn) in enumerate(zip(at, turns, strict=True)):
        name = ("Left", "Right")[side]
        for look in (f"eyeLookUp{name}", f"eyeLookDown{name}"):
            row = first_of(head.expressions, look)
            full = head.gaze[row, side]  # type: ignore[attr-defined]
            weight = float((turn @ full) / (full @ full)) if float(full @ full) > 0 else 0.0
            weight = min(max(weight, 0.0), 1.0 - float(bearing.offset[row].clamp(min=0)))
            bearing.offset[row] += weight
            bearing.turn[axis] -= weight * full


def settings() -> dict[str, Setting]:
    """Returns the numbers of expression and pose."""
    out: dict[str, Setting] = {}
    for name in (*ARKIT, *_SIDES):
        what = "both sides" if name in _SIDES else "ARKit weight"
        out[name] = Setting(-1, 1, what, lambda v, n=name: Face({n: v}), "expression")
    for name, turn in TURNS.items():
        out[name] = Setting(-turn.limit, turn.limit, "degrees", lambda v, n=name: Face({n: v}), "pose")
    for name, title in _unit_names().items():
        out[name] = Setting(-1, 1, title, lambda v, n=name: Face({n: v}), "action units")
    out["lips_closed"] = Setting(0, 1, "1 keeps the lips together", lambda v: Close(lips=v), "expression")
    out["lids_closed"] = Setting(
        0, 1, "1 keeps both eyes closed", lambda v: Close(left_lid=v, right_lid=v), "expression"
    )
    return out


EDITS: tuple[type[Edit], ...] = (Face, Gain, Close, GazeAt)
