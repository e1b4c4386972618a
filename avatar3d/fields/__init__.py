"""Radiance fields that ride on a head: a body beside the splats, on the same rig."""

from avatar3d.fields.picture import Posed, Prepared, look, pose_field, prepared
from avatar3d.fields.settings import FieldSettings, settings_of

__all__ = ["FieldSettings", "Posed", "Prepared", "look", "pose_field", "prepared", "settings_of"]
