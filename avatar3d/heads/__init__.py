"""Head models: (identity, pose) to vertices."""

from avatar3d.heads.anny import AnnyHead
from avatar3d.heads.arkit import ARKIT
from avatar3d.heads.base import load, names, of

__all__ = ["ARKIT", "AnnyHead", "load", "names", "of"]
