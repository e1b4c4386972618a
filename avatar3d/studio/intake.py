"""Files that people bring: what kind they are, and what becomes of them."""

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from avatar3d.core import AvatarError

Kind = Literal["avatar", "picture", "video", "sound", "motion"]
_ENDINGS: dict[Kind, tuple[str, ...]] = {
    "avatar": (".a3d", ".ply", ".spz", ".splat", ".sog", ".zip", ".glb", ".baked"),
    "picture": (".png", ".jpg", ".jpeg", ".webp", ".bmp"),
    "video": (".mp4", ".mov", ".webm", ".mkv", ".avi", ".m4v"),
    "sound": (".wav", ".mp3", ".flac", ".ogg", ".m4a", ".aiff", ".aif", ".opus"),
    "motion": (".csv", ".json"),
}
LARGEST = 2 << 30
"""Bytes of a file."""


@dataclass(frozen=True)
class Brought:
    """A file that somebody brought."""

    kind: Kind
    path: Path


def kind_of(name: str) -> Kind:
    """Returns what a file's name says it is.

    Raises:
        AvatarError: Nothing that the studio takes.
    """
    ending = Path(name).suffix.lower()
    for kind, endings in _ENDINGS.items():
        if ending in endings:
            return kind
    known = ", ".join(e for endings in _ENDINGS.values() for e in endings[:4])
    raise AvatarError(f"{name}: not a kind of file that the studio takes; it takes {known}, ...")


def plain_name(name: str, ending: str = "") -> str:
    """Returns a file's name without folders and odd letters.

    Raises:
        AvatarError: Nothing is left of it.
    """
    last = re.split(r"[/\\]", name.strip())[-1]
    kept = re.sub(r"[^\w.+-]+", "_", last).lstrip(".")[:120]
    if not kept.strip("._"):
        raise AvatarError(f"'{name[:40]}' is not a file's name; give letters and numbers")
    return kept if not ending or kept.lower().endswith(ending) else kept + ending


class Inbox:
    """A folder of this session for files that came through the page; it goes when the studio closes."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="avatar3d-studio-")
        self.path = Path(self._folder.name)
        self._count = 0

    def put(self, name: str, data: bytes) -> Brought:
        """Keeps a file.

        Raises:
            AvatarError: Of no known kind, empty, or too large.
        """
        name = plain_name(name)
        kind = kind_of(name)
        if not data:
            raise AvatarError(f"{name}: is empty")
        if len(data) > LARGEST:
            raise AvatarError(f"{name}: larger than 2 GB; give its path to `avatar3d view --studio` instead")
        self._count += 1
        folder = self.path / str(self._count)
        folder.mkdir()
        (folder / name).write_bytes(data)
        return Brought(kind, folder / name)

    def close(self) -> None:
        """Deletes the folder."""
        self._folder.cleanup()
