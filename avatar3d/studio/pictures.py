"""What one person sees: the avatar drawn by the renderer of films, in several ways, alone or beside something else."""

from dataclasses import dataclass
from typing import Literal, get_args

import cv2
import numpy as np
import torch
from jaxtyping import UInt8

from avatar3d.core import Avatar, Camera
from avatar3d.render.image import quantise
from avatar3d.studio.drawing import Draw, drawn
from avatar3d.studio.scene import Scene

Compare = Literal["off", "side by side", "wipe", "difference"]
Against = Literal["clip", "as opened", "before the last change"]
COMPARES, AGAINST = get_args(Compare), get_args(Against)
_GAIN = 4.0
"""How much brighter differences are shown than they are."""


@dataclass(frozen=True)
class Look:
    """How one person looks at the scene; each has their own."""

    draw: Draw = "splats"
    mesh_lines: bool = False
    """Draw the mesh's edges over it."""
    compare: Compare = "off"
    against: Against = "clip"
    wipe: float = 0.5
    """Share of the width that shows the other picture."""
    through: bool = False
    """Look through the clip's camera instead of one's own."""
    background: tuple[int, int, int] = (255, 255, 255)
    resolution: int = 1024
    """Longest side of a picture, pixels."""
    moving: int = 90
    """Milliseconds that a picture may take while something moves; it gets coarser to keep to them."""


def picture(scene: Scene, camera: Camera, look: Look, seen: Camera | None) -> UInt8[np.ndarray, "h w 3"]:
    """Returns what somebody sees.

    Args:
        scene: What there is.
        camera: Theirs; gives the size of the picture.
        look: How.
        seen: The camera that saw the clip's frame, if known.
    """
    clip = look.compare != "off" and look.against == "clip" and scene.source is not None
    through = seen if (clip or look.through) else None
    if look.compare == "off":
        return _fitted(scene, camera, look, through, scene.avatar)
    if clip:
        other = _frame_of(scene, camera, look, seen)
    else:
        avatar = scene.opened if look.against == "as opened" else scene.before
        other = None if look.against == "clip" else _fitted(scene, camera, look, through, avatar)
    if other is None:
        return _fitted(scene, camera, look, through, scene.avatar)
    if look.compare == "side by side":
        return _beside(scene, camera, look, through, other if clip else None)
    mine = _fitted(scene, camera, look, through, scene.avatar)
    if look.compare == "difference":
        apart = np.abs(mine.astype(np.float32) - other.astype(np.float32)) * _GAIN
        return np.clip(apart, 0, 255).astype(np.uint8)
    edge = round(mine.shape[1] * min(max(look.wipe, 0.0), 1.0))
    joined = mine.copy()
    joined[:, :edge] = other[:, :edge]
    joined[:, max(edge - 1, 0) : edge + 1] = (255, 160, 0)
    return joined


def _fitted(
    scene: Scene, camera: Camera, look: Look, through: Camera | None, avatar: Avatar
) -> UInt8[np.ndarray, "h w 3"]:
    """Returns an avatar seen by the camera, or as the clip's camera sees it with borders to the picture's size."""
    if through is None:
        return _draw(scene, avatar, camera, look)
    inner = _inside(through, camera.width, camera.height)
    return _framed(_draw(scene, avatar, inner, look), camera, look)


def _draw(scene: Scene, avatar: Avatar, camera: Camera, look: Look) -> UInt8[np.ndarray, "h w 3"]:
    colour = torch.tensor(look.background, dtype=torch.float32) / 255
    with torch.no_grad():
        return quantise(drawn(avatar, scene.pose, camera, look.draw, colour, scene.region, look.mesh_lines))


def _frame_of(scene: Scene, camera: Camera, look: Look, seen: Camera | None) -> UInt8[np.ndarray, "h w 3"] | None:
    """Returns the clip's frame with borders; for a difference only the person."""
    source = scene.source
    if source is None:
        return None
    frame = source.frame(scene.frame)
    mask = source.mask(scene.frame) if look.compare == "difference" else None
    if mask is not None:
        share = mask[..., None].astype(np.float32) / 255
        frame = (frame * share + np.array(look.background, np.float32) * (1 - share) + 0.5).astype(np.uint8)
    inner = _inside(seen, camera.width, camera.height) if seen is not None else camera
    return _framed(_resized(frame, inner.width, inner.height), camera, look)


def _beside(
    scene: Scene, camera: Camera, look: Look, through: Camera | None, frame: np.ndarray | None
) -> UInt8[np.ndarray, "h w 3"]:
    """Returns the other picture to the left, the avatar to the right; above and below where it is higher than wide."""
    upright = camera.height > camera.width
    half = Camera(camera.w2c, camera.K, max(camera.width // 2, 1), camera.height)
    if upright:
        half = Camera(camera.w2c, camera.K, camera.width, max(camera.height // 2, 1))
    shift = torch.tensor([(camera.width - half.width) / 2, (camera.height - half.height) / 2])
    K = camera.K.clone()
    K[:2, 2] -= shift
    scale = min(half.width / camera.width, half.height / camera.height) * 1.3  # halves show nearly as much as a whole
    K[0, 0], K[1, 1] = K[0, 0] * min(scale, 1.0), K[1, 1] * min(scale, 1.0)
    half = Camera(half.w2c, K, half.width, half.height)
    mine = _fitted(scene, half, look, through, scene.avatar)
    if frame is not None:
        other = _frame_of(scene, half, look, through)
    else:
        other = _fitted(scene, half, look, through, scene.opened if look.against == "as opened" else scene.before)
    pair = [mine if other is None else other, mine]
    return _exactly(np.concatenate(pair, axis=0 if upright else 1), camera, look)


def _inside(seen: Camera, width: int, height: int) -> Camera:
    """Returns the clip's camera as large as fits into a picture."""
    return seen.scaled(min(width / seen.width, height / seen.height))


def _framed(image: np.ndarray, camera: Camera, look: Look) -> UInt8[np.ndarray, "h w 3"]:
    """Returns a picture in the middle of one of the camera's size."""
    height, width = min(image.shape[0], camera.height), min(image.shape[1], camera.width)
    if (height, width) == (camera.height, camera.width):
        return image[:height, :width]
    whole = np.empty((camera.height, camera.width, 3), np.uint8)
    whole[:] = [round(0.93 * c + 0.035 * 255 if c < 128 else 0.93 * c) for c in look.background]
    top, left = (camera.height - height) // 2, (camera.width - width) // 2
    whole[top : top + height, left : left + width] = image[:height, :width]
    return whole


def _exactly(image: np.ndarray, camera: Camera, look: Look) -> UInt8[np.ndarray, "h w 3"]:
    return image if image.shape[:2] == (camera.height, camera.width) else _framed(image, camera, look)


def _resized(image: np.ndarray, width: int, height: int) -> UInt8[np.ndarray, "h w 3"]:
    if image.shape[:2] == (height, width):
        return image
    smaller = width * height < image.shape[0] * image.shape[1]
    resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
    return np.asarray(resized).astype(np.uint8)
