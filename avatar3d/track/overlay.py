"""The tracked mesh laid over the frames, to look at."""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, UInt8

from avatar3d import heads
from avatar3d.core import AvatarError, Camera, Clip, Track
from avatar3d.render.shade import shade
from avatar3d.track.embedding import SKIN, on, place

_OPACITY = 0.55
_SEEN, _MODEL = (60, 255, 90), (255, 70, 50)


def overlay(clip: Clip, track: Track, dots: bool = True) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Yields each frame with the shaded mesh over it, detected landmarks in green and the model's in red.

    Args:
        clip: The clip that was tracked.
        track: Its solution.
        dots: Whether to draw landmarks.

    Raises:
        AvatarError: If clip and track differ in length or size.
    """
    if len(track.motion) != int(clip.steps.max()) + 1 or (track.camera.width, track.camera.height) != (
        clip.width,
        clip.height,
    ):
        raise AvatarError(
            f"{clip.source}: {len(clip)} frames of {clip.width}x{clip.height}, but the track has {len(track.motion)} "
            f"of {track.camera.width}x{track.camera.height}; track this clip again"
        )
    head = heads.load(track.head)
    embedding, faces = on(head), head.faces.cpu().numpy()
    for n, image in enumerate(clip.frames):
        with torch.no_grad():
            step, camera = int(clip.steps[n]), track.camera.at(n)
            vertices = head.vertices(track.identity, track.motion.pose[step])
            seen = shade(vertices, head.faces, camera, supersample=1)
        cover = seen.alpha.numpy() * _OPACITY
        out = image[..., :3] * (1 - cover) + 255 * seen.rgb.numpy() * _OPACITY
        if track.quality[step] == 0:
            out = out * np.array([1.0, 0.6, 0.6])  # bridged: no face was seen here
        out = np.ascontiguousarray(out.clip(0, 255).astype(np.uint8))
        if dots:
            points = place(vertices.double().numpy(), faces, embedding)
            _dot(out, _pixels(points, camera)[:SKIN], _MODEL)
            if clip.landmarks is not None and np.isfinite(clip.landmarks[n]).all():
                _dot(out, clip.landmarks[n, :, :2], _SEEN)
        yield out


def _pixels(points: Float[np.ndarray, "l 3"], camera: Camera) -> Float[np.ndarray, "l 2"]:
    w2c, K = camera.w2c.double().numpy(), camera.K.double().numpy()
    inside = points @ w2c[:3, :3].T + w2c[:3, 3]
    flat = inside @ K.T
    return flat[:, :2] / np.maximum(flat[:, 2:], 1e-6)


def _dot(image: np.ndarray, points: np.ndarray, colour: tuple[int, int, int]) -> None:
    """Paints one pixel a landmark in place."""
    at = np.floor(points).astype(int)
    inside = (at >= 0).all(1) & (at[:, 0] < image.shape[1]) & (at[:, 1] < image.shape[0])
    image[at[inside, 1], at[inside, 0]] = colour
