"""The person-segmentation network (MediaPipe selfie segmentation, Apache-2.0, 250 kB) under a stock TFLite runtime.

Its last layer is an operation of MediaPipe's own (a 2x2 transposed convolution with bias), which stock runtimes
refuse. So the graph is cut before it: two numbers of the flatbuffer change in place, and the layer and its sigmoid are
done here.
"""

import struct

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from avatar3d import assets
from avatar3d.capture.tflite import Network


class Segmenter:
    """Probability of "person" for each pixel of a picture. One from one thread at a time."""

    def __init__(self):
        model, self._kernel, self._bias = _cut(assets.path("selfie-segmentation").read_bytes())
        self._network = Network(model)
        self.side = self._network.shape[1]

    def __call__(self, image: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
        """Returns the probability in [0, 1], resized from the network's square; the picture is squeezed into it."""
        small = cv2.resize(image, (self.side, self.side), interpolation=cv2.INTER_AREA)
        features = next(iter(self._network(small.astype(np.float32) / 255).values()))
        _, height, width, channels = features.shape
        logits = features.reshape(-1, channels) @ self._kernel.reshape(4, channels).T + self._bias
        logits = logits.reshape(height, width, 2, 2).transpose(0, 2, 1, 3).reshape(2 * height, 2 * width)
        alpha = 1 / (1 + np.exp(-np.clip(logits, -60, 60)))
        return cv2.resize(alpha.astype(np.float32), image.shape[1::-1], interpolation=cv2.INTER_LINEAR)


class _Table:
    """A flatbuffer table: as much of the format as finds one operation of a TFLite file."""

    def __init__(self, data: bytes, position: int):
        self.data, self.position = data, position
        self.fields = position - struct.unpack_from("<i", data, position)[0]

    def at(self, field: int) -> int:
        """Position of what a field refers to; 0 where the field is absent."""
        slot = 4 + 2 * field
        if slot >= struct.unpack_from("<H", self.data, self.fields)[0]:
            return 0
        offset = struct.unpack_from("<H", self.data, self.fields + slot)[0]
        if not offset:
            return 0
        place = self.position + offset
        return place + struct.unpack_from("<I", self.data, place)[0]

    def number(self, field: int) -> int:
        offset = struct.unpack_from("<H", self.data, self.fields + 4 + 2 * field)[0]
        return struct.unpack_from("<I", self.data, self.position + offset)[0] if offset else 0

    def array(self, field: int, dtype) -> np.ndarray:
        place = self.at(field)
        count = struct.unpack_from("<I", self.data, place)[0] if place else 0
        return np.frombuffer(self.data, dtype, count, place + 4)

    def tables(self, field: int) -> list["_Table"]:
        place = self.at(field)
        count = struct.unpack_from("<I", self.data, place)[0]
        slots = range(place + 4, place + 4 + 4 * count, 4)
        return [_Table(self.data, slot + struct.unpack_from("<I", self.data, slot)[0]) for slot in slots]


def _cut(data: bytes) -> tuple[bytes, np.ndarray, np.ndarray]:
    """Returns the file without its last two operations, and the kernel (1 2 2 c) and bias of the first of them."""
    model = _Table(data, struct.unpack_from("<I", data, 0)[0])
    graph, buffers = model.tables(2)[0], model.tables(4)
    tensors, operations = graph.tables(0), graph.tables(3)
    features, kernel, bias = (int(i) for i in operations[-2].array(1, np.int32))
    stored = {int(op.array(2, np.int32)[0]): int(op.array(1, np.int32)[0]) for op in operations}

    def constant(index: int) -> np.ndarray:
        tensor = tensors[stored.get(index, index)]  # weights are stored as float16 and expanded by an operation
        raw = buffers[tensor.number(2)].array(0, np.uint8)
        shape = tensors[index].array(0, np.int32)
        return raw.view(np.float16 if raw.size == 2 * shape.prod() else np.float32).reshape(shape).astype(np.float32)

    short = bytearray(data)
    struct.pack_into("<I", short, graph.at(3), len(operations) - 2)
    struct.pack_into("<i", short, graph.at(2) + 4, features)
    return bytes(short), constant(kernel), constant(bias)
