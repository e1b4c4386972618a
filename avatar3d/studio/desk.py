"""What every part of the window has at hand, and how what people do there reaches the document."""

import logging
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from avatar3d.core import AvatarError
from avatar3d.studio.document import Document
from avatar3d.studio.intake import Inbox
from avatar3d.studio.jobs import Jobs
from avatar3d.studio.monitor import Monitor
from avatar3d.studio.stream import Stream

_log = logging.getLogger(__name__)


@dataclass
class Desk:
    """The studio's parts. `gui` and `server` are viser's; nothing here imports it."""

    server: Any
    document: Document
    jobs: Jobs
    monitor: Monitor
    stream: Stream
    inbox: Inbox
    folder: Path
    """Where avatars are saved."""
    local: bool
    """Whether only this computer can reach the window."""
    filling: threading.Lock = field(default_factory=threading.Lock)
    """Held while a container of viser's is open: one thread at a time may fill one."""
    refreshes: list[Callable[[], None]] = field(default_factory=list)
    """Bring handles to the document's state; called some times a second when something changed."""

    @property
    def gui(self) -> Any:
        """viser's shared window."""
        return self.server.gui

    def say(self, title: str, text: str = "", client: Any = None, bad: bool = False) -> None:
        """Shows a note to one visitor, or to all."""
        clients = [client] if client is not None else list(self.server.get_clients().values())
        for each in clients:
            each.add_notification(title, text, color="red" if bad else "blue", auto_close_seconds=15.0 if bad else 6.0)

    def heard(self, handle: Any, act: Callable[[Any, Any], None]) -> Any:
        """Calls `act(value, client)` when somebody (not the program) uses a handle; what fails is shown, not raised."""

        def told(event: Any) -> None:
            if event.client_id is None:
                return
            try:
                act(getattr(event.target, "value", None), event.client)
            except AvatarError as error:
                self.say("Not done", str(error), event.client, bad=True)
            except Exception as error:  # a mistake behind one button must not take the window along
                _log.error("%s", traceback.format_exc())
                self.say("Not done", f"{type(error).__name__}: {error}", event.client, bad=True)

        for name in ("on_upload", "on_click", "on_update"):
            if hasattr(handle, name):
                getattr(handle, name)(told)
                break
        return handle

    def confirm(self, client: Any, title: str, question: str, yes: str, act: Callable[[], None]) -> None:
        """Asks one visitor before something is done."""
        modal = client.gui.add_modal(title)
        with modal:
            client.gui.add_markdown(question)
            agreed = client.gui.add_button(yes, color="red")
            declined = client.gui.add_button("Cancel")

        def done(value: Any, asked: Any) -> None:
            modal.close()
            act()

        self.heard(agreed, done)
        self.heard(declined, lambda value, asked: modal.close())


def put(handle: Any, value: Any) -> None:
    """Sets a handle where it shows something else."""
    if handle.value != value:
        handle.value = value


def shown(handle: Any, on: bool) -> None:
    """Shows or hides a handle."""
    if handle.visible != on:
        handle.visible = on
