"""The register of edits: which kinds there are, and which names `--set` knows.

A module of edits lists its classes in `EDITS` and its numbers by name in `settings()`, and is named here.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from avatar3d.core import first_of
from avatar3d.edit import bearing, shape
from avatar3d.edit.base import Edit, Setting, read
from avatar3d.edit.look import kinds as look

_MODULES = (bearing, shape, look)

KINDS: Mapping[str, type[Edit]] = {kind.kind: kind for module in _MODULES for kind in module.EDITS}
"""By name in files."""


def from_json(value: Any, where: str = "edit") -> Edit:
    """Returns the edit that a JSON object holds.

    Raises:
        AvatarError: Not an object, an unknown kind or field (the nearest are named), a field missing, a wrong type, or
            out of range.
    """
    return read(KINDS, value, where)


@cache
def settings() -> Mapping[str, Setting]:
    """Returns all numbers that `avatar3d edit --set name=value` knows."""
    out: dict[str, Setting] = {}
    for module in _MODULES:
        out |= module.settings()
    return out


def setting(name: str, value: float | int) -> Edit:
    """Returns the edit that sets one number.

    Raises:
        AvatarError: An unknown name (the nearest are named), or out of range (the range is named).

    >>> setting("mouthSmileLeft", 0.25).to_json()
    {'kind': 'face', 'values': {'mouthSmileLeft': 0.25}}
    """
    known = settings()
    first_of(tuple(known), name)
    return known[name].at(name, value)
