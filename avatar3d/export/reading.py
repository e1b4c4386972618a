"""Files of other tools as avatars: what a file is, is told by its first bytes; its name is asked last."""

from pathlib import Path

from avatar3d import store
from avatar3d.core import Avatar, AvatarError
from avatar3d.export import ply
from avatar3d.export.splats import scene, turned

_LARGEST = 8 << 30  # bytes of a file that is read into memory


def import_avatar(path: Path | str) -> Avatar:
    """Returns what a file holds: an avatar, or splats without a head (`head` is then "scene").

    Splat files are turned from the axes of their format (y down in most) to ours, y up.

    Raises:
        AvatarError: No such file, an unknown kind, damaged, or too large.
    """
    path = Path(path)
    data = _bytes(path)
    where = str(path)
    if data[:3] == b"ply":
        return scene(turned(ply.read(data, where)), path.name)
    if data[8:9] == b"{":
        return store.load(path)
    raise AvatarError(f"{where}: neither an avatar nor splats in a format that can be read; see docs/formats.md")


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > _LARGEST:
            raise AvatarError(f"{path}: larger than {_LARGEST >> 30} GB; it cannot be read")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise AvatarError(f"{path}: no such file") from error
    except OSError as error:
        raise AvatarError(f"{path}: cannot be read ({error.strerror})") from error
