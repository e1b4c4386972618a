"""The score of a fit on frames it has never seen: whole frame, head box, and the hull of the face.

- Whole frame: the truth is the source frame with its background turned white by the matte, at the clip's size.
- Head box: the same, cut to a box around head and hair, set by the landmarks.
- Face: pixels inside the convex hull of the landmarks, against the source frame as it is. No matte enters there, so
  that a generous matte cannot flatter the figure.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from scipy.spatial import ConvexHull, QhullError
from torch import Tensor

from avatar3d.core import AvatarError
from avatar3d.ops.lpips import SMALLEST, lpips
from avatar3d.render.video import write_png
from avatar3d.score.image import psnr, ssim


@dataclass(frozen=True)
class Truth:
    """One held-out frame of the source."""

    frame: UInt8[np.ndarray, "h w 3"]
    matte: UInt8[np.ndarray, "h w"]
    """255 = person."""
    landmarks: Float[np.ndarray, "l 3"]
    """Pixels; NaN where no face was found."""

    @property
    def on_white(self) -> UInt8[np.ndarray, "h w 3"]:
        """The frame with its background turned white."""
        alpha = self.matte[..., None].astype(np.float32) / 255
        return (self.frame * alpha + 255 * (1 - alpha) + 0.5).astype(np.uint8)


@dataclass(frozen=True)
class FitScore:
    """Means over frames. `None` where a figure could not be had; `notes` says why."""

    psnr: float
    ssim: float
    lpips: float | None
    head: Mapping[str, float | None]
    face: Mapping[str, float | None]
    frames: int
    seconds: Mapping[str, float] = field(default_factory=dict)
    """What capture, track and fit took, as written into the avatar."""
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Returns the fields for `--json`."""
        names = ("psnr", "ssim", "lpips", "head", "face", "frames", "seconds", "notes")
        return {name: getattr(self, name) for name in names}


def score_frames(
    pairs: Iterable[tuple[Truth, UInt8[np.ndarray, "h w 3"]]],
    seconds: Mapping[str, float] | None = None,
    dump: Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> FitScore:
    """Returns the mean scores of (truth, render on white) pairs.

    Args:
        pairs: Taken one at a time.
        seconds: Timings to carry along.
        dump: Folder that gets `%05d_truth.png`, `%05d_render.png` and `%05d_matte.png` for each frame.
        progress: Called with the number of frames done.

    Raises:
        AvatarError: No frames, or a render of another size than its truth.
    """
    whole, head, face = _Means(), _Means(), _Means()
    perceptual, count = _Perceptual(), 0
    for truth, rendered in pairs:
        if rendered.shape != truth.frame.shape:
            raise AvatarError(f"score: render of {rendered.shape} for a frame of {truth.frame.shape}")
        white = truth.on_white
        if dump is not None:
            for name, image in (("truth", white), ("render", rendered), ("matte", truth.matte)):
                write_png(dump / f"{count:05d}_{name}.png", image)
        want, got = _unit(white), _unit(rendered)
        whole.add(psnr=psnr(got, want), ssim=ssim(got, want), lpips=perceptual(got, want))
        points = truth.landmarks[:, :2]
        if np.isfinite(points).all():
            height, width = truth.matte.shape
            rows, columns = head_box(points, height, width)
            a, b = got[rows, columns], want[rows, columns]
            if min(a.shape[:2]) >= 11:
                head.add(psnr=psnr(a, b), ssim=ssim(a, b), lpips=perceptual(a, b))
            hull = hull_mask(points, height, width)
            if hull[5:-5, 5:-5].any():
                face.add(**_face(got, _unit(truth.frame), torch.from_numpy(hull), perceptual))
        count += 1
        if progress is not None:
            progress(count)
    if count == 0:
        raise AvatarError("score: no held-out frames; fit with --hold-out above 0 or give a longer clip")
    notes = list(perceptual.notes)
    if face.count < count:
        notes.append(f"no face in {count - face.count} of {count} frames: left out of head and face")
    means = whole.means()
    return FitScore(
        psnr=means["psnr"] or 0.0,
        ssim=means["ssim"] or 0.0,
        lpips=means["lpips"],
        head=head.means(),
        face=face.means(),
        frames=count,
        seconds=dict(seconds or {}),
        notes=tuple(notes),
    )


def head_box(points: Float[np.ndarray, "l 2"], height: int, width: int) -> tuple[slice, slice]:
    """Returns rows and columns of a box around head and hair.

    The landmarks end at the hairline and the chin: the box adds half of their height above, a tenth below and a third
    of their width on both sides, and ends at the frame.
    """
    (left, top), (right, bottom) = points.min(0), points.max(0)
    tall, wide = bottom - top, right - left
    y0, y1 = max(0, int(top - 0.5 * tall)), min(height, math.ceil(bottom + 0.1 * tall))
    x0, x1 = max(0, int(left - 0.33 * wide)), min(width, math.ceil(right + 0.33 * wide))
    return slice(y0, max(y0, y1)), slice(x0, max(x0, x1))


def hull_mask(points: Float[np.ndarray, "l 2"], height: int, width: int) -> Bool[np.ndarray, "h w"]:
    """Returns the pixels whose centres lie inside the convex hull of the points."""
    try:
        planes = ConvexHull(points).equations  # each row (a, b, c): inside where a x + b y + c <= 0
    except (QhullError, ValueError):
        return np.zeros((height, width), dtype=bool)
    x, y = np.arange(width) + 0.5, np.arange(height)[:, None] + 0.5
    inside = np.ones((height, width), dtype=bool)
    for a, b, c in planes:
        inside &= a * x + b * y + c <= 0
    return inside


class _Means:
    """Running means by name; a value that is None makes the mean None."""

    def __init__(self) -> None:
        self.count = 0
        self._sums: dict[str, float | None] = {"psnr": 0.0, "ssim": 0.0, "lpips": 0.0}

    def add(self, **values: float | None) -> None:
        self.count += 1
        for name, value in values.items():
            held = self._sums[name]
            self._sums[name] = None if held is None or value is None else held + value

    def means(self) -> dict[str, float | None]:
        if not self.count:
            return dict.fromkeys(self._sums)
        return {name: None if value is None else value / self.count for name, value in self._sums.items()}


class _Perceptual:
    """LPIPS while its weights can be had; afterwards None, with the reason noted once."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._small = f"lpips is null where a picture has a side below {SMALLEST} pixels"

    def __call__(self, a: Float[Tensor, "h w 3"], b: Float[Tensor, "h w 3"]) -> float | None:
        if min(a.shape[:2]) < SMALLEST:
            if self._small not in self.notes:
                self.notes.append(self._small)
            return None
        if any(note != self._small for note in self.notes):
            return None
        try:
            return lpips(a, b)
        except AvatarError as error:
            self.notes.append(f"lpips is null: {error}")
            return None


def _face(
    got: Float[Tensor, "h w 3"], want: Float[Tensor, "h w 3"], hull: Bool[Tensor, "h w"], perceptual: _Perceptual
) -> dict[str, float | None]:
    """Returns the scores inside the hull; what lies outside is white in both pictures, for windows that reach over."""
    mask, inside = hull.float(), hull[..., None]
    a, b = (torch.where(inside, x, 1.0) for x in (got, want))
    rows, columns = (torch.nonzero(hull.any(axis))[:, 0] for axis in (1, 0))
    box = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    return {"psnr": psnr(a, b, mask), "ssim": ssim(a, b, mask), "lpips": perceptual(a[box], b[box])}


def _unit(image: UInt8[np.ndarray, "h w 3"]) -> Float[Tensor, "h w 3"]:
    return torch.from_numpy(image.astype(np.float32)) / 255
