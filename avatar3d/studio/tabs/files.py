"""Files in and out: saving, exporting, and what was dropped on the page."""

from pathlib import Path
from typing import Any

from avatar3d.core import AvatarError
from avatar3d.studio import tasks
from avatar3d.studio.desk import Desk, put
from avatar3d.studio.intake import Brought, plain_name
from avatar3d.studio.tabs import fit as fit_tab
from avatar3d.studio.tabs import time as time_tab

VIDEOS = ("drives the avatar", "is fitted", "is compared with")
"""What a dropped video does."""


def build(desk: Desk) -> None:
    """Adds saving and exporting."""
    gui, document, jobs = desk.gui, desk.document, desk.jobs
    name = gui.add_text("Name", "", hint=f"In the folder {desk.folder}")
    save = gui.add_button("Save", icon="device-floppy")
    with gui.add_folder("Export"):
        from avatar3d.export import FORMATS

        to = gui.add_dropdown("Format", tuple(FORMATS))
        posed = gui.add_checkbox("In the pose shown", False, hint="For formats of one pose; else the head at rest")
        told = gui.add_markdown(FORMATS[to.value].what)
        out = gui.add_button("Export and download", icon="download")
    put(name, document.path.name if document.path is not None else "avatar.a3d")

    def write(path: Path, client: Any, overwrite: bool) -> None:
        document.save(path, overwrite)
        desk.say("Saved", path.name, client)

    def saved(value: Any, client: Any) -> None:
        document.known()
        path = desk.folder / plain_name(name.value, ".a3d")
        if path.exists():
            desk.confirm(
                client,
                "Replace?",
                f"`{path.name}` is there already. Replace it?",
                "Replace",
                lambda: write(path, client, overwrite=True),
            )
        else:
            write(path, client, overwrite=False)

    def exported(value: Any, client: Any) -> None:
        document.known()
        stem = Path(plain_name(name.value or "avatar")).stem

        def work(jobs: Any) -> str:
            path = tasks.export_to(document, desk.inbox.path, stem, to.value, bool(posed.value), jobs)
            data = path.read_bytes()
            client.send_file_download(path.name, data)
            return f"{path.name}: {len(data) / 1e6:.1f} MB"

        jobs.start(f"export to {to.value}", work)

    def chosen(value: Any, client: Any) -> None:
        told.content = FORMATS[to.value].what

    desk.heard(save, saved)
    desk.heard(out, exported)
    desk.heard(to, chosen)
    last = [document.path]

    def refresh() -> None:
        if document.path is not None and document.path != last[0]:
            put(name, document.path.name)
        last[0] = document.path

    desk.refreshes.append(refresh)


def upload(desk: Desk) -> None:
    """Adds the button that takes files; the page's own script gives it what is dropped."""
    gui = desk.gui
    button = gui.add_upload_button("Open, drive or fit: choose or drop a file", icon="upload")
    use = gui.add_dropdown("A video", VIDEOS, hint="What a dropped video does")

    def taken(value: Any, client: Any) -> None:
        file = desk.inbox.put(value.name, value.content)
        button._impl.value = type(value)("", b"")  # the bytes are in the inbox; the button need not hold them
        take(desk, file, use.value, client)

    desk.heard(button, taken)


def take(desk: Desk, file: Brought, video: str, client: Any) -> None:
    """Does with a file what its kind says."""
    if file.kind == "avatar":
        open_file(desk, file.path, client)
    elif file.kind == "picture" or (file.kind == "video" and video == "is fitted"):
        fit_tab.brought(desk, file, client)
    elif file.kind == "video" and video == "is compared with":
        desk.document.known()
        desk.jobs.start(f"reading {file.path.name}", lambda jobs: tasks.compare(desk.document, file.path, jobs))
    else:
        time_tab.brought(desk, file)


def open_file(desk: Desk, path: Path, client: Any) -> None:
    """Opens an avatar beside the one that is open, which `Undo` brings back."""
    avatar = tasks.opened(path)
    if not len(avatar.gaussians) and getattr(avatar, "field", None) is None:
        raise AvatarError(f"{path.name}: holds no splats")
    desk.document.open(avatar, None, unsaved=True)
    desk.say("Opened", f"{path.name}: {len(avatar.gaussians)} splats", client)
