"""Which cells of canonical space hold something, and where they are in a pose."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from avatar3d.core import Field, HeadModel
from avatar3d.fields.warp import Carrier, at_surface, carry_from, falloff, inverse, near_shares
from avatar3d.ops.closest import Closest, nearest, surface
from avatar3d.ops.field import Occupancy
from avatar3d.tensors import Tensors

CELL = 0.005
"""Metres along a cell of a field, usually."""
_MOST = 256  # cells along a side of it


@dataclass(frozen=True)
class Cells(Tensors):
    """The occupied cells of a field and where they hang on its mesh: the same for all poses."""

    centres: Float[Tensor, "n 3"]
    hang: Closest
    shares: Float[Tensor, "n p"]
    """How far each belongs to each part of the face."""
    size: float = CELL
    """Metres along the longest side of one."""


def cells(field: Field, head: HeadModel) -> Cells:
    """Returns a field's occupied cells."""
    index = field.occupied.nonzero().flip(1)
    low, high = field.box
    size = (high - low) / torch.tensor(field.occupied.shape[::-1])
    found = hung(low + (index + 0.5) * size, field, head)
    return Cells(found.centres, found.hang, found.shares, float(size.max()))


def hung(centres: Float[Tensor, "n 3"], field: Field, head: HeadModel) -> Cells:
    """Returns points of canonical space with where they hang on the mesh."""
    hang = nearest(centres, surface(field.canonical, head.faces))
    return Cells(centres, hang, near_shares(at_surface(field.parts, head.faces, hang), falloff(hang.distance)))


def posed(found: Cells, by: Carrier) -> Occupancy:
    """Returns an occupancy grid in the world that holds every occupied cell, with a margin of a cell.

    Args:
        found: The cells.
        by: From the world to canonical space.
    """
    cell = found.size
    with torch.no_grad():
        points = carry_from(found.centres, inverse(by.detach()), found.hang).points
        low = points.amin(0) - 2 * cell
        counts = ((points.amax(0) + 2 * cell - low) / cell).ceil().clamp(max=_MOST).long()
        size = torch.maximum((points.amax(0) + 2 * cell - low) / counts, torch.tensor(cell))
        index = ((points - low) / size).long().clamp(min=torch.zeros(3, dtype=torch.long), max=counts - 1)
        x, y, z = index.unbind(1)
        grid = torch.zeros(*counts.flip(0).tolist(), dtype=torch.bool)
        grid[z, y, x] = True
        return Occupancy(dilated(grid), torch.stack([low, low + counts * size]))


def dilated(grid: Bool[Tensor, "z y x"]) -> Bool[Tensor, "z y x"]:
    """Returns the cells that are occupied or touch one that is, corners included."""
    for axis in range(3):
        first, last = grid.narrow(axis, 0, grid.shape[axis] - 1), grid.narrow(axis, 1, grid.shape[axis] - 1)
        wider = grid.clone()
        wider.narrow(axis, 1, grid.shape[axis] - 1).logical_or_(first)
        wider.narrow(axis, 0, grid.shape[axis] - 1).logical_or_(last)
        grid = wider
    return grid


def cell_of(field: Field, points: Float[Tensor, "m 3"]) -> Int64[Tensor, " m"]:
    """Returns the occupied cell, counted through the grid, that each point of canonical space lies in; -1 for none."""
    low, high = field.box
    sizes = torch.tensor(field.occupied.shape[::-1], dtype=points.dtype)
    index = ((points - low) * (sizes / (high - low))).floor()  # whole numbers below 2^24, exact as floats
    inside = ((index >= 0) & (index < sizes)).all(1)
    x, y, z = index.unbind(1)
    flat = torch.where(inside, (z * sizes[1] + y) * sizes[0] + x, 0.0).long()
    inside &= field.occupied.reshape(-1).index_select(0, flat)
    return torch.where(inside, flat, -1)
