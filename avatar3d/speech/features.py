"""What is heard in a sound at each hundredth of a second: spectrum, pitch, loudness, the first formant, speech or not.

    heard = features(read_sound("speech.wav"))

`Features` is the same for a stream: fed with blocks of any length it returns the frames that are complete, bit for bit
those of the whole sound. It lags 20 ms behind (half of the window that pitch needs).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from avatar3d.core import AvatarError
from avatar3d.speech import spectra, voice
from avatar3d.speech.extractors import Extractor, extracted
from avatar3d.speech.sound import RATE, Sound, SoundFile, mono_blocks
from avatar3d.speech.spectra import FPS, HOP, Windows


@dataclass(frozen=True)
class AudioFeatures:
    """A sound, frame by frame: frame i is centred on `times[i]`, 100 frames a second."""

    times: Float[np.ndarray, " t"]
    """Seconds from the first sample."""
    mel: Float[np.ndarray, "t 40"]
    """Natural logarithm of the power in 40 mel bands, 60 to 7600 Hz; about -16 (silence) to 9."""
    mfcc: Float[np.ndarray, "t 13"]
    """Cepstra as the acoustic model needs them, before normalisation."""
    f0: Float[np.ndarray, " t"]
    """Pitch in Hz, 75 to 500; 0 where there is none."""
    voicing: Float[np.ndarray, " t"]
    """How periodic the sound is, 0 to 1: about .45 and more in voiced speech."""
    intensity: Float[np.ndarray, " t"]
    """Root mean square over 25 ms, dB below a full-scale square wave; -100 at least."""
    f1: Float[np.ndarray, " t"]
    """First formant in Hz, 200 to 1100; 0 where there is no pitch."""
    activity: Float[np.ndarray, " t"]
    """How surely somebody speaks, 0 to 1."""
    extra: Mapping[str, Float[np.ndarray, "t d"]] = field(default_factory=dict)
    """What plug-in extractors heard, by name; see `avatar3d.speech.extractors`."""

    def __len__(self) -> int:
        return len(self.times)

    def __getitem__(self, index: slice) -> "AudioFeatures":
        """Returns some of the frames."""
        parts: dict[str, Any] = {f.name: getattr(self, f.name)[index] for f in fields(self) if f.name != "extra"}
        return AudioFeatures(**parts, extra={name: values[index] for name, values in self.extra.items()})


class Features:
    """Features of a stream at 16 kHz: push blocks, get frames, flush at the end."""

    delay = voice.HALF / RATE
    """Seconds of sound after a frame's centre that the frame needs."""

    def __init__(self) -> None:
        self._windows = Windows(voice.HALF)
        self._activity = voice.Activity()
        self._frames = 0

    def push(self, block: Float[np.ndarray, " a"]) -> AudioFeatures:
        """Returns the frames that are complete with this block of samples in [-1, 1]."""
        return self._of(self._windows.push(block))

    def flush(self) -> AudioFeatures:
        """Returns the frames of the end; the sound ends in silence."""
        return self._of(self._windows.flush())

    def _of(self, windows: np.ndarray) -> AudioFeatures:
        times = (np.arange(self._frames, self._frames + len(windows)) / FPS).astype(np.float64)
        self._frames += len(windows)
        mel = spectra.log_mel(windows)
        f0, voicing = voice.pitch(windows)
        intensity = voice.intensity(windows)
        return AudioFeatures(
            times=times,
            mel=mel,
            mfcc=spectra.cepstra(windows),
            f0=f0,
            voicing=voicing,
            intensity=intensity,
            f1=voice.first_formant(windows, f0 > 0),
            activity=self._activity.push(intensity, voicing, mel),
        )


def feature_blocks(sound: Sound | SoundFile | Path | str, frames: int = 1000) -> Iterator[AudioFeatures]:
    """Yields the features of a sound in pieces of about `frames` frames, in bounded memory.

    Raises:
        AvatarError: The file cannot be read as sound.
    """
    state, held, length = Features(), [], 0
    for block in mono_blocks(sound):
        for begin in range(0, len(block), frames * HOP):
            held.append(state.push(block[begin : begin + frames * HOP]))
            length += len(held[-1])
            if length >= frames:
                yield joined(held)
                held, length = [], 0
    held.append(state.flush())
    yield joined(held)


def features(sound: Sound | SoundFile | Path | str, extra: Mapping[str, Extractor] | None = None) -> AudioFeatures:
    """Returns the features of a whole sound, ceil(100 * seconds) frames.

    Args:
        sound: A sound, or a file.
        extra: Plug-in extractors by name, `(mono sound, rate) -> (values t d, frames a second)`: phone posteriors, or
            wav2vec and HuBERT features of weights that you have (`avatar3d.speech.extractors`). Their frames are
            brought to 100 a second.

    Raises:
        AvatarError: The file cannot be read as sound, or it holds not one sample.
    """
    heard = joined(list(feature_blocks(sound)))
    if not len(heard):
        raise AvatarError("the sound holds not one sample; give one that lasts longer")
    if not extra:
        return heard
    whole = np.concatenate(list(mono_blocks(sound)))
    found = {name: extracted(name, extractor, whole, heard.times) for name, extractor in extra.items()}
    return replace(heard, extra=found)


def joined(parts: list[AudioFeatures]) -> AudioFeatures:
    """Returns consecutive pieces as one."""
    names = [f.name for f in fields(AudioFeatures) if f.name != "extra"]
    whole: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return AudioFeatures(**whole)
