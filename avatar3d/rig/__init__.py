"""Posing of splats: from the local frame of the triangles they ride on to the world. One function, `pose`."""

from avatar3d.rig.bearing import carried
from avatar3d.rig.blend import basis_weights, pose

__all__ = ["basis_weights", "carried", "pose"]
