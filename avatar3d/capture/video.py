"""Video files as lazy frames: the one place that knows PyAV for reading.

Frames are upright (rotation flags applied), of square pixels, RGB, and at a constant rate: a variable rate is resampled
to the nearest frame in time. Nothing is decoded before it is asked for.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import av.error
import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

from avatar3d.core import AvatarError

_log = logging.getLogger(__name__)

_COMMON_RATES = (12, 15, 24000 / 1001, 24, 25, 30000 / 1001, 30, 48, 50, 60000 / 1001, 60)
_UNEVEN = 0.3  # of a frame: larger deviations from an even grid of times make the rate variable
_HELD = 8  # frames kept after random access
_SKIP = 48  # frames decoded onward before a seek is the faster way


@dataclass(frozen=True)
class Timing:
    """Which source frame shows at each output frame."""

    pts: Int[np.ndarray, " p"] | None
    """Presentation times of the source frames in stream units, ascending; None where the file has none."""
    source: Int[np.ndarray, " t"]
    """Index into the source frames for each output frame, ascending."""
    fps: float
    start: float
    """Time of the first output frame on the file's clock, seconds."""


class VideoFrames:
    """Frames of a video file, decoded when asked for; safe to share between threads."""

    def __init__(self, path: Path, timing: Timing):
        self.path = path
        self.timing = timing
        self._lock = threading.Lock()
        self._held: OrderedDict[int, np.ndarray] = OrderedDict()
        self._cursor: Iterator[tuple[int, np.ndarray]] | None = None
        self._next = 0

    def __len__(self) -> int:
        return len(self.timing.source)

    def __iter__(self) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
        for _, image in self._from(0):
            yield image

    def __getitem__(self, index: int, /) -> UInt8[np.ndarray, "h w 3"]:
        index = _checked(index, len(self))
        with self._lock:
            if index not in self._held:
                if self._cursor is None or not self._next <= index < self._next + _SKIP:
                    self._cursor, self._next = self._from(index), index
                for at, image in self._cursor:
                    self._next = at + 1
                    self._held[at] = image
                    while len(self._held) > _HELD:
                        self._held.popitem(last=False)
                    if at == index:
                        break
                if index not in self._held:
                    raise AvatarError(f"{self.path}: frame {index} cannot be decoded; the file is damaged")
            self._held.move_to_end(index)
            return self._held[index]

    def first(self, count: int) -> "VideoFrames":
        """Returns the frames before `count`."""
        timing = self.timing
        return VideoFrames(self.path, Timing(timing.pts, timing.source[:count], timing.fps, timing.start))

    def _from(self, first: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yields (output index, image) from `first` on, as far as the file can be decoded."""
        source, pts = self.timing.source, self.timing.pts
        with _open(self.path) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            if pts is not None and source[first] > 0:
                container.seek(int(pts[source[first]]), stream=stream, backward=True)
            output, position, image = first, -1, None
            for frame in _decoded(container, stream):
                if pts is None or frame.pts is None:
                    position += 1
                else:
                    position = int(np.searchsorted(pts, frame.pts))
                if position < source[output]:
                    continue
                image = _upright(frame, stream)
                while output < len(source) and source[output] <= position:
                    yield output, image
                    output += 1
                if output == len(source):
                    return


def open_video(path: Path, fps: float | None, start: float, end: float | None) -> VideoFrames:
    """Returns the lazy frames of a video file.

    Args:
        path: The file.
        fps: Frames a second wanted; None keeps the file's (for a variable rate, its median).
        start: Seconds from the beginning of the video where the frames begin.
        end: Seconds from the beginning where they end; None for the end of the file.

    Raises:
        AvatarError: Not a video, no pictures in it, or nothing between `start` and `end`.
    """
    with _open(path) as container:
        if not container.streams.video:
            raise AvatarError(f"{path}: there is sound but no picture in this file; give a video or a photo")
        stream = container.streams.video[0]
        if stream.codec_context is None or not stream.width:
            raise AvatarError(f"{path}: this build of PyAV cannot decode its pictures; convert it to H.264")
        rate = float(stream.average_rate or 0.0)
        base = float(stream.time_base or 1.0)
        stamps: list[int | None] = []
        try:
            for packet in container.demux(stream):
                if packet.size and not packet.is_discard and not packet.is_corrupt:
                    stamps.append(packet.pts if packet.pts is not None else packet.dts)
        except av.error.FFmpegError:
            pass  # cut off in the middle: what came before counts
    if not stamps:
        raise AvatarError(f"{path}: no pictures in it; the file is empty or was cut off")
    if any(stamp is None for stamp in stamps):
        pts, times = None, np.arange(len(stamps)) / (rate or 25.0)
    else:
        pts = np.unique(np.array(stamps, dtype=np.int64))
        times = pts * base
    return VideoFrames(path, _timing(pts, times, rate, fps, (start, end), path))


def _timing(pts, times: np.ndarray, rate: float, fps: float | None, span: tuple[float, float | None], path) -> Timing:
    begin = times[0]
    inside = times - begin >= span[0] - 1e-6
    if span[1] is not None:
        inside &= times - begin < span[1] - 1e-6
    chosen = np.flatnonzero(inside)
    if not len(chosen):
        raise AvatarError(f"{path}: no frames between {span[0]} and {span[1]} s; it lasts {times[-1] - begin:.2f} s")
    shown = times[chosen]
    if len(shown) == 1:
        return Timing(pts, chosen, fps or rate or 25.0, float(shown[0]))
    step = float(np.median(np.diff(times)))
    mean = (shown[-1] - shown[0]) / (len(shown) - 1)
    even = np.abs(shown - shown[0] - mean * np.arange(len(shown))).max() < _UNEVEN * mean
    if even and (fps is None or abs(fps * mean - 1) < 1e-3):
        exact = rate if rate and abs(rate * mean - 1) < 0.01 else 1 / mean
        return Timing(pts, chosen, float(exact), float(shown[0]))
    wanted = fps or min(_COMMON_RATES, key=lambda common: abs(common * step - 1))
    if not fps and abs(wanted * step - 1) > 0.02:
        wanted = min(1 / step, 60.0)
    grid = shown[0] + np.arange(int((shown[-1] - shown[0]) * wanted + 1e-3) + 1) / wanted
    middle = (shown[1:] + shown[:-1]) / 2
    return Timing(pts, chosen[np.searchsorted(middle, grid)], float(wanted), float(shown[0]))


def read_audio(path: Path, start: float, seconds: float, store) -> tuple[Float[np.ndarray, "c a"] | None, int]:
    """Returns a video's sound and its rate in samples a second, or (None, 0) where there is none.

    Args:
        path: The file.
        start: Time on the file's clock of the first sample returned.
        seconds: Length returned; missing parts are silent.
        store: Makes a float32 array of a given shape (in memory, or on disk when large).
    """
    with _open(path) as container:
        if not container.streams.audio:
            return None, 0
        stream = container.streams.audio[0]
        rate, channels = int(stream.rate or 0), int(stream.channels or 0)
        if not rate or not channels:
            return None, 0
        layout = "mono" if channels == 1 else "stereo"
        sound = store((1 if channels == 1 else 2, max(1, round(seconds * rate))))
        resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate)
        at, heard = 0, False
        for frame in _decoded(container, stream):
            if not heard:
                at, heard = round((float(frame.time or 0.0) - start) * rate), True
            for part in resampler.resample(frame):
                samples = part.to_ndarray()
                low, high = max(0, -at), min(samples.shape[1], sound.shape[1] - at)
                if high > low:
                    sound[:, at + low : at + high] = samples[:, low:high]
                at += samples.shape[1]
            if at >= sound.shape[1]:
                break
    return (sound, rate) if heard else (None, 0)


def _open(path: Path):
    try:
        return av.open(str(path))
    except av.error.FFmpegError as error:
        reason = error.strerror or "unreadable"
        raise AvatarError(
            f"{path}: not a video that can be read ({reason.lower()}); it may be another kind of file, or cut off"
        ) from error


def _decoded(container, stream):
    """Yields decoded frames; what a damaged file breaks off is said once and is otherwise the end."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                return
            if not packet.is_corrupt:  # the piece of a frame where a file was cut off
                yield from packet.decode()
        except av.error.EOFError:
            return
        except av.error.FFmpegError as error:
            _log.debug("%s: %s", container.name, error)
            if not isinstance(error, av.error.InvalidDataError):
                return


def _upright(frame, stream) -> np.ndarray:
    image = frame.to_ndarray(format="rgb24")
    aspect = stream.sample_aspect_ratio
    if aspect and aspect != 1:
        size = (max(1, round(image.shape[1] * float(aspect))), image.shape[0])
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    quarters = round(frame.rotation / 90) % 4  # degrees to turn against the clock
    return np.ascontiguousarray(np.rot90(image, quarters)) if quarters else image


def _checked(index: int, length: int) -> int:
    if not -length <= index < length:
        raise IndexError(f"frame {index} of {length}")
    return index % length
