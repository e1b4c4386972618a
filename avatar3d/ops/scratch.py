"""Scratch memory of native calls, used again and again: fresh pages from the system cost more than the work on them."""

import threading

import torch

_lock = threading.RLock()  # pictures are drawn while a fit runs; reentrant, as `__del__` may come at any moment
_free: list[torch.Tensor] = []
_KEPT_BLOCKS, _KEPT_BYTES = 8, 1 << 29
"""What is kept for later at most; the smallest go first when there are too many, the largest when they are too big."""


class Scratch:
    """A block of bytes that returns to the free list when the last reference is gone; torch keeps its own on a GPU."""

    def __init__(self, size: int, device: torch.device | None = None) -> None:
        if device is not None and device.type != "cpu":
            self.tensor = torch.empty(size, dtype=torch.uint8, device=device)
            return
        with _lock:
            fits = [block for block in _free if size <= block.numel() <= 4 * size + (1 << 20)]
            best = min(fits, key=torch.Tensor.numel, default=None)
            if best is not None:
                _free[:] = [block for block in _free if block is not best]
        # A quarter more than asked, so that sizes that creep up during a fit do not need a new block each step.
        self.tensor = torch.empty(size + size // 4, dtype=torch.uint8) if best is None else best

    def __del__(self) -> None:
        tensor = self.__dict__.get("tensor")  # absent where there was no memory for it
        if tensor is None or tensor.device.type != "cpu":
            return
        with _lock:
            kept = sorted([*_free, tensor], key=torch.Tensor.numel)[-_KEPT_BLOCKS:]
            while sum(block.numel() for block in kept) > _KEPT_BYTES:
                kept.pop()
            _free[:] = kept
