"""Small TFLite networks on the CPU: the one place that knows `ai_edge_litert`."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from avatar3d.core import AvatarError

_silence = threading.Lock()


class Network:
    """A TFLite graph with one input. Holds buffers of its own: use one from one thread at a time."""

    def __init__(self, model: bytes):
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise AvatarError(f"ai-edge-litert does not load ({error}); run `pip install ai-edge-litert`") from error
        # One thread each: the graphs are too small for two, and the capture runs several side by side.
        with _quiet():
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


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the runtime's greeting off the terminal: it writes to the file descriptor and knows no other switch."""
    with _silence:
        sys.stderr.flush()
        kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)
