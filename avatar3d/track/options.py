"""Settings of tracking."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TrackOptions:
    """How to track."""

    head: str = "anny"
    """Head model, by name."""
    keys: int = 30
    """Keyframes that decide identity and focal length."""
    torso: bool = True
    """Follow the shoulders by optical flow; otherwise the torso trails the head."""
    firm: bool = True
    """Correct the head's pose by features followed on its firm parts: skull, hairline, ears."""
    smooth: bool = True
    """Take jitter out of the head's pose where it hardly moves, and tie expressions of neighbouring frames."""
    reading: bool = True
    """Read rotation and expressions off the landmark network's output by what was learned on renders; otherwise its
    own coefficients are all that is known beforehand."""
    ridge: float = 300.0
    """Pull of the expressions towards those read."""
    response: float = 0.25
    """How much of the network's response on renders to trust over the head's geometry, 0 to 1. It under-reacts to
    renders, hardly to people: at 1 tracked smiles and blinks overshoot by 2 to 4 mm, at 0.25 by half a millimetre."""
