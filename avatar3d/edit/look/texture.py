"""The head's texture, changed in a paint program: only what was changed there changes the avatar."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import UInt8

from avatar3d.core import Avatar, AvatarError
from avatar3d.edit.base import Edit
from avatar3d.edit.look.image import OnTexture
from avatar3d.edit.look.layer import Mix, painted
from avatar3d.edit.look.packed import pack_image, unpack_image

_FINEST = 8e-4  # metres: texels of a 1024 texture are 0.4 mm on the face


@dataclass(frozen=True)
class Texture(Edit):
    """Take over what was changed in the baked texture; `difference` makes it of two pictures."""

    kind: ClassVar[str] = "texture"

    before: str
    """The texture that was baked, PNG in base64; only changed texels matter."""
    after: str
    """The texture that came back; transparent where nothing was changed."""

    def check(self) -> None:
        before, after = self._pictures()
        if before.shape != after.shape:
            raise AvatarError(f"texture: {before.shape[:2]} texels before, {after.shape[:2]} after; give the same size")

    def _pictures(self) -> tuple[np.ndarray, np.ndarray]:
        return unpack_image(self.before, "texture: before"), unpack_image(self.after, "texture: after")

    def apply(self, avatar: Avatar) -> Avatar:
        before, after = self._pictures()
        change = np.concatenate([after[..., :3] - before[..., :3], (after[..., 3:] > 0).astype(np.float32)], -1)
        return painted(avatar, OnTexture(change), Mix("add", 1.0, _FINEST))

    @classmethod
    def examples(cls) -> Mapping[str, Edit]:
        before = np.full((64, 64, 3), 128, np.uint8)
        after = before.copy()
        after[20:30, 20:30] = (40, 90, 200)
        made = difference(before, after)
        assert made is not None
        return {"a blue patch": made}


def difference(before: UInt8[np.ndarray, "h w 3"], after: UInt8[np.ndarray, "i j 3"]) -> Texture | None:
    """Returns the edit that takes an avatar whose texture is `before` to one whose texture is `after`; None if equal.

    Raises:
        AvatarError: The sizes differ, or too much was changed for an edit to hold.
    """
    if before.shape != after.shape:
        sizes = [f"{x.shape[1]}x{x.shape[0]}" for x in (before, after)]
        raise AvatarError(f"the texture has {sizes[1]} pixels, it was baked with {sizes[0]}; do not resize it")
    changed = (before != after).any(-1)
    if not changed.any():
        return None
    old = np.where(changed[..., None], before, 0)
    new = np.where(changed[..., None], after, 0)
    new = np.concatenate([new, np.where(changed[..., None], 255, 0).astype(np.uint8)], -1)
    return Texture(pack_image(old.astype(np.uint8)), pack_image(new.astype(np.uint8)))
