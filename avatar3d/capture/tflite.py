"""Small TFLite networks on the CPU: the one place that knows `ai_edge_litert`."""

import os

import numpy as np

from avatar3d.core import AvatarError

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


class Network:
    """A TFLite graph with one input. Holds buffers of its own: use one from one thread at a time."""

    def __init__(self, model: bytes):
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise AvatarError(f"ai-edge-litert does not load ({error}); run `pip install ai-edge-litert`") from error
        # One thread each: the graphs are too small for two, and the capture runs several side by side.
        self._interpreter = Interpreter(model_content=model, num_threads=1)
        self._interpreter.allocate_tensors()
        given = self._interpreter.get_input_details()[0]
        self._input, self.shape = given["index"], tuple(int(n) for n in given["shape"])
        self._outputs = [(d["index"], int(np.prod(d["shape"]))) for d in self._interpreter.get_output_details()]

    def __call__(self, x: np.ndarray) -> dict[int, np.ndarray]:
        """Returns the outputs, keyed by their number of elements.

        Args:
            x: Input without the batch axis, float32.
        """
        self._interpreter.set_tensor(self._input, np.ascontiguousarray(x[None], dtype=np.float32))
        self._interpreter.invoke()
        result: dict[int, np.ndarray] = {}
        for index, size in self._outputs:  # of two outputs of one size the first counts
            result.setdefault(size, self._interpreter.get_tensor(index))
        return result
