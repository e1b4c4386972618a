"""Edits of shape: sliders, caricature, mixing, symmetry. Splats ride on the mesh, so they follow it."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from avatar3d import heads
from avatar3d.core import Avatar, AvatarError
from avatar3d.edit.base import Edit, Setting, check_range, named, ranged
from avatar3d.edit.mirror import mirrored_colours, mirrored_shape
from avatar3d.edit.reshape import reshaped
from avatar3d.edit.shape_names import NAMES, PEOPLE
from avatar3d.edit.shapes import shapes
from avatar3d.heads import AnnyHead

_WHAT = {name: what for name, _, what in NAMES}
_MOST_IDENTITY = 12.0
"""Standard deviations beyond which an identity is no person's."""


def _names() -> tuple[str, ...]:
    return (*_WHAT, *PEOPLE)


def _head(avatar: Avatar) -> AnnyHead:
    """Returns the avatar's head in its shape.

    Raises:
        AvatarError: It has no head whose shape is known.
    """
    head = heads.of(avatar)
    if not isinstance(head, AnnyHead):
        raise AvatarError("splats without a head have no shape to change; edit an avatar that was fitted to a person")
    return head


def _shape(avatar: Avatar) -> Float[Tensor, "v 3"]:
    return torch.zeros_like(_head(avatar).template) if avatar.shape is None else avatar.shape


def _person(avatar: Avatar, identity: Tensor, shape: Tensor) -> Avatar:
    if float(identity.abs().max()) > _MOST_IDENTITY:
        raise AvatarError(f"this makes a head beyond {_MOST_IDENTITY:g} standard deviations of people; ask for less")
    return reshaped(avatar, identity, shape)


@dataclass(frozen=True)
class Shape(Edit):
    """Change the shape of the head by sliders: nose, mouth, eyes, brows, cheeks, jaw, ears, neck; age and weight."""

    kind: ClassVar[str] = "shape"

    values: Mapping[str, float] = named(_names)
    """By name from -1 to 1 (`age`: years from -40 to 40); two edits of a name add up."""

    def check(self) -> None:
        for name, value in self.values.items():
            most = PEOPLE[name].most if name in PEOPLE else 1
            check_range(name, value, -most, most)

    def apply(self, avatar: Avatar) -> Avatar:
        head, shape, identity = _head(avatar), _shape(avatar), avatar.identity
        for name, value in self.values.items():
            if name in PEOPLE:
                identity = identity + value * PEOPLE[name].unit * head.slider(PEOPLE[name].slider)
            else:
                shape = shapes()[name].added_to(shape, value)
        return _person(avatar, identity, shape)

    @classmethod
    def examples(cls) -> Mapping[str, Edit]:
        return {
            "wider nose": cls({"nose_width": 1.0}),
            "shorter, upturned nose": cls({"nose_length": -0.7, "nose_tip_height": 0.6}),
            "wider jaw": cls({"jaw_width": 1.0}),
            "fuller cheeks": cls({"cheeks_fullness": 1.0}),
            "larger eyes": cls({"eyes_size": 1.0, "eyes_opening": 0.5}),
            "ears that stand off": cls({"ears_wing": 1.0}),
            "30 years older": cls({"age": 30.0}),
            "heavier": cls({"weight": 0.8}),
        }


@dataclass(frozen=True)
class Caricature(Edit):
    """Exaggerate what sets this head apart from the mean one, or take it back."""

    kind: ClassVar[str] = "caricature"

    amount: float = ranged(-1, 1, 0.5)
    """1 doubles the difference, -1 gives the mean head."""

    def apply(self, avatar: Avatar) -> Avatar:
        return _person(avatar, avatar.identity * (1 + self.amount), _shape(avatar) * (1 + self.amount))

    @classmethod
    def examples(cls) -> Mapping[str, Edit]:
        return {"caricature": cls(0.6), "towards the mean head": cls(-0.7)}


@dataclass(frozen=True)
class Mix(Edit):
    """Go towards another person's shape, as a whole or in some regions; colours stay."""

    kind: ClassVar[str] = "mix"

    identity: tuple[float, ...] = ranged(-_MOST_IDENTITY, _MOST_IDENTITY)
    """The other's identity, standard deviations; `Mix.of` takes it from an avatar."""
    amount: float = ranged(0, 1, 0.5)
    """0 this shape, 1 the other's."""
    regions: tuple[str, ...] = named(lambda: tuple(heads.load("anny").regions), ())
    """Regions of the head to take; none for the whole of it."""
    shape: str = ""
    """The other's own offsets from edits, base64 of half floats; may be empty."""

    @classmethod
    def of(cls, other: Avatar, amount: float = 0.5, regions: tuple[str, ...] = ()) -> "Mix":
        """Returns the edit that mixes in an avatar's shape; it holds all that is needed."""
        _head(other)
        offsets = "" if other.shape is None else base64.b64encode(other.shape.numpy().astype("<f2").tobytes()).decode()
        return cls(tuple(round(x, 4) for x in other.identity.tolist()), float(amount), regions, offsets)

    def apply(self, avatar: Avatar) -> Avatar:
        head = _head(avatar)
        identity, own = avatar.identity, _shape(avatar)
        if len(self.identity) != len(identity):
            raise AvatarError(f"mix: {len(self.identity)} identity numbers, this head takes {len(identity)}")
        other, offsets = torch.tensor(self.identity), self._offsets(own)
        if not self.regions:
            return _person(avatar, torch.lerp(identity, other, self.amount), torch.lerp(own, offsets, self.amount))
        change = head.rest(other) - own + offsets - head.rest(identity)
        weight = torch.stack([head.regions[name] for name in self.regions]).amax(0)
        return _person(avatar, identity, own + self.amount * weight[:, None] * change)

    def _offsets(self, like: Tensor) -> Tensor:
        if not self.shape:
            return torch.zeros_like(like)
        try:
            raw = np.frombuffer(base64.b64decode(self.shape, validate=True), "<f2").astype(np.float32)
        except (binascii.Error, ValueError) as error:
            raise AvatarError("mix: its shape is not base64 of half floats; make the edit with Mix.of") from error
        if raw.size != like.numel() or not np.isfinite(raw).all():
            raise AvatarError(f"mix: its shape holds {raw.size} numbers, this head needs {like.numel()}")
        return torch.from_numpy(raw).reshape(like.shape)

    @classmethod
    def examples(cls) -> Mapping[str, Edit]:
        someone = torch.randn(len(heads.load("anny").identities), generator=torch.Generator().manual_seed(11))
        numbers = tuple(round(x, 2) for x in someone.tolist())
        return {
            "half of another's shape": cls(numbers, 0.5),
            "another's nose": cls(numbers, 1.0, ("nose",)),
        }


@dataclass(frozen=True)
class Symmetrise(Edit):
    """Make both sides of the head alike, in shape and in colour."""

    kind: ClassVar[str] = "symmetrise"

    shape: float = ranged(0, 1, 1.0)
    """1 makes the mesh symmetric."""
    colours: float = ranged(0, 1, 1.0)
    """1 makes the colours of splats symmetric; where they are and how large stays."""
    side: Literal["both", "left", "right"] = "both"
    """`both` takes the mean; `left` and `right` copy that side of the person to the other."""

    def apply(self, avatar: Avatar) -> Avatar:
        head = _head(avatar)
        offsets = _shape(avatar)
        out = avatar
        if self.colours:
            out = replace(out, gaussians=mirrored_colours(avatar, head, self.colours, self.side))
        if self.shape:
            out = _person(out, avatar.identity, offsets + mirrored_shape(avatar, head, self.shape, self.side))
        return out

    @classmethod
    def examples(cls) -> Mapping[str, Edit]:
        return {"symmetric": cls(), "left side on both": cls(side="left")}


def settings() -> dict[str, Setting]:
    """Returns the sliders."""
    out: dict[str, Setting] = {}
    for name, what in _WHAT.items():
        reach = 1e3 * shapes()[name].reach
        out[name] = Setting(-1, 1, f"{what} (1: up to {reach:.1f} mm)", lambda v, n=name: Shape({n: v}), "shape")
    for name, person in PEOPLE.items():
        out[name] = Setting(-person.most, person.most, person.what, lambda v, n=name: Shape({n: v}), "person")
    out["caricature"] = Setting(-1, 1, "1 doubles what sets the head apart from the mean one", Caricature, "person")
    out["symmetry"] = Setting(
        0, 1, "1 makes both sides alike, in shape and colour", lambda v: Symmetrise(v, v), "person"
    )
    return out


EDITS: tuple[type[Edit], ...] = (Shape, Caricature, Mix, Symmetrise)
