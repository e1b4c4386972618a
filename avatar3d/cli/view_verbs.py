"""`avatar3d view`: look at an avatar, or at any splats, in the browser."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tyro.conf import Positional

from avatar3d.cli.command import Command
from avatar3d.cli.console import Console
from avatar3d.core import AvatarError


@dataclass(frozen=True, kw_only=True)
class View(Command):
    """Show an avatar in the browser: expressions, head, gaze, motion, microphone, pictures. Ctrl-C ends it.

    With `--studio` a window with Python behind it: also fitting, comparing with a clip, editing and filming
    (docs/studio.md).
    """

    source: Positional[Path | None] = None
    """Avatar, a page made by `avatar3d export --to html`, or any file that `avatar3d import` reads; none opens a player
    that waits for a file. With `--studio` also a video, a photo or a folder of pictures, which is fitted."""
    studio: bool = False
    """Open the studio instead of the player (needs the extra `studio`)."""
    clip: Path | None = None
    """Studio: compare the avatar with this clip."""
    port: int = 0
    """Port of the page; 0 takes a free one."""
    host: str = "127.0.0.1"
    """Address to serve at; the default is this computer alone."""
    no_browser: bool = False
    """Print the address, and open nothing."""

    def work(self, console: Console) -> Mapping[str, Any]:
        if self.studio:
            from avatar3d.cli.studio_work import run_studio

            return run_studio(self, console)
        if self.clip is not None:
            raise AvatarError("--clip goes with --studio")
        import contextlib
        import webbrowser

        from avatar3d.viewer import player_page, serve

        served = serve(player_page(self.source), self.port, self.host)
        console.note(f"{served.url} shows {self.source or 'the player'}; Ctrl-C ends it")
        with contextlib.suppress(KeyboardInterrupt):  # a second one, while the server closes, ends it as well
            try:
                if not self.no_browser:
                    webbrowser.open(served.url)
                served.wait()
            except KeyboardInterrupt:
                pass
            finally:
                served.close()
        return {"url": served.url}


VIEW_COMMANDS: dict[str, type[Command]] = {"view": View}
