"""Editing and undoing: an avatar holds what it was before its first edit, the list of edits, and their result."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from avatar3d.core import Avatar, AvatarError
from avatar3d.edit.base import Edit
from avatar3d.edit.kinds import from_json
from avatar3d.edit.on_field import on_field


def edit(avatar: Avatar, *edits: Edit | Mapping[str, Any]) -> Avatar:
    """Returns the avatar with edits done to it in order; they are added to its list.

    The same edits give the same bits, in one call or in several.

    Args:
        avatar: Edited before or not.
        edits: Values of `avatar3d.edit`'s kinds, or their JSON objects.

    Raises:
        AvatarError: An unknown kind, field or name (the nearest are named), a value out of range (the range is named),
            or an edit that this avatar cannot take.

    Example:
        >>> import avatar3d
        >>> avatar = avatar3d.load("me.a3d")                                             # doctest: +SKIP
        >>> smile = {"kind": "face", "values": {"AU12": 0.5}}
        >>> happier = avatar3d.edit(avatar, smile)                                       # doctest: +SKIP
    """
    known = [one if isinstance(one, Edit) else from_json(one) for one in edits]  # all are checked before the first
    out = avatar
    for one in known:
        out = _applied(out, one)
    return out


def undo(avatar: Avatar, count: int = 1) -> Avatar:
    """Returns the avatar as it was before its last `count` edits, to the bit.

    Raises:
        AvatarError: It has fewer edits, or does not hold what it was before them.
    """
    if not 1 <= count <= len(avatar.edits):
        many = f"{len(avatar.edits)} edit{'' if len(avatar.edits) == 1 else 's'}"
        raise AvatarError(f"cannot undo {count}: the avatar has {many}")
    if avatar.original is None:
        raise AvatarError("cannot undo: this file holds the result of its edits only; take the avatar it was made from")
    return edit(avatar.original, *avatar.edits[: len(avatar.edits) - count])


def settled(avatar: Avatar) -> Avatar:
    """Returns the avatar with its edits made final: smaller, and without anything to undo."""
    return replace(avatar, edits=(), original=None)


def _applied(avatar: Avatar, one: Edit) -> Avatar:
    before = avatar.original if avatar.edits and avatar.original is not None else replace(avatar, original=None)
    with torch.no_grad():
        changed = one.apply(avatar) if avatar.field is None else on_field(avatar, one)
    # What an avatar is called, where it comes from and what it did are not for edits to change.
    return replace(
        changed,
        head=avatar.head,
        about=avatar.about,
        motion=avatar.motion,
        edits=(*avatar.edits, one.to_json()),
        original=before,
    )
