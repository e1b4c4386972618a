"""Sound files as numbers: read in blocks of any size, brought to another rate. PyAV's third door.

A file of hours is never held whole: `open_sound` gives a `SoundFile` that decodes while it is iterated, `Resampler`
turns blocks of one rate into blocks of another, and both give the same samples however the blocks are cut.
"""

import math
import wave
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import av.error
import numpy as np
from jaxtyping import Float, Shaped

from avatar3d.core import AvatarError
from avatar3d.files import replacing

RATE = 16000
"""Samples a second that speech is analysed at."""

_RATES = (2000, 768_000)  # samples a second that can be read
_CROSSINGS = 24  # zero crossings of the resampler's sinc on each side: 1.5 ms at 16 kHz
_ROLLOFF = 0.94  # of the lower Nyquist frequency: where the filter is 6 dB down
_KAISER = 9.0  # stop band below -90 dB
_GROUP = 4096  # output samples computed at a time


@dataclass(frozen=True)
class Sound:
    """A piece of sound held in memory."""

    samples: Float[np.ndarray, "c a"]
    """Float32, full scale at -1 and 1."""
    rate: int
    """Samples a second."""

    @property
    def seconds(self) -> float:
        return self.samples.shape[1] / self.rate

    @property
    def mono(self) -> Float[np.ndarray, " a"]:
        """The mean of the channels."""
        return _mixed(self.samples)

    def at(self, rate: int) -> "Sound":
        """Returns the same sound at another rate; ceil(a * rate / self.rate) samples."""
        if rate == self.rate:
            return self
        return Sound(np.stack([resample(channel, self.rate, rate) for channel in self.samples]), rate)


@dataclass(frozen=True)
class SoundFile:
    """The sound of a file, decoded while it is iterated; as often as wanted."""

    path: Path
    rate: int
    """Samples a second."""
    channels: int
    """1, or 2 (more are mixed down to two)."""
    seconds: float
    """As the file says; 0 where it does not."""
    start: float
    """Time of the first sample on the file's clock, seconds: where the sound of a video begins."""

    def blocks(self) -> Iterator[Float[np.ndarray, "c a"]]:
        """Yields the sound in pieces of whatever length the file stores, at the file's own rate.

        Raises:
            AvatarError: The file holds not one sample, or samples that are no numbers.
        """
        heard = False
        with _open(self.path) as container:
            resampler = av.AudioResampler("fltp", "mono" if self.channels == 1 else "stereo", self.rate)
            for frame in _decoded(container):
                for part in resampler.resample(frame):
                    block = part.to_ndarray().astype(np.float32, copy=False)
                    if not np.isfinite(block).all():
                        raise AvatarError(f"{self.path}: holds samples that are not numbers; export it again")
                    heard = heard or block.shape[1] > 0
                    yield block
        if not heard:
            raise AvatarError(f"{self.path}: no sound in it; the file is empty or was cut off")

    def mono(self, rate: int = RATE) -> Iterator[Float[np.ndarray, " a"]]:
        """Yields the mean of the channels at `rate`, in blocks of any length."""
        change = Resampler(self.rate, rate)
        for block in self.blocks():
            yield change.push(_mixed(block))
        yield change.flush()


class Resampler:
    """Brings blocks of one rate to another by a windowed sinc (Smith, "Digital Audio Resampling").

    Sample m of the output stands at the time m / `to`: the filter's delay is taken out. The output does not depend on
    how the input is cut into blocks; it lags behind by `delay` seconds until `flush`.
    """

    def __init__(self, rate: int, to: int):
        if not (_RATES[0] <= rate <= _RATES[1] and _RATES[0] <= to <= _RATES[1]):
            raise AvatarError(
                f"cannot bring sound from {rate} to {to} Hz; rates from {_RATES[0]} to {_RATES[1]} are read"
            )
        shared = math.gcd(rate, to)
        self._up, self._down = to // shared, rate // shared
        self._filters = _sinc_filters(self._up, self._down)
        self._half = self._filters.shape[1] // 2 if self._filters is not None else 0
        self._held = np.zeros(max(self._half - 1, 0), np.float32)
        self._first = -(self._half - 1)  # input position of the first held sample
        self._read, self._written = 0, 0
        self.delay = self._half / rate

    def push(self, block: Shaped[np.ndarray, " a"]) -> Float[np.ndarray, " b"]:
        """Returns what a further block of the input, samples in [-1, 1], makes certain."""
        block = np.asarray(block, np.float32)
        self._read += len(block)
        if self._filters is None:
            return block
        self._held = np.concatenate([self._held, block])
        # Output m needs input up to floor(m down / up) + half.
        ready = ((self._read - self._half - 1) * self._up) // self._down + 1
        return self._made(max(ready, self._written))

    def flush(self) -> Float[np.ndarray, " b"]:
        """Returns the rest: ceil(a up / down) samples in all."""
        if self._filters is None:
            return np.zeros(0, np.float32)
        self._held = np.concatenate([self._held, np.zeros(self._half + 1, np.float32)])
        return self._made(-(-self._read * self._up // self._down))

    def _made(self, end: int) -> np.ndarray:
        assert self._filters is not None
        made = [np.zeros(0, np.float32)]
        windows = np.lib.stride_tricks.sliding_window_view(self._held, 2 * self._half) if end > self._written else None
        for begin in range(self._written, end, _GROUP):
            at = np.arange(begin, min(begin + _GROUP, end)) * self._down
            phase, place = at % self._up, at // self._up - (self._half - 1) - self._first
            # A sum along rows is the same for any number of rows; a matrix product is not.
            made.append((windows[place] * self._filters[phase]).sum(1))  # type: ignore[index]
        self._written = max(end, self._written)
        spent = self._written * self._down // self._up - (self._half - 1) - self._first
        if spent > 0:
            self._held, self._first = self._held[spent:], self._first + spent
        return np.concatenate(made)


def open_sound(path: Path | str) -> SoundFile:
    """Returns the sound of a file of any kind that FFmpeg reads, without decoding it yet.

    Raises:
        AvatarError: No such file, not a sound file, no sound in it, or a rate out of range.
    """
    path = Path(path)
    if not path.is_file():
        raise AvatarError(f"{path}: no such file; give a sound or video file")
    with _open(path) as container:
        if not container.streams.audio:
            raise AvatarError(f"{path}: no sound in this file; give a sound file or a video with sound")
        stream = container.streams.audio[0]
        rate, channels = int(stream.rate or 0), int(stream.channels or 0)
        if not channels or not _RATES[0] <= rate <= _RATES[1]:
            raise AvatarError(f"{path}: sound of {channels} channels at {rate} Hz cannot be read; convert it to WAV")
        seconds = float((stream.duration or 0) * (stream.time_base or 0))
        if not seconds and container.duration:
            seconds = container.duration / av.time_base
        start = float((stream.start_time or 0) * (stream.time_base or 0))
    return SoundFile(path, rate, min(channels, 2), seconds, start)


def read_sound(path: Path | str) -> Sound:
    """Returns the whole sound of a file; for long ones see `open_sound`.

    Raises:
        AvatarError: As `open_sound`, or a file without a single sample.
    """
    file = open_sound(path)
    return Sound(np.concatenate(list(file.blocks()), axis=1), file.rate)


def write_sound(sound: Sound, path: Path | str) -> None:
    """Writes a sound as WAV of 16 bits, completely or not at all; what is beyond full scale is cut.

    Raises:
        AvatarError: The folder cannot be written.
    """
    whole = np.round(sound.samples.T * 32768).clip(-32768, 32767).astype("<i2")
    with replacing(path) as temporary, wave.open(str(temporary), "wb") as file:
        file.setnchannels(whole.shape[1])
        file.setsampwidth(2)
        file.setframerate(sound.rate)
        file.writeframes(whole.tobytes())


def resample(samples: Float[np.ndarray, " a"], rate: int, to: int) -> Float[np.ndarray, " b"]:
    """Returns `samples` of `rate` at the rate `to`, float32; the same as a `Resampler` gives in blocks."""
    change = Resampler(rate, to)
    return np.concatenate([change.push(samples), change.flush()])


def mono_blocks(sound: Sound | SoundFile | Path | str, rate: int = RATE) -> Iterable[Float[np.ndarray, " a"]]:
    """Returns one channel of anything that sounds, at `rate`, in blocks."""
    if isinstance(sound, Sound):
        return [resample(sound.mono, sound.rate, rate)]
    return (sound if isinstance(sound, SoundFile) else open_sound(sound)).mono(rate)


def _sinc_filters(up: int, down: int) -> Float[np.ndarray, "p k"] | None:
    """Returns one filter for each of the `up` places an output sample can have between input samples; sums are one."""
    if up == down:
        return None
    cutoff = _ROLLOFF * min(1.0, up / down)  # of the input's Nyquist frequency
    half = math.ceil(_CROSSINGS / cutoff)
    offsets = np.arange(1 - half, half + 1)[None] - (np.arange(up) / up)[:, None]
    window = np.i0(_KAISER * np.sqrt(np.clip(1 - (offsets / half) ** 2, 0, 1))) / np.i0(_KAISER)
    filters = np.sinc(cutoff * offsets) * window
    return (filters / filters.sum(1, keepdims=True)).astype(np.float32)


def _mixed(samples: Float[np.ndarray, "c a"]) -> Float[np.ndarray, " a"]:
    return samples[0] if len(samples) == 1 else samples.mean(0, dtype=np.float32)


def _open(path: Path):
    try:
        return av.open(str(path))
    except (av.error.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "unreadable"
        raise AvatarError(
            f"{path}: not a sound that can be read ({reason.lower()}); give WAV, FLAC, MP3 or a video"
        ) from error


def _decoded(container):
    """Yields decoded frames; a damaged packet is skipped, a file cut off ends where it was cut."""
    packets = container.demux(container.streams.audio[0])
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                return
            yield from packet.decode()
        except av.error.InvalidDataError:
            continue
        except av.error.FFmpegError:
            return
