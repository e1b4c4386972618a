"""Small videos and pictures made on the spot."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from avatar3d.capture.landmarks import Landmarker


@pytest.fixture(scope="session")
def astronaut() -> np.ndarray:
    """The public-domain portrait, 512x512 RGB."""
    return pytest.importorskip("skimage.data").astronaut()


@pytest.fixture(scope="session")
def landmarker() -> Landmarker:
    return Landmarker()


class Movies:
    """Makes video files in a folder."""

    def __init__(self, folder: Path):
        self.folder = folder

    def write(
        self, name: str, frames, fps: int = 25, ticks=None, sound: np.ndarray | None = None, rate: int = 8000, **options
    ):
        path = self.folder / name
        with av.open(str(path), "w", options=options) as container:
            stream = container.add_stream("mpeg4", rate=fps)
            first = frames[0]
            stream.width, stream.height, stream.pix_fmt = first.shape[1], first.shape[0], "yuv420p"
            stream.bit_rate, stream.gop_size = 8_000_000, 8
            stream.codec_context.time_base = Fraction(1, 1000)
            voice = None
            if sound is not None:
                voice = container.add_stream("aac", rate=rate)
                voice.layout = "mono"
            for index, image in enumerate(frames):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
                frame.pts = int(ticks[index]) if ticks is not None else round(index * 1000 / fps)
                frame.time_base = Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
            if voice is not None:
                part = av.AudioFrame.from_ndarray(sound[None].astype(np.float32), format="fltp", layout="mono")
                part.sample_rate, part.pts = rate, 0
                for packed in av.AudioResampler(format="fltp", layout="mono", rate=rate, frame_size=1024).resample(
                    part
                ):
                    container.mux(voice.encode(packed))
                container.mux(voice.encode())
        return path

    @staticmethod
    def numbered(count: int, width: int = 96, height: int = 64) -> list[np.ndarray]:
        """Frames whose brightness tells their index: 4 a step, up to 60 frames."""
        return [np.full((height, width, 3), 8 + 4 * index, np.uint8) for index in range(count)]

    @staticmethod
    def number_of(image: np.ndarray) -> int:
        """The index of a frame of `numbered`."""
        return round((float(image.mean()) - 8) / 4)

    @staticmethod
    def turn_flag(path: Path, quarters: int) -> None:
        """Sets the rotation flag of an MP4: the display matrix of its track, a 3x3 of fixed-point numbers."""
        cos, sin = [(1, 0), (0, 1), (-1, 0), (0, -1)][quarters]
        matrix = [cos, sin, 0, -sin, cos, 0, 0, 0, 1]
        scale = [1 << 16, 1 << 16, 1 << 30] * 3
        data = bytearray(path.read_bytes())
        at = data.index(b"tkhd") + 44  # version 0: the matrix follows 40 bytes of other fields
        for i, (value, one) in enumerate(zip(matrix, scale, strict=True)):
            data[at + 4 * i : at + 4 * i + 4] = (value * one).to_bytes(4, "big", signed=True)
        path.write_bytes(data)


@pytest.fixture
def movies(tmp_path) -> Movies:
    return Movies(tmp_path)
