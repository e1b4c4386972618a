"""Which frames of a clip are fitted to, and which are kept back to score on."""

import math
from dataclasses import dataclass

import numpy as np

from avatar3d.core import AvatarError, Clip


@dataclass(frozen=True)
class Division:
    """Frame numbers."""

    train: list[int]
    held: list[int]
    """What to score on; may be empty."""
    steps: int
    """Time steps, from the first, that frames to train on show."""


def divide(clip: Clip, hold_out: float) -> Division:
    """Returns the frames to train on and those to score on.

    Of a video the last `hold_out` of the frames are kept back, of several views the last time steps; of several views
    of one moment every n-th camera, n = 1 / `hold_out`. A single picture is never kept back. Frames that the capture
    itself sets aside (transforms_test.json) are never trained on; they are what is scored where `hold_out` is 0.

    Args:
        clip: Any.
        hold_out: Share to keep back.

    Raises:
        AvatarError: `hold_out` is not in [0, 0.9], or the capture sets every frame aside.
    """
    if not 0 <= hold_out <= 0.9:
        raise AvatarError(f"--hold-out {hold_out:g}: give the share of frames to keep back, from 0 to 0.9")
    frames, times = np.arange(len(clip)), clip.steps
    total = int(times.max()) + 1
    aside = np.zeros(len(clip), bool) if clip.held is None else clip.held
    steps = total if total == 1 else max(1, total - math.floor(total * hold_out + 1e-9))
    early = times < steps
    if total == 1 and clip.times is not None and hold_out > 0:
        every = max(2, round(1 / hold_out))
        late = ~aside & ((np.cumsum(~aside) - 1) % every == every // 2)
        early = ~late
    else:
        late = ~early & ~aside
    train = frames[early & ~aside]
    if not len(train):
        raise AvatarError(f"{clip.source}: every frame is set aside for scoring; leave some to fit to")
    held = frames[late] if late.any() else frames[early & aside]
    return Division(train.tolist(), held.tolist(), steps)
