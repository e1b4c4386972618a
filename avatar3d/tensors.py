"""What the nouns of `core` can do with their tensors."""

from dataclasses import fields, replace
from typing import TypeVar

from torch import Tensor

T = TypeVar("T", bound="Tensors")


class Tensors:
    """Moves and maps every tensor field of a frozen dataclass."""

    def map(self: T, fn) -> T:
        """Returns the same value with `fn` applied to each of its tensors."""
        changed = {}
        for f in fields(self):  # type: ignore[arg-type]
            value = getattr(self, f.name)
            if isinstance(value, Tensor):
                changed[f.name] = fn(value)
            elif isinstance(value, Tensors):
                changed[f.name] = value.map(fn)
            elif isinstance(value, tuple) and value and all(isinstance(x, Tensor) for x in value):
                changed[f.name] = tuple(fn(x) for x in value)
        return replace(self, **changed)  # type: ignore[type-var]

    def to(self: T, *args, **kwargs) -> T:
        """Returns the same value with each tensor passed through `Tensor.to`."""
        return self.map(lambda x: x.to(*args, **kwargs))

    def detach(self: T) -> T:
        """Returns the same value cut off from the autograd graph."""
        return self.map(lambda x: x.detach())
