"""From a tracked clip or photo to an avatar: `fit`, or `steps` to watch it happen."""

from avatar3d.fit.follow import FollowOptions, follow
from avatar3d.fit.options import FitOptions, preset
from avatar3d.fit.train import Step, fit, steps

__all__ = ["FitOptions", "FollowOptions", "Step", "fit", "follow", "preset", "steps"]
