"""Scratch memory of native calls, used again and again: fresh pages from the system cost more than the work on them."""

import torch

_free: list[torch.Tensor] = []
_KEPT = 8
"""Blocks kept for later; the smallest goes first when there are more."""


class Scratch:
    """A block of bytes that returns to the free list when the last reference is gone."""

    def __init__(self, size: int) -> None:
        fits = [i for i, block in enumerate(_free) if size <= block.numel() <= 4 * size + (1 << 20)]
        best = min(fits, key=lambda i: _free[i].numel(), default=None)
        # A quarter more than asked, so that sizes that creep up during a fit do not need a new block each step.
        self.tensor = torch.empty(size + size // 4, dtype=torch.uint8) if best is None else _free.pop(best)

    def __del__(self) -> None:
        _free.append(self.tensor)
        if len(_free) > _KEPT:
            _free.sort(key=torch.Tensor.numel)
            del _free[0]
