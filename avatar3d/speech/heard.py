"""What a moment sounds like, as numbers that a radiance field listens to: cepstra around each picture of a clip."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from avatar3d.speech.features import features
from avatar3d.speech.sound import Sound, SoundFile

_AROUND = (-16, -10, -5, 0, 5, 10, 16)
"""Hundredths of a second around a picture: a mouth is ahead of some sounds and behind others."""
_CEPSTRA = 13
WIDTH = len(_AROUND) * (_CEPSTRA + 1)
"""Numbers of a moment."""
_SPEAKS = 0.5  # activity above which a frame is of the voice


def heard(sound: Sound | SoundFile | Path | str, fps: float, frames: int | None = None) -> Float[np.ndarray, "t a"]:
    """Returns what each picture of a performance hears: cepstra and activity at seven moments around it.

    Cepstra are taken relative to their mean over the recording's speech, in units of their spread there, so that voices
    and microphones matter less.

    Args:
        sound: Begins with the first picture.
        fps: Pictures a second.
        frames: How many; by default as many as the sound lasts. Silence follows its end.
    """
    found = features(sound)
    mfcc, active = np.asarray(found.mfcc, np.float64), np.asarray(found.activity, np.float64)
    spoken = mfcc[active > _SPEAKS] if (active > _SPEAKS).sum() > 10 else mfcc
    mean, spread = spoken.mean(0), spoken.std(0).clip(1e-3)
    rows = np.concatenate([((mfcc - mean) / spread).clip(-4, 4), active[:, None]], axis=1)
    count = round(len(rows) / 100 * fps) if frames is None else frames
    middle = np.round((np.arange(count) + 0.5) / fps * 100).astype(int)
    silence = np.concatenate([rows, np.zeros((1, rows.shape[1]))])
    where = middle[:, None] + np.array(_AROUND)
    where = np.where((where < 0) | (where >= len(rows)), len(rows), where)
    return silence[where].reshape(count, -1).astype(np.float32)
