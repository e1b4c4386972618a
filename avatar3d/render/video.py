"""Videos and pictures on disk, each written completely or not at all."""

import io
import itertools
import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from avatar3d.core import AvatarError
from avatar3d.files import replacing, write_bytes

_CRF = 18  # x264's "visually lossless"; the demo's videos stay below a few hundred kB a second
_AAC_FRAME = 1024
SOUND_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
"""Samples a second that AAC knows."""
MADE_BY = "Synthetic picture of a digital head, made with avatar3d"


def write_video(
    path: Path | str,
    frames: Iterable[UInt8[np.ndarray, "h w 3"]],
    fps: float,
    audio: Float[np.ndarray, "c a"] | Iterable[Float[np.ndarray, "c a"]] | None = None,
    rate: int = 0,
) -> int:
    """Writes an H.264 mp4 (AAC sound) that browsers play, and returns the number of frames.

    An odd last row or column is repeated once: H.264's 4:2:0 colour needs even sides. Frames and sound are taken a
    piece at a time and written side by side, so that hours pass through little memory. Sound begins with the first
    frame.

    Args:
        path: Where, `.mp4`.
        frames: RGB, all of one size; taken one at a time.
        fps: Frames a second.
        audio: Samples in [-1, 1] by channel, whole or in blocks of any length; cut to the length of the pictures.
        rate: Audio samples a second, one of `SOUND_RATES`.

    Raises:
        AvatarError: No frames, a frame of another size, a rate that AAC does not have, or the disk is full.
    """
    if not 0 < fps < 1000:
        raise AvatarError(f"{path}: cannot write {fps} frames a second; give a rate above 0 and below 1000")
    count, size, each = 0, (0, 0), Fraction(fps).limit_denominator(100_000)
    blocks = iter((audio,)) if isinstance(audio, np.ndarray) else iter(audio) if audio is not None else None
    first = next((block for block in blocks if block.size), None) if blocks is not None and rate > 0 else None
    if first is not None and rate not in SOUND_RATES:
        raise AvatarError(f"{path}: AAC has no sound of {rate} Hz; resample it to 48000")
    with (
        replacing(path) as temporary,
        av.open(str(temporary), "w", format="mp4", options={"movflags": "faststart"}) as out,
    ):
        out.metadata["comment"] = MADE_BY
        picture = out.add_stream("libx264", rate=each)
        picture.pix_fmt = "yuv420p"
        picture.options = {"crf": str(_CRF), "preset": "fast"}
        picture.codec_context.thread_count = 2  # a fixed number: the bits do not depend on the machine
        sound = None
        if first is not None and blocks is not None:
            stream = out.add_stream("aac", rate=rate, layout="mono" if len(first) == 1 else "stereo")
            sound = _Sound(out, stream, itertools.chain((first,), blocks), rate)
        for frame in frames:
            if count == 0:
                size = frame.shape[:2]
                picture.height, picture.width = size[0] + size[0] % 2, size[1] + size[1] % 2
            elif frame.shape[:2] != size:
                raise AvatarError(
                    f"{path}: frame {count} is {frame.shape[1]}x{frame.shape[0]}, not {size[1]}x{size[0]}"
                )
            shown = av.VideoFrame.from_ndarray(_even(frame), format="rgb24")
            shown.pts, shown.time_base = count, 1 / each
            for packet in picture.encode(shown):
                out.mux(packet)
            count += 1
            if sound is not None:
                sound.until(math.floor(count / each * rate))
        if count == 0:
            raise AvatarError(f"{path}: no frames to write")
        for packet in picture.encode():
            out.mux(packet)
        if sound is not None:
            sound.finish(round(count / each * rate))
    return count


def check_encoders() -> None:
    """Raises what PyAV raises where its H.264 or AAC encoder is missing."""
    for name in ("libx264", "aac"):
        av.Codec(name, "w")


def write_png(path: Path | str, image: UInt8[np.ndarray, "h w *c"]) -> None:
    """Writes a grey (h w), RGB or RGBA picture.

    Raises:
        AvatarError: The disk is full.
    """
    said = PngInfo()
    said.add_text("Comment", MADE_BY)
    held = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(held, "png", pnginfo=said)
    write_bytes(path, held.getvalue())


def _even(frame: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Returns the frame with even sides."""
    height, width = frame.shape[:2]
    if height % 2 or width % 2:
        frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.ascontiguousarray(frame)


class _Sound:
    """Encodes sound beside the pictures, no further than they are."""

    def __init__(self, out, stream, blocks: Iterator[np.ndarray], rate: int) -> None:
        self._out, self._stream, self._blocks, self._rate = out, stream, blocks, rate
        self._held: list[np.ndarray] = []
        self._length = 0  # samples held
        self._written = 0

    def until(self, end: int) -> None:
        """Writes whole AAC frames of the samples before `end`."""
        while self._written + _AAC_FRAME <= end and self._fill(_AAC_FRAME):
            self._encode(self._take(_AAC_FRAME))

    def finish(self, end: int) -> None:
        """Writes what is left before `end`."""
        self.until(end)
        rest = min(end - self._written, _AAC_FRAME)
        self._fill(rest)
        if min(rest, self._length) > 0:
            self._encode(self._take(min(rest, self._length)))
        for packet in self._stream.encode():
            self._out.mux(packet)

    def _fill(self, count: int) -> bool:
        while self._length < count:
            block = next(self._blocks, None)
            if block is None:
                return False
            self._held.append(block[:2])
            self._length += block.shape[1]
        return True

    def _take(self, count: int) -> np.ndarray:
        joined = np.concatenate(self._held, axis=1) if len(self._held) > 1 else self._held[0]
        self._held, self._length = [joined[:, count:]], joined.shape[1] - count
        return joined[:, :count]

    def _encode(self, samples: np.ndarray) -> None:
        block = np.ascontiguousarray(samples, dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono" if len(block) == 1 else "stereo")
        frame.sample_rate, frame.pts, frame.time_base = self._rate, self._written, Fraction(1, self._rate)
        self._written += block.shape[1]
        for packet in self._stream.encode(frame):
            self._out.mux(packet)
