"""What a file format is to this package: a name, endings, a writer, and perhaps a reader."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from avatar3d.core import Avatar, Gaussians, Pose

Axes = Literal["auto", "y-up", "y-down"]


@dataclass(frozen=True)
class ExportOptions:
    """What an export may be asked for; a format leaves out what it has no use for."""

    pose: Pose | None = None
    """For formats that hold one pose; None is the head at rest."""
    axes: Axes = "auto"
    """Of splat files: `y-up` (x to the head's left, y up, z out of the face), `y-down` (turned by 180 degrees about x,
    what tools for 3D Gaussian splatting show upright), or whichever the format is read in."""
    version: int | None = None
    """Of formats that have several."""
    size: int | None = None
    """Side of a texture (1024 if None) or of pictures (512), pixels."""
    frames: int | None = None
    """Most frames of the avatar's performance; None for all."""
    progress: Callable[[str, int, int], None] = field(default=lambda stage, done, total: None)
    """Told how far the work is."""


@dataclass(frozen=True)
class Format:
    """A kind of file."""

    what: str
    """One line for people."""
    suffixes: tuple[str, ...]
    """Endings of file names, the usual one first; empty for a folder."""
    write: Callable[[Avatar, Path, ExportOptions], Mapping[str, Any]]
    """Writes the file, completely or not at all; returns what `--json` tells of it."""


@dataclass(frozen=True)
class SplatFormat:
    """A file that holds splats of one pose and nothing else."""

    what: str
    suffixes: tuple[str, ...]
    y_down: bool
    """Whether readers take y for down."""
    pack: Callable[[Gaussians, ExportOptions], bytes]
