"""Edits of how an avatar looks: colours, paint, texture, light, things put on and taken off."""
