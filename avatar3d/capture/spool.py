"""Where a clip's pictures live: in memory while small, compressed in an unnamed file when not, or decoded again."""

import tempfile
import threading
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from jaxtyping import UInt8

from avatar3d.core import AvatarError, Frames

_IN_MEMORY = 64 << 20  # bytes of compressed masks, or of sound, before they go to disk


class Spool:
    """Pictures kept compressed without loss (PNG), in memory or, when they grow large, in a temporary file."""

    def __init__(self):
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115
        self._ends = [0]
        self._lock = threading.Lock()

    def append(self, image: UInt8[np.ndarray, "h w *c"]) -> None:
        """Adds a picture at the end."""
        done, data = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        if not done:
            raise AvatarError("a mask cannot be compressed as PNG; report this with the clip's size")
        with self._lock:
            try:
                self._file.seek(self._ends[-1])
                self._file.write(data.tobytes())
            except OSError as error:
                raise AvatarError(
                    f"no room for masks in {tempfile.gettempdir()} ({error.strerror}); set TMPDIR"
                ) from error
            self._ends.append(self._ends[-1] + len(data))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: int, /) -> UInt8[np.ndarray, "h w *c"]:
        index = range(len(self))[index]
        with self._lock:
            self._file.seek(self._ends[index])
            data = self._file.read(self._ends[index + 1] - self._ends[index])
        return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED))

    def __iter__(self) -> Iterator[UInt8[np.ndarray, "h w *c"]]:
        for index in range(len(self)):
            yield self[index]


class Held:
    """Pictures decoded in memory."""

    def __init__(self, images: Sequence[np.ndarray]):
        self._images = images
        for image in images:
            image.flags.writeable = False

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int, /) -> UInt8[np.ndarray, "h w *c"]:
        return self._images[index]

    def __iter__(self) -> Iterator[UInt8[np.ndarray, "h w *c"]]:
        return iter(self._images)


class Window:
    """A rectangle of each frame, shrunk to a size."""

    def __init__(self, frames: Frames, box: tuple[int, int, int, int], size: tuple[int, int]):
        self._frames = frames
        self.box = box
        """Left, top, width and height in the frames' pixels."""
        self.size = size
        """Width and height given."""

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int, /) -> UInt8[np.ndarray, "h w *c"]:
        return self._cut(self._frames[index])

    def __iter__(self) -> Iterator[UInt8[np.ndarray, "h w *c"]]:
        for image in self._frames:
            yield self._cut(image)

    def _cut(self, image: np.ndarray) -> np.ndarray:
        x, y, width, height = self.box
        image = image[y : y + height, x : x + width]
        if (width, height) != self.size:
            return cv2.resize(image, self.size, interpolation=cv2.INTER_AREA)
        return np.ascontiguousarray(image)


class Chosen:
    """Some frames of others, in any order."""

    def __init__(self, frames: Frames, indices: Sequence[int]):
        self._frames, self._indices = frames, list(indices)

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int, /) -> UInt8[np.ndarray, "h w *c"]:
        return self._frames[self._indices[index]]

    def __iter__(self) -> Iterator[UInt8[np.ndarray, "h w *c"]]:
        if self._indices == list(range(self._indices[0], self._indices[0] + len(self))) if self._indices else False:
            for index, image in enumerate(self._frames):  # one run: streaming beats seeking
                if index >= self._indices[0]:
                    yield image
                if index == self._indices[-1]:
                    return
        else:
            for index in self._indices:
                yield self._frames[index]


def sound_store(shape: tuple[int, int]) -> np.ndarray:
    """Returns a float32 array of zeros, on disk when large."""
    if 4 * shape[0] * shape[1] <= _IN_MEMORY:
        return np.zeros(shape, np.float32)
    try:
        with tempfile.TemporaryFile() as file:
            return np.memmap(file, np.float32, "w+", shape=shape)
    except OSError as error:
        raise AvatarError(f"no room for sound in {tempfile.gettempdir()} ({error.strerror}); set TMPDIR") from error
