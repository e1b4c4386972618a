"""Files that are written completely or not at all."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from avatar3d.core import AvatarError


@contextlib.contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Gives a temporary path beside `path` and moves it into place when the block succeeds.

    On any error the temporary file is removed and an older file at `path` stays as it was.

    Raises:
        AvatarError: The folder cannot be written, or the disk is full.
    """
    path = Path(path)
    with _temporary(path) as temporary:
        yield temporary
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)


@contextlib.contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """Gives an empty file beside `path` and removes it at the end if it is still there."""
    if path.is_dir():
        raise AvatarError(f"{path}: is a folder; give the name of a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise AvatarError(_disk(path, error)) from error
    try:
        yield Path(name)
    except OSError as error:
        raise AvatarError(_disk(path, error)) from error
    finally:
        Path(name).unlink(missing_ok=True)


def check_writable(path: Path | str) -> None:
    """Checks before long work that a file could be written at `path`; leaves nothing behind.

    Raises:
        AvatarError: The folder cannot be written, or `path` is a folder.
    """
    path = Path(path)
    fresh = next((p for p in reversed([path.parent, *path.parent.parents]) if not p.exists()), None)
    with _temporary(path):
        pass
    if fresh is not None:
        for folder in [path.parent, *path.parent.parents]:
            folder.rmdir()
            if folder == fresh:
                break


def _umask() -> int:
    """Returns the process's file mode mask: `mkstemp` makes private files, results should be ordinary ones."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _disk(path: Path, error: OSError) -> str:
    """Returns one line for a failed write."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{path}: no space left to write it; free some space or write elsewhere"
    return f"{path}: cannot be written ({error.strerror or error})"


def write_bytes(path: Path | str, data: bytes) -> None:
    """Writes a whole file or nothing."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def write_text(path: Path | str, text: str) -> None:
    """Writes a whole UTF-8 file or nothing."""
    write_bytes(path, text.encode())
