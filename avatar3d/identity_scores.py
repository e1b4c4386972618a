"""Who is in a file: an avatar seen from its front, or a picture, compared by a face-recognition network."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from avatar3d import heads, store
from avatar3d.capture.landmarks import Landmarker
from avatar3d.capture.pictures import Pictures
from avatar3d.core import Avatar, AvatarError, Pose
from avatar3d.render import frames
from avatar3d.render.path import neutral, view
from avatar3d.score import identity

VIEWS = (-15.0, 0.0, 15.0)
"""Degrees around the head from which an avatar is looked at; their mean counts."""
_SIZE, _ZOOM = 384, 1.6
_BACKGROUND = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class IdentityScore:
    """How alike two faces are."""

    distance: float
    """Of the network's embeddings: 0 for the same picture, below `same` for one person."""
    same: float = identity.SAME

    def as_json(self) -> dict[str, Any]:
        """Returns the figures by name."""
        return {"distance": self.distance, "same_below": self.same, "one_person": self.distance < self.same}


def score_identity(one: Path | Avatar, other: Path | Avatar) -> IdentityScore:
    """Returns how alike two faces are.

    Args:
        one: An avatar or its file, or a picture with one face.
        other: Likewise.

    Raises:
        AvatarError: A file cannot be read, or shows no face.
    """
    found = [faces_of(x) for x in (one, other)]
    return IdentityScore(identity.distance(*found))


def faces_of(
    what: Path | Avatar, pose: Pose | None = None, landmarker: Landmarker | None = None
) -> Float[Tensor, "b 128"]:
    """Returns the embeddings of an avatar's `VIEWS`, or of the largest face of a picture.

    Args:
        what: An avatar, or a file.
        pose: Of the avatar, at rest by default.
        landmarker: To use again, where there are many.

    Raises:
        AvatarError: The file cannot be read, or there is no face in what it shows.
    """
    if isinstance(what, Path) and what.suffix.lower() != ".a3d":
        return identity.embed([_face(Pictures([what])[0], landmarker or Landmarker(), str(what))])
    avatar = what if isinstance(what, Avatar) else store.load(what)
    name = "avatar" if isinstance(what, Avatar) else str(what)
    finder = landmarker or Landmarker()
    still = (pose or neutral(heads.of(avatar))).map(lambda x: x[None])
    seen = []
    for yaw in VIEWS:
        camera = view(yaw, 0.0, (_SIZE, _SIZE), _ZOOM)
        seen.append(_face(next(frames(avatar, still, camera, _BACKGROUND)), finder, f"{name} from {yaw:g} degrees"))
    return identity.embed(seen)


def pairwise(embeddings: list[Float[Tensor, "_ 128"]]) -> Float[Tensor, "n n"]:
    """Returns the distances between people; infinity between one and itself."""
    mean = torch.stack([one.mean(0) for one in embeddings])
    out = torch.cdist(mean, mean, compute_mode="donot_use_mm_for_euclid_dist")
    return out.fill_diagonal_(torch.inf)


def _face(picture: UInt8[np.ndarray, "h w 3"], finder: Landmarker, name: str):
    found = finder.find(picture)
    if not found:
        raise AvatarError(f"{name}: no face is seen in it")
    return picture, found[0].landmarks
