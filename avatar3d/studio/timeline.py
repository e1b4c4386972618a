"""Where a performance stands: frame, play, loop and speed, as a value that time moves on."""

import math
from dataclasses import dataclass, replace

SPEEDS = (0.1, 4.0)
"""Slowest and quickest."""


@dataclass(frozen=True)
class Timeline:
    """A place in a performance."""

    frames: int = 0
    """How many there are; 0 for none."""
    fps: float = 25.0
    at: float = 0.0
    """In frames, from 0 to the last; between two while it plays."""
    playing: bool = False
    loop: bool = True
    speed: float = 1.0

    @property
    def frame(self) -> int:
        """The frame shown."""
        return max(0, min(self.frames - 1, math.floor(self.at + 1e-6)))

    @property
    def seconds(self) -> float:
        """Time of the frame shown."""
        return self.frame / self.fps

    def advanced(self, seconds: float) -> "Timeline":
        """Returns where it stands so much later; at the end it begins anew or stops."""
        if not self.playing or self.frames < 2:
            return self
        at = self.at + seconds * self.fps * self.speed
        if at < self.frames:
            return replace(self, at=at)
        return replace(self, at=at % self.frames) if self.loop else replace(self, at=self.frames - 1.0, playing=False)

    def moved(self, frame: float | int) -> "Timeline":
        """Returns it at another frame, kept in range."""
        return replace(self, at=float(max(0.0, min(frame, self.frames - 1.0))) if self.frames else 0.0)

    def played(self, on: bool) -> "Timeline":
        """Returns it playing or not; play at the end begins anew."""
        over = on and not self.loop and self.frame >= self.frames - 1
        return replace(self, playing=on and self.frames > 1, at=0.0 if over else self.at)

    def timed(self, speed: float | int) -> "Timeline":
        """Returns it at another speed, kept in `SPEEDS`."""
        return replace(self, speed=min(max(speed, SPEEDS[0]), SPEEDS[1]))
