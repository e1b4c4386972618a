"""WebM with transparency: what pages lay over other content."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from jaxtyping import UInt8

from avatar3d.core import AvatarError
from avatar3d.files import replacing
from avatar3d.render.video import MADE_BY

_CRF = 24  # VP9's scale; about as good as x264's 18


def write_webm(path: Path | str, frames: Iterable[UInt8[np.ndarray, "h w 4"]], fps: float) -> int:
    """Writes a VP9 video with an alpha channel and no sound, and returns the number of frames.

    Args:
        path: Where, `.webm`.
        frames: RGBA with straight colours, all of one size, even on both sides; taken one at a time.
        fps: Frames a second.

    Raises:
        AvatarError: No frames, a frame of another or an odd size, no such encoder, or the disk is full.
    """
    if not 0 < fps < 1000:
        raise AvatarError(f"{path}: cannot write {fps} frames a second; give a rate above 0 and below 1000")
    count, size = 0, (0, 0)
    with replacing(path) as temporary, av.open(str(temporary), "w", format="webm") as out:
        out.metadata["comment"] = MADE_BY
        picture = out.add_stream("libvpx-vp9", rate=Fraction(fps).limit_denominator(100_000))
        picture.pix_fmt = "yuva420p"
        picture.options = {"crf": str(_CRF), "b": "0", "cpu-used": "6", "deadline": "good", "auto-alt-ref": "0"}
        picture.codec_context.thread_count = 2  # a fixed number: the bits do not depend on the machine
        for frame in frames:
            if count == 0:
                size = frame.shape[:2]
                if size[0] % 2 or size[1] % 2:
                    raise AvatarError(f"{path}: frames of {size[1]}x{size[0]}; WebM needs even sides")
                picture.height, picture.width = size
            elif frame.shape[:2] != size:
                raise AvatarError(
                    f"{path}: frame {count} is {frame.shape[1]}x{frame.shape[0]}, not {size[1]}x{size[0]}"
                )
            for packet in picture.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgba")):
                out.mux(packet)
            count += 1
        if count == 0:
            raise AvatarError(f"{path}: no frames to write")
        for packet in picture.encode():
            out.mux(packet)
    return count
