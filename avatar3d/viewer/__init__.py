"""The player on localhost: `avatar3d view FILE`."""

from avatar3d.viewer.server import Served, player_page, serve

__all__ = ["Served", "player_page", "serve"]
"""`serve` starts a server and returns; `player_page` is what it serves."""
