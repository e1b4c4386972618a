"""The parts of the studio's window. Each has `build(desk)`; nothing here imports viser."""
