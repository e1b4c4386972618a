"""A studio that runs: the parts joined, the window filled, visitors received, and work kept when it ends."""

import logging
import threading
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from avatar3d import store
from avatar3d.core import AvatarError
from avatar3d.studio import door, tasks
from avatar3d.studio.cameras import FOV, TARGET, facing
from avatar3d.studio.desk import Desk, shown
from avatar3d.studio.document import Document
from avatar3d.studio.intake import Inbox, kind_of
from avatar3d.studio.jobs import Jobs
from avatar3d.studio.layers import Layers
from avatar3d.studio.monitor import FitRequest, Monitor
from avatar3d.studio.stream import Stream
from avatar3d.studio.tabs import edit, face, files, fit, view
from avatar3d.studio.tabs import time as time_tab

_log = logging.getLogger(__name__)

_EVERY = 0.25
"""Seconds between two refreshes of the window."""
_PHONE = 576
"""Pixels of a canvas below which viser shows its window as a sheet at the bottom."""
_KEEP = 20.0
"""Seconds after which changes that nobody saved are written aside."""


@dataclass(frozen=True)
class StudioOptions:
    """What a studio begins with."""

    source: Path | None = None
    """An avatar, or a clip to fit."""
    clip: Path | None = None
    """A clip to compare the avatar with."""
    fit: FitRequest | None = None
    """A fit to begin at once."""
    folder: Path = field(default_factory=Path.cwd)
    """Where avatars are saved."""
    port: int = 0
    """0 takes a free one."""
    host: str = "127.0.0.1"
    """Address to listen at; the default is this computer alone."""


class Studio:
    """A running studio. `wait` until interrupted, then `close`."""

    def __init__(self, options: StudioOptions) -> None:
        """Opens what the options name and starts to serve.

        Raises:
            AvatarError: viser is missing, the port is taken, or a file cannot be read.
        """
        door.check_viser()
        self.options = options
        self.document, self.jobs, self.inbox = Document(), Jobs(), Inbox()
        self.monitor = Monitor(self.document, self.jobs)
        self.stream = Stream(self.document)
        self._over = threading.Event()
        self._layers: dict[int, Layers] = {}
        self._kept_version = 0
        clip = self._begin_with(options.source)
        self.server = door.open_server(options.host, options.port, door.script_of("drop.js"))
        self.url = door.address_of(self.server, options.host)
        try:
            local = options.host in door.LOCAL
            self.desk = Desk(
                self.server, self.document, self.jobs, self.monitor, self.stream, self.inbox, options.folder, local
            )
            self._furnish(clip)
        except BaseException:
            door.close_server(self.server)
            raise
        self.server.on_client_connect(self._enter)
        self.server.on_client_disconnect(self._leave)
        self.stream.start()
        self._refresher = threading.Thread(target=self._keep_fresh, name="studio-window", daemon=True)
        self._refresher.start()
        if options.fit is not None:
            self.monitor.start(options.fit)
        elif options.clip is not None and self.document.avatar is not None:
            path = options.clip
            self.jobs.start(f"reading {path.name}", lambda jobs: tasks.compare(self.document, path, jobs))

    def wait(self) -> None:
        """Blocks until the studio is closed, or the user interrupts."""
        while not self._over.wait(0.5):
            pass

    def close(self) -> Path | None:
        """Ends everything; returns the file to which unsaved changes went, if there were any."""
        self._over.set()
        self.monitor.stop()
        self.jobs.stop()
        self.jobs.wait(60.0)
        self.stream.close()
        kept = self._keep()
        door.close_server(self.server)
        self.inbox.close()
        return kept

    # -- within ------------------------------------------------------------------------------------------------------

    def _begin_with(self, source: Path | None) -> Path | None:
        """Opens an avatar; returns the source where it is a clip."""
        if source is None:
            return None
        if not source.exists():
            raise AvatarError(f"{source}: no such file")
        if source.is_dir() or kind_of(source.name) in ("picture", "video"):
            return source
        self.document.open(tasks.opened(source), source)
        return None

    def _furnish(self, clip: Path | None) -> None:
        """Fills the shared window."""
        server, gui, desk = self.server, self.server.gui, self.desk
        server.scene.set_up_direction("+y")
        server.scene.world_axes.visible = False
        eye = facing(0, 0)
        first = server.initial_camera
        first.position, first.look_at, first.up, first.fov = eye.position, TARGET, (0.0, 1.0, 0.0), FOV
        first.near = 0.01
        gui.main_panel.dock_right()  # beside the picture, not over it; phones have a sheet below
        self._status = gui.add_markdown("")
        self._bar = gui.add_progress_bar(0.0, visible=False)
        self._stop = gui.add_button("Stop", visible=False, icon="player-stop")
        desk.heard(self._stop, lambda value, client: self.monitor.stop())
        files.upload(desk)
        tabs = gui.add_tab_group()
        with tabs.add_tab("Face"):
            face.build(desk)
        with tabs.add_tab("Time"):
            time_tab.build(desk)
        self._view = tabs.add_tab("View")
        with tabs.add_tab("Edit"):
            edit.build(desk)
        with tabs.add_tab("Fit"):
            fit.build(desk, clip)
        with tabs.add_tab("Files"):
            files.build(desk)
        gui.add_command("Undo", hotkey="Z", modifier="cmd/ctrl").on_trigger(lambda event: self.document.undo())
        gui.add_command("Redo", hotkey="Y", modifier="cmd/ctrl").on_trigger(lambda event: self.document.redo())
        gui.add_command("Play or pause", hotkey="P").on_trigger(lambda event: self._toggle())
        desk.refreshes.append(self._tell)

    def _toggle(self) -> None:
        line = self.document.timeline
        if line.frames > 1:
            self.document.set_performing(True)
            self.document.run(line.played(not line.playing))

    def _enter(self, client: Any) -> None:
        """Receives a visitor."""
        try:
            self._received(client)
        except Exception:  # one who is gone before the window is filled must not take the server along
            _log.warning("a visitor could not be received: %s", traceback.format_exc())

    def _received(self, client: Any) -> None:
        number = client.client_id
        earlier = self.stream.last

        def send(image: Any, quality: int) -> None:
            if number in self.server.get_clients():  # a closed tab is told of a moment late
                client.scene.set_background_image(image, "jpeg", jpeg_quality=quality)

        visitor = self.stream.join(number, send)
        layers = self._layers[number] = Layers(client.scene, self.document)
        with self.desk.filling, self._view:
            view.build(self.desk, client, visitor, layers)
        width, height = int(client.camera.image_width), int(client.camera.image_height)
        if width < _PHONE:
            client.gui.main_panel.minimize()  # a tap opens the sheet; it would cover the face at first
        if earlier is not None and earlier.eye is not None and len(self.stream.visitors) == 1:
            view.look_from(client, earlier.eye)  # a tab that was closed and opened anew goes on where it was
        elif 0 < width < height:
            view.look_from(client, facing(0, 0, zoom=max(width / height * 1.15, 0.3)))  # the head's whole width

        def moved(camera: Any) -> None:
            eye = view.where(camera)
            if eye is not None:
                self.stream.move(number, eye, (int(camera.image_width), int(camera.image_height)))

        client.camera.on_update(moved)
        moved(client.camera)
        if number not in self.server.get_clients():  # gone in the meantime
            self._leave(client)

    def _leave(self, client: Any) -> None:
        self._layers.pop(client.client_id, None)
        self.stream.leave(client.client_id)

    def _tell(self) -> None:
        """Says how things stand."""
        document, report = self.document, self.jobs.report
        avatar = document.avatar
        name = document.path.name if document.path is not None else "not saved"
        text = "No avatar yet." if avatar is None else f"**{name}**{' · changed' if document.unsaved else ''}"
        if avatar is not None:
            rates = [v.rate for v in self.stream.visitors if v.rate]
            text += f" · {len(avatar.gaussians)} splats" + (f" · {max(rates):.1f} pictures/s" if rates else "")
        failed = next((v.failed for v in self.stream.visitors if v.failed), "")
        if failed:
            text += f"\n\nCannot be drawn: {failed}"
        if report.state != "idle":
            what = f"{report.stage} {report.done}/{report.total}" if report.state == "running" else report.state
            text += f"\n\n{report.name}: {what} {report.note}".rstrip()
        if self._status.content != text:
            self._status.content = text
        running = report.state == "running"
        shown(self._bar, running)
        shown(self._stop, running)
        if running and abs(self._bar.value - 100 * report.share) >= 1:
            self._bar.value = min(100.0, max(0.0, 100.0 * report.share))

    def _keep_fresh(self) -> None:
        """Keeps the window and the layers up with the document, and unsaved changes on disk."""
        kept_at = time.monotonic()
        while not self._over.wait(_EVERY):
            for refresh in (*self.desk.refreshes, *(layers.refresh for layers in list(self._layers.values()))):
                try:
                    refresh()
                except Exception:  # a handle that is gone, or a layer that cannot be made: the others go on
                    _log.warning("a part of the window could not be refreshed: %s", traceback.format_exc())
            if time.monotonic() - kept_at > _KEEP and not self.jobs.running:
                kept_at = time.monotonic()
                try:
                    self._keep()
                except AvatarError as error:
                    _log.warning("unsaved changes could not be kept: %s", error)

    @property
    def kept_path(self) -> Path:
        """Where unsaved changes go."""
        stem = self.document.path.stem if self.document.path is not None else "avatar"
        return self.options.folder / f"{stem}.unsaved.a3d"

    def _keep(self) -> Path | None:
        """Writes unsaved changes aside, and takes away what became needless; returns the file."""
        with self.document.lock:
            unsaved, version = self.document.unsaved, self.document.version
            avatar = self.document.to_save() if unsaved and self.document.avatar is not None else None
        path = self.kept_path
        if avatar is None:
            if self._kept_version and path.exists():
                path.unlink()
                self._kept_version = 0
            return None
        if version != self._kept_version:
            store.save(avatar, path)
            self._kept_version = version
        return path
