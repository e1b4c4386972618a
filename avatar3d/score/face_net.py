"""A face-recognition network: 128 numbers of a face, near each other for one person and apart for two.

dlib's ResNet (29 convolutions, trained by metric learning on 3 million faces; D. King, CC0), read from its own file
format and run with PyTorch. Structure after dlib's example `dnn_face_recognition_ex.cpp`.
"""

import functools
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from avatar3d import assets
from avatar3d.core import AvatarError

SIDE = 150
"""Pixels of an aligned face."""
_MEAN, _SCALE = (122.782, 117.001, 104.298), 256.0
_BLOCKS = ((32, False),) * 3 + ((64, True), *((64, False),) * 3)
_LATER = ((128, True), *((128, False),) * 2, (256, True), *((256, False),) * 2, (256, True))
"""Channels of each residual block, and whether it halves the picture."""


@dataclass(frozen=True)
class _Convolution:
    weight: Float[Tensor, "o i h w"]
    bias: Float[Tensor, " o"]
    gain: Float[Tensor, " o"]
    """Of the affine layer behind it, which batch normalisation became."""
    shift: Float[Tensor, " o"]

    def __call__(self, x: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
        y = functional.conv2d(x, self.weight, self.bias, stride, padding)
        return y * self.gain[:, None, None] + self.shift[:, None, None]


class FaceNet(nn.Module):
    """The network; made by `load`."""

    def __init__(self, first: _Convolution, blocks: list[tuple[_Convolution, _Convolution]], last: Tensor) -> None:
        super().__init__()
        self._first, self._blocks, self._last = first, blocks, last

    def forward(self, faces: Float[Tensor, "b 3 150 150"]) -> Float[Tensor, "b 128"]:
        """Returns embeddings.

        Args:
            faces: Aligned faces, RGB in [0, 255].
        """
        x = (faces - torch.tensor(_MEAN)[:, None, None]) / _SCALE
        x = functional.max_pool2d(self._first(x, 2).relu(), 3, 2)
        for (one, two), (_, down) in zip(self._blocks, _BLOCKS + _LATER, strict=True):
            y = two(one(x, 2 if down else 1, 0 if down else 1).relu(), 1, 1)
            kept = functional.avg_pool2d(x, 2, 2) if down else x
            x = _sum(y, kept).relu()
        return x.mean((2, 3)) @ self._last


def _sum(a: Tensor, b: Tensor) -> Tensor:
    """Returns a + b, the smaller in any direction filled with zeros, as dlib's `add_prev` does."""
    size = [max(m, n) for m, n in zip(a.shape[1:], b.shape[1:], strict=True)]

    def filled(x: Tensor) -> Tensor:
        more = [n - m for m, n in zip(x.shape[1:], size, strict=True)]
        return functional.pad(x, (0, more[2], 0, more[1], 0, more[0]))

    return filled(a) + filled(b)


@functools.cache
def load() -> FaceNet:
    """Returns the network; the file is fetched on first use (22 MB, out of an archive of 100 MB).

    Raises:
        AvatarError: The file cannot be had, or is damaged.
    """
    return read(assets.path("face-recognition"))


def read(path: Path) -> FaceNet:
    """Returns the network in a file of dlib's.

    Raises:
        AvatarError: It is another network, or damaged.
    """
    try:
        file = _Reader(path.read_bytes())
        first = file.convolution(3, 7)
        blocks, channels = [], 32
        for count, _ in _BLOCKS + _LATER:
            blocks.append((file.convolution(channels, 3), file.convolution(count, 3)))
            channels = count
        return FaceNet(first, blocks, file.dense(channels))
    except (ValueError, IndexError, struct.error) as error:
        raise AvatarError(f"{path}: not dlib's face recognition network, or damaged ({error})") from error


class _Reader:
    """Reads the layers of a dlib file in their order; what training left between them is passed over."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def _find(self, name: bytes) -> None:
        """Goes behind the next layer of a name; dlib stores the length of a text before it."""
        found = self._data.find(bytes([1, len(name)]) + name, self._at)
        if found < 0:
            raise ValueError(f"no layer {name.decode()} after byte {self._at}")
        self._at = found + 2 + len(name)

    def _whole(self) -> int:
        """Returns a whole number: a byte with its sign and count of bytes, then those, lowest first."""
        count = self._data[self._at]
        value = int.from_bytes(self._data[self._at + 1 : self._at + 1 + (count & 15)], "little")
        self._at += 1 + (count & 15)
        return -value if count & 128 else value

    def _tensor(self) -> np.ndarray:
        if self._whole() != 2:
            raise ValueError("a tensor of an unknown version")
        count = self._whole() * self._whole() * self._whole() * self._whole()
        if not 0 < count <= 1 << 20 or self._at + 4 * count > len(self._data):
            raise ValueError(f"a tensor of {count} numbers")
        values = np.frombuffer(self._data, "<f4", count, self._at)
        self._at += 4 * count
        return values

    def convolution(self, inputs: int, size: int) -> _Convolution:
        """Returns a convolution and the affine layer behind it."""
        self._find(b"con_4")
        filters = self._tensor()
        self._find(b"affine_")
        affine = self._tensor()
        outputs = len(affine) // 2
        if len(filters) != outputs * (inputs * size * size + 1):
            raise ValueError(f"{len(filters)} filter values for {inputs} to {outputs} channels")
        weight = filters[:-outputs].reshape(outputs, inputs, size, size)
        parts = (weight, filters[-outputs:], affine[:outputs], affine[outputs:])
        return _Convolution(*(torch.from_numpy(x.astype(np.float32)) for x in parts))

    def dense(self, inputs: int) -> Float[Tensor, "i 128"]:
        """Returns the last layer's matrix."""
        self._find(b"fc_2")
        outputs, given = self._whole(), self._whole()
        if (outputs, given) != (128, inputs):
            raise ValueError(f"a last layer of {given} to {outputs}")
        return torch.from_numpy(self._tensor().reshape(inputs, outputs).astype(np.float32))
