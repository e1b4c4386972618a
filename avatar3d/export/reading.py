"""Files of other tools as avatars: what a file is, is told by its first bytes; its name is asked last."""

from pathlib import Path

from avatar3d import store
from avatar3d.core import Avatar, AvatarError, Gaussians
from avatar3d.export import baked, compressed_ply, glb_reading, lam, ply, sog, splat_file, spz, usd
from avatar3d.export.archives import read_zip
from avatar3d.export.splats import scene, turned

_LARGEST = 8 << 30  # bytes of a file that is read into memory


def import_avatar(path: Path | str) -> Avatar:
    """Returns what a file holds: an avatar, or splats without a head (`head` is then "scene").

    Splat files are turned from the axes of their format (y down in most) to ours, y up.

    Raises:
        AvatarError: No such file, an unknown kind, damaged, or too large.
    """
    path = Path(path)
    data, where = _bytes(path), str(path)
    if data[8:9] == b"{":
        return store.load(path)
    if data[:3] == b"ply":
        return scene(turned(_ply(data, where)), path.name)
    if path.suffix.lower() in (".usd", ".usda", ".usdc"):
        return scene(usd.read(path), path.name)
    if data[:2] == b"\x1f\x8b" or data[:4] == b"NGSP":
        return scene(spz.read(data, where), path.name)
    if data[:4] == b"glTF":
        return glb_reading.read_avatar(data, where, path.name)
    if data[:2] == b"PK":
        return _zip(data, path)
    if path.suffix.lower() == ".splat":
        return scene(turned(splat_file.read(data, where)), path.name)
    raise AvatarError(f"{where}: neither an avatar nor splats in a format that can be read; see docs/formats.md")


def _ply(data: bytes, where: str) -> Gaussians:
    tables = ply.unpack(data, where)
    if compressed_ply.is_compressed(tables):
        return compressed_ply.from_tables(tables, where)
    if baked.is_baked(tables):
        animation = baked.from_tables(tables, where)
        return animation.posed(animation.base)
    return ply.from_table(tables, where)


def _zip(data: bytes, path: Path) -> Avatar:
    files = read_zip(data, str(path))
    if "meta.json" in files:
        return scene(turned(sog.from_files(files, str(path))), path.name)
    if lam.folder_of(files) is not None:
        return lam.from_files(files, str(path), path.name)
    if any(name.endswith((".usdc", ".usda", ".usd")) for name in files):
        return scene(usd.read(path), path.name)
    raise AvatarError(f"{path}: a zip of neither splats (.sog, .usdz) nor a LAM avatar")


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > _LARGEST:
            raise AvatarError(f"{path}: larger than {_LARGEST >> 30} GB; it cannot be read")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise AvatarError(f"{path}: no such file") from error
    except OSError as error:
        raise AvatarError(f"{path}: cannot be read ({error.strerror})") from error
