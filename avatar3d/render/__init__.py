"""Pictures and videos of avatars: `render` for one call, `frames` for sequences; `path` makes poses and cameras."""

from avatar3d.render.image import check_camera, frames, render

__all__ = ["check_camera", "frames", "render"]
