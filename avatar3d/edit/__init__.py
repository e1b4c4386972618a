"""Changes to avatars and to performances: pure functions, plain data. The verb is `edit`; docs/editing.md lists all."""

from avatar3d.edit.base import Edit, Setting, describe
from avatar3d.edit.history import edit, settled, undo
from avatar3d.edit.kinds import KINDS, from_json, setting, settings

__all__ = ["KINDS", "Edit", "Setting", "describe", "edit", "from_json", "setting", "settings", "settled", "undo"]
