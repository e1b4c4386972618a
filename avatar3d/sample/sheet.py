"""Contact sheets of heads."""

import math
from collections.abc import Iterable, Mapping

import numpy as np
import torch
from jaxtyping import UInt8

from avatar3d.core import Avatar
from avatar3d.render.image import render, to_bytes
from avatar3d.render.path import posed, view

_BACKDROP = (0.64, 0.66, 0.69)


def portrait(
    avatar: Avatar, size: int = 256, yaw: float | int = 0.0, settings: Mapping[str, float | int] | None = None
) -> UInt8[np.ndarray, "h w 3"]:
    """Returns a picture of a head before grey, from the front or from `yaw` degrees."""
    with torch.no_grad():
        seen = render(
            avatar,
            posed(avatar.head, settings or {}),
            view(float(yaw), 0.0, (size, size), 1.12),
            torch.tensor(_BACKDROP),
        )
    return to_bytes(seen)


def sheet(pictures: Iterable[UInt8[np.ndarray, "h w 3"]], columns: int = 0) -> UInt8[np.ndarray, "H W 3"]:
    """Returns pictures of one size side by side, in about 3 rows for each 4 columns unless `columns` are given."""
    all_ = list(pictures)
    columns = columns or max(1, math.ceil(math.sqrt(len(all_) * 4 / 3)))
    columns = min(columns, len(all_))
    blank = np.full_like(all_[0], round(255 * _BACKDROP[0]))
    all_ += [blank] * (-len(all_) % columns)
    return np.concatenate([np.concatenate(all_[i : i + columns], 1) for i in range(0, len(all_), columns)])
