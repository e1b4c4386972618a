"""A clip beside the avatar: the frame and the camera of each moment of a performance."""

import threading
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from avatar3d import geometry
from avatar3d.core import Camera, Clip
from avatar3d.speech.sound import Sound


@dataclass(frozen=True)
class Source:
    """Frames that the timeline's moments were seen in."""

    clip: Clip
    rows: tuple[int, ...]
    """The frame of each moment."""
    cameras: Camera
    """One, or one for each frame of the clip, in the studio's world."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def frame(self, moment: int) -> UInt8[np.ndarray, "h w 3"]:
        """Returns the picture of a moment."""
        with self._lock:
            return np.asarray(self.clip.frames[self._row(moment)])[..., :3]

    def mask(self, moment: int) -> UInt8[np.ndarray, "h w"] | None:
        """Returns where the person is (255), if that was cut out."""
        if self.clip.masks is None:
            return None
        with self._lock:
            return np.asarray(self.clip.masks[self._row(moment)]).reshape(self.clip.height, self.clip.width)

    def camera(self, moment: int) -> Camera:
        """Returns the camera of a moment."""
        return self.cameras.at(self._row(moment))

    @property
    def sound(self) -> Sound | None:
        """What is heard in the clip."""
        clip = self.clip
        return Sound(np.asarray(clip.audio), clip.rate) if clip.audio is not None and clip.rate else None

    def _row(self, moment: int) -> int:
        return self.rows[min(max(moment, 0), len(self.rows) - 1)]


def beside(clip: Clip, cameras: Camera, home: Float[Tensor, "4 4"]) -> Source:
    """Returns a clip as what an avatar is compared with.

    Args:
        clip: Each time step of it is a moment of the performance.
        cameras: Of the clip, in the avatar's world.
        home: From that world to the studio's.
    """
    steps = clip.steps
    rows = tuple(int(np.flatnonzero(steps == step)[0]) for step in range(int(steps.max()) + 1) if (steps == step).any())
    w2c = cameras.w2c.float() @ geometry.rigid_inverse(home).to(torch.float32)
    return Source(clip, rows, Camera(w2c, cameras.K.float(), cameras.width, cameras.height))
