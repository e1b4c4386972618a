"""Which head models there are, and loading one by name."""

from collections.abc import Callable
from functools import cache

from avatar3d.core import Avatar, HeadModel, first_of
from avatar3d.heads import anny, scene

_LOADERS: dict[str, Callable[[], HeadModel]] = {"anny": anny.load}
_OTHERS: dict[str, Callable[[], HeadModel]] = {scene.NAME: scene.load}  # what files may ride on, but nobody fits to


def names() -> tuple[str, ...]:
    """Returns the names of heads to fit on; `load` knows "scene" besides, for splats without a head."""
    return tuple(_LOADERS)


@cache
def load(name: str = "anny") -> HeadModel:
    """Returns a head model by name; each is read once a process and shared, so treat it as a constant.

    Raises:
        AvatarError: No head model has this name.

    >>> head = load("anny")
    >>> head.joints
    ('neck', 'head', 'eye_left', 'eye_right', 'clavicle_left', 'clavicle_right')
    """
    known = _LOADERS | _OTHERS
    first_of(tuple(known), name)
    return known[name]()


def of(avatar: Avatar) -> HeadModel:
    """Returns the head that an avatar rides on, in the shape that edits gave it: use this wherever there is an avatar.

    Raises:
        AvatarError: No head model has this name, or the shape belongs to another version of it.
    """
    head = load(avatar.head)
    return head if avatar.shape is None else head.reshaped(avatar.shape)
