"""The studio: a window in the browser where an avatar is fitted, looked at, moved and changed, with Python behind it.

    from avatar3d.studio import StudioOptions, open_studio
    studio = open_studio(StudioOptions(Path("me.a3d")))
    print(studio.url)
    studio.wait()

What is shared between visitors and what is each one's own: docs/studio.md. viser is imported in `door` alone.
"""

from avatar3d.studio.monitor import FitRequest
from avatar3d.studio.session import Studio, StudioOptions

__all__ = ["FitRequest", "Studio", "StudioOptions", "open_studio"]


def open_studio(options: StudioOptions | None = None) -> Studio:
    """Returns a running studio.

    Raises:
        AvatarError: viser is missing (says how to install it), the port is taken, or a file cannot be read.
    """
    return Studio(options or StudioOptions())
