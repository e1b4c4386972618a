"""LPIPS with AlexNet, version 0.1 (Zhang et al., CVPR 2018), exactly: the authors' linear heads on ImageNet's AlexNet.

The weights come as a checkpoint that is a pickle of nested dictionaries of numpy arrays. It is read by an unpickler
that knows how to rebuild arrays and nothing else, so that the file cannot run code.
"""

import functools
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d, max_pool2d, relu

from avatar3d import assets
from avatar3d.core import AvatarError

_STRIDE_PADDING = ((4, 2), (1, 2), (1, 1), (1, 1), (1, 1))  # of AlexNet's five convolutions
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # ImageNet statistics for input in [-1, 1]
SMALLEST = 63  # pixels a side that leave one pixel after AlexNet's strides and poolings


def lpips(a: Float[Tensor, "h w 3"], b: Float[Tensor, "_ _ 3"]) -> float:
    """Returns the learned perceptual distance: 0 for equal pictures, about 0.1 for a good likeness.

    Args:
        a: Picture in [0, 1], at least 63 pixels a side.
        b: The other one.

    Raises:
        AvatarError: The sizes differ or are too small, or the weights cannot be had.
    """
    if a.shape != b.shape:
        raise AvatarError(f"LPIPS: pictures of different size, {tuple(a.shape)} and {tuple(b.shape)}")
    if min(a.shape[:2]) < SMALLEST:
        raise AvatarError(f"LPIPS: picture of {a.shape[1]}x{a.shape[0]}; each side must be at least {SMALLEST} pixels")
    with torch.no_grad():
        return float(perceptual(a[None], b[None]))


def perceptual(a: Float[Tensor, "b h w 3"], b: Float[Tensor, "b h w 3"]) -> Float[Tensor, ""]:
    """Returns the mean LPIPS of pairs of pictures, differentiable in the first of each pair.

    Args:
        a: Pictures in [0, 1], at least 63 pixels a side.
        b: What they should look like.

    Raises:
        AvatarError: The weights cannot be had.
    """
    convolutions, heads = _network()
    with torch.no_grad():
        wanted = _features(b, convolutions)
    total = a.new_zeros(())
    for x, y, head in zip(_features(a, convolutions), wanted, heads, strict=True):
        total = total + conv2d((_unit(x) - _unit(y)) ** 2, head.to(x)).mean()
    return total


def _features(images: Float[Tensor, "b h w 3"], convolutions: list[tuple[Tensor, Tensor]]) -> list[Tensor]:
    """Returns the activations after each of AlexNet's five convolutions."""
    x = (images * 2 - 1 - images.new_tensor(_SHIFT)) / images.new_tensor(_SCALE)
    x = x.permute(0, 3, 1, 2).contiguous()
    out = []
    for i, ((weight, bias), (stride, padding)) in enumerate(zip(convolutions, _STRIDE_PADDING, strict=True)):
        x = relu(conv2d(x, weight.to(x), bias.to(x), stride=stride, padding=padding))
        out.append(x)
        if i < 2:
            x = max_pool2d(x, 3, 2)
    return out


def _unit(features: Tensor) -> Tensor:
    """Returns features of length one over the channels."""
    return features / (features.square().sum(1, keepdim=True).sqrt() + 1e-10)


class _ArraysOnly(pickle.Unpickler):
    """Rebuilds numpy arrays and refuses every other name."""

    def find_class(self, module: str, name: str) -> Any:
        known = {"_reconstruct": np.empty(0).__reduce__()[0], "ndarray": np.ndarray, "dtype": np.dtype}
        homes = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray")
        if module in homes and name in known:
            return known[name]
        raise pickle.UnpicklingError(f"{module}.{name} is not an array")


@functools.cache
def _network() -> tuple[list[tuple[Tensor, Tensor]], list[Tensor]]:
    """Returns the weights, read once a process: checking the file takes as long as using it."""
    return _weights(assets.path("lpips-alexnet"))


def _weights(path: Path) -> tuple[list[tuple[Tensor, Tensor]], list[Tensor]]:
    """Returns (kernel, bias) of the convolutions and the kernels of the linear heads, in PyTorch's layout."""
    try:
        tree = _ArraysOnly(io.BytesIO(path.read_bytes())).load()
        net = next(tree[name] for name in tree if name.lower().startswith("alex"))
        convolutions = [
            (_kernel(net[f"Conv_{i}"]["kernel"]), torch.from_numpy(np.array(net[f"Conv_{i}"]["bias"])))
            for i in range(5)
        ]
        heads = [_kernel(tree[f"NetLinLayer_{i}"]["Conv_0"]["kernel"]) for i in range(5)]
    except (pickle.UnpicklingError, KeyError, StopIteration, EOFError, TypeError, ValueError, IndexError) as error:
        raise AvatarError(f"{path}: not the LPIPS weights ({error}); delete it, it will be fetched again") from error
    return convolutions, heads


def _kernel(array: Any) -> Tensor:
    """Returns a kernel stored as (height, width, in, out) in the order (out, in, height, width)."""
    return torch.from_numpy(np.array(array)).permute(3, 2, 0, 1).contiguous()
