"""Moving frames of triangles, the carriers of splats (GaussianAvatars, Qian et al., CVPR 2024)."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from avatar3d.core import Binding
from avatar3d.geometry import matrix_to_quat
from avatar3d.ops import reference_fit


@dataclass(frozen=True)
class Frames:
    """An orthonormal frame and a size for each triangle."""

    rotation: Float[Tensor, "*b f 3 3"]
    """Columns: along the first edge, the outward normal, and the direction towards the third corner, mirrored."""
    quats: Float[Tensor, "*b f 4"]
    """The same rotation, wxyz."""
    scale: Float[Tensor, "*b f"]
    """Mean of the first edge and its altitude, metres."""


def face_frames(vertices: Float[Tensor, "*b v 3"], faces: Int[Tensor, "f 3"]) -> Frames:
    """Returns the frames of triangles.

    With a0 = n(v1 - v0), a1 = n(a0 x (v2 - v0)), a2 = -n(a1 x a0): R = [a0 a1 a2] and
    k = (|v1 - v0| + |a2 . (v2 - v0)|) / 2, as in GaussianAvatars.

    Args:
        vertices: Posed vertices, metres.
        faces: Corner indices, counter-clockwise seen from outside.
    """
    rotation, scale = reference_fit.face_frames(vertices, faces)
    return Frames(rotation, matrix_to_quat(rotation), scale)


def anchors(vertices: Float[Tensor, "*b v 3"], faces: Int[Tensor, "f 3"], binding: Binding) -> Float[Tensor, "*b n 3"]:
    """Returns the points on the mesh where splats are tied, world space, metres."""
    corners = faces[binding.face]
    return sum(binding.bary[:, i, None] * vertices[..., corners[:, i], :] for i in range(3))  # type: ignore[return-value]
