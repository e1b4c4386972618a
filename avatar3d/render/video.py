"""Videos and pictures on disk, each written completely or not at all."""

import io
from collections.abc import Iterable
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
MADE_BY = "Synthetic picture of a digital head, made with avatar3d"


def write_video(
    path: Path | str,
    frames: Iterable[UInt8[np.ndarray, "h w 3"]],
    fps: float,
    audio: Float[np.ndarray, "c a"] | None = None,
    rate: int = 0,
) -> int:
    """Writes an H.264 mp4 (AAC sound) that browsers play, and returns the number of frames.

    An odd last row or column is repeated once: H.264's 4:2:0 colour needs even sides.

    Args:
        path: Where, `.mp4`.
        frames: RGB, all of one size; taken one at a time.
        fps: Frames a second.
        audio: Samples in [-1, 1] by channel; cut to the length of the pictures.
        rate: Audio samples a second.

    Raises:
        AvatarError: No frames, a frame of another size, or the disk is full.
    """
    if not 0 < fps < 1000:
        raise AvatarError(f"{path}: cannot write {fps} frames a second; give a rate above 0 and below 1000")
    count, size = 0, (0, 0)
    with (
        replacing(path) as temporary,
        av.open(str(temporary), "w", format="mp4", options={"movflags": "faststart"}) as out,
    ):
        out.metadata["comment"] = MADE_BY
        picture = out.add_stream("libx264", rate=Fraction(fps).limit_denominator(100_000))
        picture.pix_fmt = "yuv420p"
        picture.options = {"crf": str(_CRF), "preset": "fast"}
        picture.codec_context.thread_count = 2  # a fixed number: the bits do not depend on the machine
        sound = None
        if audio is not None and audio.size and rate > 0:
            sound = out.add_stream("aac", rate=rate, layout="mono" if len(audio) == 1 else "stereo")
        for frame in frames:
            if count == 0:
                size = frame.shape[:2]
                picture.height, picture.width = size[0] + size[0] % 2, size[1] + size[1] % 2
            elif frame.shape[:2] != size:
                raise AvatarError(
                    f"{path}: frame {count} is {frame.shape[1]}x{frame.shape[0]}, not {size[1]}x{size[0]}"
                )
            for packet in picture.encode(av.VideoFrame.from_ndarray(_even(frame), format="rgb24")):
                out.mux(packet)
            count += 1
        if count == 0:
            raise AvatarError(f"{path}: no frames to write")
        for packet in picture.encode():
            out.mux(packet)
        if sound is not None and audio is not None:
            for block in _blocks(audio[:2, : round(count / fps * rate)], rate):
                for packet in sound.encode(block):
                    out.mux(packet)
            for packet in sound.encode():
                out.mux(packet)
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


def _blocks(audio: Float[np.ndarray, "c a"], rate: int) -> Iterable[av.AudioFrame]:
    """Yields audio frames of AAC's block length."""
    step = 1024
    for start in range(0, audio.shape[1], step):
        block = np.ascontiguousarray(audio[:, start : start + step], dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono" if len(block) == 1 else "stereo")
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        yield frame
