"""Closest points on a triangle mesh: the exact search that carries samples of space to a surface.

Neither ids nor weights carry a gradient. To differentiate, take the point again from what was found:
`(vertices[faces[found.face.long()]] * found.bary[..., None]).sum(-2)`.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Int32, UInt8
from torch import Tensor

from avatar3d.core import AvatarError
from avatar3d.ops import backends, reference_closest
from avatar3d.ops.gpu import Host, run
from avatar3d.tensors import Tensors


@dataclass(frozen=True)
class Closest(Tensors):
    """For each point the closest one of a mesh."""

    face: Int32[Tensor, " m"]
    """The lowest of equally close faces; -1 where the mesh is farther than the radius, and for points that are not
    finite."""
    bary: Float[Tensor, "m 3"]
    """Weights of the face's corners, not negative, summing to one; 0 where there is no face."""
    distance: Float[Tensor, " m"]
    """Not negative, in the unit of the vertices; the radius where there is no face."""


@dataclass(frozen=True)
class Surface(Tensors):
    """A mesh made ready for searches: worth keeping where one pose is asked several times."""

    vertices: Float[Tensor, "v 3"]
    faces: Int32[Tensor, "f 3"]
    tree: UInt8[Tensor, " bytes"]
    """Of the backend that made it; empty for `reference`."""
    backend: str


def surface(vertices: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"], backend: str = "auto") -> Surface:
    """Returns a mesh with a tree of boxes over its faces (a head of 12,580 faces: some milliseconds).

    Args:
        vertices: Of one pose, finite.
        faces: Vertex ids.
        backend: `auto` (by the tensors' device), `cpu`, `cuda` or `reference` (PyTorch: each point against each face).

    Raises:
        AvatarError: No faces, ids out of range, a vertex that is not finite, or a backend that is not live.
    """
    vertices = vertices.detach()
    kind = backends.choose("closest", {"vertices": vertices, "faces": faces}, backend)
    if len(faces) == 0:
        raise AvatarError("closest: the mesh has no faces")
    low, high = (int(x) for x in torch.aminmax(faces))
    if low < 0 or high >= len(vertices):
        raise AvatarError(f"closest: faces name vertices {low} to {high}, there are {len(vertices)}")
    if not bool(torch.isfinite(vertices).all()):
        raise AvatarError("closest: a vertex of the mesh is not finite")
    vertices, faces = vertices.contiguous(), faces.to(torch.int32).contiguous()
    tree = torch.empty(0, dtype=torch.uint8, device=vertices.device)
    if kind != "reference":
        size = torch.zeros(1, dtype=torch.int64)
        run(kind, "closest_workspace", len(faces), Host(size))
        tree = torch.empty(int(size), dtype=torch.uint8, device=vertices.device)
        run(kind, "closest_build", vertices, faces, len(vertices), len(faces), tree)
    return Surface(vertices, faces, tree, kind)


def nearest(points: Float[Tensor, "m 3"], on: Surface, radius: float | None = None) -> Closest:
    """Returns the closest point of a surface for each point; the same bits for any number of threads.

    Points that lie near each other should follow on each other, as samples of a ray do: on the CPU each search begins
    where the one before it ended.

    Args:
        points: Where to search from, on the surface's device.
        on: From `surface`.
        radius: Faces farther than this do not count; None for any distance. A small one is much faster.

    Raises:
        AvatarError: A radius that is not positive, or points of another type or device.
    """
    within = math.inf if radius is None else float(radius)
    if not within > 0:
        raise AvatarError(f"closest: radius {radius}; it must be more than 0")
    points = points.detach()
    backends.choose("closest", {"points": points, "vertices": on.vertices}, on.backend)
    if on.backend == "reference":
        return Closest(*reference_closest.closest(points, on.vertices, on.faces, within))
    points, m = points.contiguous(), len(points)
    face = torch.empty(m, dtype=torch.int32, device=points.device)
    bary, distance = torch.empty_like(points), points.new_empty(m)
    run(on.backend, "closest_query", points, on.tree, m, len(on.faces), within, face, bary, distance)
    return Closest(face, bary, distance)


def closest(
    points: Float[Tensor, "m 3"],
    vertices: Float[Tensor, "v 3"],
    faces: Int[Tensor, "f 3"],
    radius: float | None = None,
    backend: str = "auto",
) -> Closest:
    """Returns the closest point of a mesh for each point: `nearest` on a `surface` that is used once.

    Args:
        points: Where to search from.
        vertices: Of one pose, finite.
        faces: Vertex ids.
        radius: Faces farther than this do not count; None for any distance.
        backend: As in `surface`.

    Raises:
        AvatarError: As `surface` and `nearest`.

    Example:
        >>> corners = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
        >>> closest(torch.tensor([[0.25, 0.25, 2.0]]), corners, torch.tensor([[0, 1, 2]])).distance
        tensor([2.])
    """
    return nearest(points, surface(vertices, faces, backend), radius)
