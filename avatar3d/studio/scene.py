"""What there is to see at one moment, and what an avatar remembers of cameras."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from avatar3d import geometry
from avatar3d.core import Avatar, Camera, Pose
from avatar3d.studio.cameras import Keyframe
from avatar3d.studio.source import Source


@dataclass(frozen=True)
class Scene:
    """What there is to see at one moment: everything that a picture needs, and nothing that changes."""

    avatar: Avatar
    pose: Pose
    """In the studio's world: a head at rest stands at the origin and looks along +z."""
    opened: Avatar
    """As it was opened."""
    before: Avatar
    """Before the last change."""
    source: Source | None
    """The clip beside it."""
    frame: int
    region: str | None
    """Region whose weights are shown."""


def remembered(avatar: Avatar, home: Float[Tensor, "4 4"]) -> Camera | None:
    """Returns the camera that an avatar says it was seen by, in the studio's world; None if it is not whole."""
    try:
        known = avatar.about["camera"]
        K, w2c = torch.tensor(known["K"]).reshape(3, 3), torch.tensor(known["w2c"]).reshape(4, 4)
        return Camera(w2c.float() @ geometry.rigid_inverse(home), K.float(), int(known["width"]), int(known["height"]))
    except (KeyError, TypeError, ValueError, RuntimeError):
        return None


def kept_keyframes(avatar: Avatar) -> tuple[Keyframe, ...]:
    """Returns the keyframes that an avatar was saved with."""
    try:
        return tuple(Keyframe.from_json(k) for k in avatar.about.get("studio", {}).get("keyframes", ()))
    except (AttributeError, KeyError, TypeError, ValueError):
        return ()
