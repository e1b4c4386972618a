"""From a field to splats bound to the head, so that it runs in the player and exports everywhere."""

from avatar3d.distil.pictures import DistilOptions, distil

__all__ = ["DistilOptions", "distil"]
