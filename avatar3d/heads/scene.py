"""The head model of what is no head: one triangle whose frame is the world. So free splats are an avatar too."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatar3d.core import AvatarError, Pose

NAME = "scene"


@dataclass(frozen=True)
class SceneFrame:
    """A triangle with its first corner at the origin whose frame (`rig.frames`) is the identity, of size 1 m.

    Splats bound to that corner have world coordinates as their local ones. It has no expressions, joints or identity;
    only a pose's `root` moves it.
    """

    corners: Float[Tensor, "3 3"] = field(
        default_factory=lambda: torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
    )
    faces: Int[Tensor, "1 3"] = field(default_factory=lambda: torch.tensor([[0, 1, 2]]))
    uv: Float[Tensor, "1 3 2"] = field(default_factory=lambda: torch.zeros(1, 3, 2))
    soft: Float[Tensor, "3 0"] = field(default_factory=lambda: torch.zeros(3, 0))
    name: str = NAME
    regions: Mapping[str, Float[Tensor, " v"]] = field(default_factory=dict)
    expressions: tuple[str, ...] = ()
    joints: tuple[str, ...] = ()
    identities: tuple[str, ...] = ()

    def vertices(self, identity: Float[Tensor, "*b s"], pose: Pose) -> Float[Tensor, "*b v 3"]:
        """Returns the triangle where the pose's root puts it, metres."""
        root = pose.root.to(self.corners.dtype)
        return self.corners @ root[..., :3, :3].mT + root[..., None, :3, 3]

    def joint_transforms(self, identity: Float[Tensor, "*b s"], pose: Pose) -> Float[Tensor, "*b j 4 4"]:
        """Returns no transforms: there are no joints."""
        return pose.root[..., None, :, :][..., :0, :, :]

    def reshaped(self, offsets: Float[Tensor, "3 3"]) -> "SceneFrame":
        """Raises an `AvatarError`: splats of a scene have no head whose shape could change."""
        raise AvatarError("splats without a head have no shape to change; edit an avatar that was fitted to a person")

    def to(self, *args: Any, **kwargs: Any) -> "SceneFrame":
        """Returns it with its tensors moved; integers keep their type."""
        faces = self.faces.to(*args, **kwargs).to(self.faces.dtype)
        moved = {name: getattr(self, name).to(*args, **kwargs) for name in ("corners", "uv", "soft")}
        return replace(self, faces=faces, **moved)


def load() -> SceneFrame:
    """Returns the frame of a free scene."""
    return SceneFrame()
