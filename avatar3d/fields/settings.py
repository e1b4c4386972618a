"""How a field is made: the settings that its file keeps."""

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from avatar3d.core import AvatarError
from avatar3d.ops.field import Grid

CONDITIONS = ("expression", "audio", "none")
ENCODINGS = ("hash", "planes")
COVERS = ("all", "hair")


@dataclass(frozen=True)
class FieldSettings:
    """What a field is made of."""

    encoding: str = "hash"
    """`hash`: a multiresolution hash grid; `planes`: three planes of features (tri-plane), summed."""
    levels: int = 8
    features: int = 4
    log2_rows: int = 16
    base: int = 16
    growth: float = 1.45
    """Of the hash grid; see `ops.field.Grid`."""
    plane: int = 160
    """Pixels along a side of a plane."""
    channels: int = 24
    """Numbers in a pixel of a plane."""
    width: int = 64
    """Neurons of the network's hidden layers."""
    layers: int = 2
    """Hidden layers."""
    condition: str = "expression"
    """What moves the look of the mouth: `expression` weights, `audio` features, or `none`."""
    heard: int = 0
    """Numbers that an audio condition hears at a time."""
    view: bool = False
    """Whether colour depends on the direction of sight in head space."""
    covers: str = "all"
    """`all`, or `hair` where splats show the rest."""
    step: float = 0.003
    """Metres between samples of a ray."""

    def __post_init__(self) -> None:
        for name, known in (("encoding", ENCODINGS), ("condition", CONDITIONS), ("covers", COVERS)):
            if getattr(self, name) not in known:
                raise AvatarError(f"field {name} '{getattr(self, name)}': give one of {', '.join(known)}")
        if not 5e-4 <= self.step <= 0.05:
            raise AvatarError(f"field step {self.step:g}: give 0.0005 to 0.05 metres")
        limits = {"plane": 4096, "channels": 96, "width": 128, "layers": 6}
        for name, most in limits.items():
            if not 1 <= getattr(self, name) <= most:
                raise AvatarError(f"field {name} {getattr(self, name)}: give 1 to {most}")
        if (self.condition == "audio") != (self.heard > 0) or self.heard > 4096:
            raise AvatarError(f"field condition '{self.condition}' with {self.heard} numbers heard: they do not fit")
        if self.encoding == "hash":
            _ = self.grid  # raises by itself

    @property
    def grid(self) -> Grid:
        """The hash grid."""
        return Grid(self.levels, self.features, self.log2_rows, self.base, self.growth)

    @property
    def encoded(self) -> int:
        """Features of a point."""
        return self.grid.width if self.encoding == "hash" else self.channels

    def as_json(self) -> dict[str, Any]:
        """Returns the settings as plain values."""
        return asdict(self)


def settings_of(values: Mapping[str, Any]) -> FieldSettings:
    """Returns the settings that a field keeps.

    Raises:
        AvatarError: A name that is not known, or a value of another type or out of range.
    """
    types = {f.name: type(getattr(FieldSettings(), f.name)) for f in fields(FieldSettings)}
    for name, value in values.items():
        if name not in types:
            near = difflib.get_close_matches(name, types, n=1, cutoff=0)
            raise AvatarError(f"field settings: unknown '{name}'; did you mean '{near[0]}'?")
        if type(value) is not types[name] and not (types[name] is float and type(value) is int):
            raise AvatarError(f"field settings: {name} is {value!r}, expected a value of type {types[name].__name__}")
    return FieldSettings(**values)
