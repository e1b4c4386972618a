"""The values that the ops of radiance fields take and give."""

import functools
import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int32, Int64
from torch import Tensor

from avatar3d.core import AvatarError
from avatar3d.tensors import Tensors


@dataclass(frozen=True)
class Grid:
    """Shape of a multiresolution hash grid over the unit cube, with the sizes and layout of tiny-cuda-nn."""

    levels: int = 8
    features: int = 4
    """Numbers in a row: 1, 2, 4 or 8."""
    log2_rows: int = 16
    """Rows of a level at most; levels with more vertices are hashed."""
    base: int = 16
    """Vertices along an axis of the coarsest level."""
    growth: float = 1.5
    """From one level to the next."""

    def __post_init__(self) -> None:
        sound = 1 <= self.levels <= 32 and self.features in (1, 2, 4, 8) and 3 <= self.log2_rows <= 24
        if not sound or not 2 <= self.base <= 1024 or not 1 <= self.growth <= 4 or self.scales[-1] > 1 << 19:
            raise AvatarError(f"{self}: give 1 to 32 levels, 1, 2, 4 or 8 features, log2_rows 3 to 24, growth 1 to 4")

    @property
    def width(self) -> int:
        """Features of a point."""
        return self.levels * self.features

    @functools.cached_property
    def scales(self) -> Float[Tensor, " levels"]:
        """Cells of each level across the cube; vertices lie half a cell off its border."""
        exponents = torch.arange(self.levels, dtype=torch.float64) * math.log2(self.growth)
        return (2**exponents * self.base - 1).float()

    @functools.cached_property
    def shapes(self) -> Int64[Tensor, "levels 4"]:
        """Of each level: vertices along an axis, first row, rows, whether hashed."""
        out, first = [], 0
        for scale in self.scales.tolist():
            vertices = math.ceil(scale) + 1
            hashed = vertices**3 > 1 << self.log2_rows
            rows = 1 << self.log2_rows if hashed else min(-(-(vertices**3) // 8) * 8, 1 << self.log2_rows)
            out.append((vertices, first, rows, int(hashed)))
            first += rows
        return torch.tensor(out)

    @property
    def rows(self) -> int:
        """Rows of the table, all levels."""
        return int(self.shapes[-1, 1] + self.shapes[-1, 2])

    def table(self, random: torch.Generator) -> Float[Tensor, "rows features"]:
        """Returns a table to begin with: uniform in +-1e-4, as in Instant-NGP."""
        return (2 * torch.rand(self.rows, self.features, generator=random) - 1) * 1e-4


@dataclass(frozen=True)
class Rays(Tensors):
    """Half lines, and the part of each that counts."""

    origins: Float[Tensor, "r 3"]
    directions: Float[Tensor, "r 3"]
    """Of any length; t is in units of it."""
    near: Float[Tensor, " r"]
    far: Float[Tensor, " r"]

    def points(self, samples: "Samples") -> Float[Tensor, "m 3"]:
        """Returns where samples lie, differentiable in origins and directions."""
        origins, directions = (x.index_select(0, samples.ray) for x in (self.origins, self.directions))
        return torch.addcmul(origins, directions, samples.t[:, None])


@dataclass(frozen=True)
class Occupancy(Tensors):
    """Which cells of a box hold something."""

    cells: Bool[Tensor, "z y x"]
    box: Float[Tensor, "2 3"]
    """Lowest and highest corner, x y z."""


@dataclass(frozen=True)
class Samples(Tensors):
    """Samples along rays, packed: those of ray i are rows offsets[i] to offsets[i + 1]."""

    t: Float[Tensor, " m"]
    dt: Float[Tensor, " m"]
    """Length of the ray that a sample stands for."""
    ray: Int32[Tensor, " m"]
    offsets: Int64[Tensor, " r1"]
    next: Int32[Tensor, " r"]
    """The k to go on with where `limit` cut a ray short; 2^31 - 1 at its end."""

    def __len__(self) -> int:
        return len(self.t)

    def kept(self, keep: Bool[Tensor, " m"]) -> "Samples":
        """Returns some of the samples, still packed ray after ray."""
        index = keep.nonzero()[:, 0]
        before = torch.nn.functional.pad(keep.cumsum(0), (1, 0))
        t, dt, ray = (x.index_select(0, index) for x in (self.t, self.dt, self.ray))
        return Samples(t, dt, ray, before[self.offsets], self.next)


@dataclass(frozen=True)
class Light(Tensors):
    """What rays see."""

    rgb: Float[Tensor, "r 3"]
    alpha: Float[Tensor, " r"]
    depth: Float[Tensor, " r"]
    """Sum of weight times t."""
    weights: Float[Tensor, " m"]
    """Of each sample in its ray; differentiable, too."""
