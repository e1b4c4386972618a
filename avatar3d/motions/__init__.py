"""Motion files in and out: Live Link Face CSV, ARKit JSON of several tools, tracks and avatars. See docs/driving.md."""

from avatar3d.motions.curves import Curves, to_motion
from avatar3d.motions.reading import read, read_curves
from avatar3d.motions.writing import SUFFIXES as WRITTEN
from avatar3d.motions.writing import MotionWriter, write

__all__ = ["WRITTEN", "Curves", "MotionWriter", "read", "read_curves", "to_motion", "write"]
