"""Tensors in a file with a JSON header: what is read is checked before it is used, and nothing is ever executed."""

import contextlib
import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from avatar3d.core import AvatarError

FORMAT = "avatar3d"
VERSION = 2
"""Of files with edits; those without are written as version 1, so that older programs read them."""
_HEADER_LIMIT = 64 << 20  # bytes; a few kB, or some MB with pictures in edits: more is a damaged or hostile file
_FLOATS = (torch.float32, torch.float64, torch.float16)


@dataclass(frozen=True)
class Header:
    """What stands at the beginning of a file."""

    kind: str
    plain: dict[str, Any]


def header(path: Path) -> Header:
    """Returns the checked header without touching the tensors."""
    try:
        with open(path, "rb") as file:
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            if not 2 <= length <= _HEADER_LIMIT:
                raise AvatarError(f"{path}: not an avatar3d file; make one with `avatar3d fit`")
            text = file.read(length)
    except FileNotFoundError as error:
        raise AvatarError(f"{path}: no such file") from error
    except OSError as error:
        raise AvatarError(f"{path}: cannot be read ({error.strerror})") from error
    if len(text) < length:
        raise AvatarError(f"{path}: not an avatar3d file, or truncated; copy or make it again")
    try:
        ours = json.loads(json.loads(text)["__metadata__"][FORMAT], parse_constant=_no_constant)
        version, kind, plain = int(ours["version"]), str(ours["kind"]), ours["value"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise AvatarError(f"{path}: not an avatar3d file, or a damaged one; make it with `avatar3d fit`") from error
    if version > VERSION:
        newer = f"file version {version}, this program reads up to {VERSION}"
        raise AvatarError(f"{path}: written by a newer avatar3d ({newer}); update the program")
    if version < 1 or not isinstance(plain, dict):
        raise AvatarError(f"{path}: its header is damaged (version {version}); make the file again")
    return Header(kind, plain)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


@contextlib.contextmanager
def plainly(where: str) -> Iterator[None]:
    """Turns what a header of the wrong form raises into one line."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise AvatarError(f"{where}: its header is damaged ({error}); make the file again") from error


def check(tensors: Mapping[str, Tensor], axes: Mapping[str, str], where: str) -> None:
    """Raises an `AvatarError` unless exactly these tensors are there, finite, with shapes that agree."""
    missing, unknown = set(axes) - set(tensors), set(tensors) - set(axes)
    if missing or unknown:
        what = f"'{min(missing)}' is missing" if missing else f"'{min(unknown)}' is not known"
        raise AvatarError(f"{where}: tensor {what}; the file is damaged or not from this program")
    sizes: dict[str, int] = {}
    for name, form in axes.items():
        tensor, letters = tensors[name], form.split()
        if tensor.dim() != len(letters):
            raise AvatarError(f"{where}: {name} has shape {tuple(tensor.shape)}, expected axes ({form})")
        for letter, size in zip(letters, tensor.shape, strict=True):
            expected = int(letter) if letter.isdigit() else sizes.setdefault(letter, size)
            if size != expected:
                raise AvatarError(
                    f"{where}: {name} has shape {tuple(tensor.shape)}, expected {expected} for '{letter}'"
                )
        if name == "binding.face":
            if tensor.dtype not in (torch.int32, torch.int64):
                raise AvatarError(f"{where}: {name} is {tensor.dtype}, expected whole numbers")
        elif tensor.dtype not in _FLOATS:
            raise AvatarError(f"{where}: {name} is {tensor.dtype}, expected floating-point numbers")
        elif not bool(torch.isfinite(tensor).all()):
            raise AvatarError(f"{where}: {name} holds NaN or infinity; make the file again")
