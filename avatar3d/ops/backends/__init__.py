"""Which implementation of an op runs: one registry, and one file for each optional package."""

from avatar3d.ops.backends.registry import OPS, Row, choose, named, rows

__all__ = ["OPS", "Row", "choose", "named", "rows"]
