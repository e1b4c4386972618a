"""From a tracked clip or photo to an avatar: `fit`, or `steps` to watch it happen."""

from avatar3d.fit.field import drop, field_steps, fit_field
from avatar3d.fit.field_options import FieldOptions, field_preset
from avatar3d.fit.field_scene import SceneOptions, fit_scene, scene_steps
from avatar3d.fit.field_sound import listened
from avatar3d.fit.follow import FollowOptions, follow
from avatar3d.fit.options import FitOptions, preset
from avatar3d.fit.train import Step, fit, steps

__all__ = [
    "FieldOptions",
    "FitOptions",
    "FollowOptions",
    "SceneOptions",
    "Step",
    "drop",
    "field_preset",
    "field_steps",
    "fit",
    "fit_field",
    "fit_scene",
    "follow",
    "listened",
    "preset",
    "scene_steps",
    "steps",
]
