"""Edits in words (English): `understand("older, green eyes, a bit angry")`. See docs/words.md."""

from avatar3d.edit.words.say import Heard, Missed, Understood, understand

__all__ = ["Heard", "Missed", "Understood", "understand"]
