"""The demo's pictures of one avatar."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from avatar3d import score
from avatar3d.core import Avatar, Clip, Pose, Track
from avatar3d.render import frames
from avatar3d.render.path import orbit_views, posed, swing, view

_CELL = 256  # pixels of a picture in the strip
_WHITE = (1.0, 1.0, 1.0)

# Title, values by name, camera yaw in degrees.
STRIP: tuple[tuple[str, dict[str, float], float], ...] = (
    ("at rest", {}, 0.0),
    ("jawOpen 0.6", {"jawOpen": 0.6}, 0.0),
    ("mouthSmile 0.9", {"mouthSmile": 0.9}, 0.0),
    ("mouthPucker 0.9", {"mouthPucker": 0.9}, 0.0),
    ("eyeBlink 1", {"eyeBlink": 1.0}, 0.0),
    ("gazeYaw 25", {"gazeYaw": 25.0}, 0.0),
    ("headYaw 25", {"headYaw": 25.0}, 0.0),
    ("from -30", {}, -30.0),
    ("from +30", {}, 30.0),
    ("from +75", {}, 75.0),
    ("from behind", {}, 180.0),
)


def orbit(avatar: Avatar, degrees: float, count: int, size: int = 512) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Yields the avatar as in its photo, or at rest, while the camera swings around it."""
    pose = as_seen(avatar).map(lambda x: x.expand(count, *x.shape))
    return frames(avatar, pose, orbit_views(swing(degrees, count), 0.0, (size, size)), _WHITE)


def as_seen(avatar: Avatar) -> Pose:
    """Returns the expression of the photo an avatar was fitted to, upright; of a clip, the head at rest.

    One photo shows one expression, and that is how people know the face.
    """
    pose = posed(avatar.head, {})
    if avatar.motion is None or len(avatar.motion) != 1:
        return pose
    return replace(pose, expression=avatar.motion.pose.expression[0])


def strip(avatar: Avatar, clip: Clip, columns: int = 6) -> UInt8[np.ndarray, "h w 3"]:
    """Returns the input and titled pictures of expressions and views on one sheet."""
    cells = [_titled(_square(clip.frames[0], 2 * _CELL), "input")]
    for title, settings, yaw in STRIP:
        pose = (posed(avatar.head, settings) if settings or not yaw else as_seen(avatar)).map(lambda x: x[None])
        camera = view(yaw, 0.0, (_CELL * 2, _CELL * 2), zoom=0.95)
        cells.append(_titled(next(frames(avatar, pose, camera, _WHITE)), title))
    rows = [np.concatenate(cells[i : i + columns], axis=1) for i in range(0, len(cells), columns)]
    return np.concatenate(rows, axis=0)


def side_by_side(avatar: Avatar, clip: Clip, solved: Track) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Yields each frame of the clip beside the avatar in the tracked pose, through the camera that saw it."""
    pose = solved.motion.pose[torch.from_numpy(clip.steps)]
    shown = frames(avatar, pose, solved.camera, _WHITE)
    for frame, picture in zip(clip.frames, shown, strict=True):
        yield np.concatenate([frame, picture], axis=1)


def fitted_psnr(avatar: Avatar, clip: Clip, solved: Track) -> float:
    """Returns how close the avatar is to the photo it was fitted to, on white, in dB. Not a held-out figure."""
    truth = score.Truth(clip.frames[0], _mask(clip), np.zeros((0, 3))).on_white
    rendered = next(frames(avatar, solved.motion.pose, solved.camera, _WHITE))
    return score.psnr(*(torch.from_numpy(x.astype(np.float32)) / 255 for x in (rendered, truth)))


def counted(images: Iterable[np.ndarray], total: int, report: Callable[[int], None]) -> Iterator[np.ndarray]:
    """Passes images on and reports how many have gone by."""
    for i, image in enumerate(images, start=1):
        report(min(i, total))
        yield image


def _mask(clip: Clip) -> UInt8[np.ndarray, "h w"]:
    return np.full((clip.height, clip.width), 255, np.uint8) if clip.masks is None else clip.masks[0]


def _square(image: UInt8[np.ndarray, "h w 3"], side: int) -> UInt8[np.ndarray, "s s 3"]:
    """Returns the picture shrunk or enlarged to fit a white square."""
    sheet = Image.new("RGB", (side, side), "white")
    height, width = image.shape[:2]
    size = round(width * side / max(height, width)), round(height * side / max(height, width))
    scaled = Image.fromarray(image).resize(size, Image.Resampling.LANCZOS)
    sheet.paste(scaled, ((side - size[0]) // 2, (side - size[1]) // 2))
    return np.asarray(sheet)


def _titled(image: UInt8[np.ndarray, "h w 3"], title: str) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Returns the picture at half its size (four samples a pixel) with its title below."""
    sheet = Image.new("RGB", (_CELL, _CELL + 22), "white")
    sheet.paste(Image.fromarray(image).resize((_CELL, _CELL), Image.Resampling.BOX))
    draw = ImageDraw.Draw(sheet)
    draw.text((_CELL / 2, _CELL + 10), title, fill=(60, 60, 60), font=ImageFont.load_default(13), anchor="mm")
    return np.asarray(sheet)
