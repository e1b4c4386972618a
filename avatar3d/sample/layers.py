"""Splats as they are laid on a head, before they become parameters: points, axes, sizes in metres, colours in sRGB."""

from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Float, Int

from avatar3d.core import Binding, Gaussians
from avatar3d.geometry import matrix_to_quat

SH0 = 0.28209479177387814
"""Y_0: colour = 0.5 + SH0 * coefficient."""
_SMALLEST = 2e-5  # metres: collapsed triangles have no extent, and its logarithm must stay finite


@dataclass(frozen=True)
class Frames:
    """Frames of a mesh's triangles as arrays: see `rig.frames`."""

    rotation: Float[np.ndarray, "f 3 3"]
    """Columns: along the first edge, the outward normal, and across."""
    scale: Float[np.ndarray, " f"]


@dataclass(frozen=True)
class Layer:
    """Splats of one kind, relative to the triangles that carry them."""

    face: Int[np.ndarray, " n"]
    bary: Float[np.ndarray, "n 3"]
    offset: Float[np.ndarray, "n 3"]
    """From the point of the triangle, metres in the axes of its frame."""
    axes: Float[np.ndarray, "n 3 3"]
    """Columns: the splat's axes in those of the frame."""
    sizes: Float[np.ndarray, "n 3"]
    """Standard deviations along its axes, metres."""
    opacity: Float[np.ndarray, " n"]
    colour: Float[np.ndarray, "n 3"]
    """sRGB."""

    def __len__(self) -> int:
        return len(self.face)

    def gather(self, index: np.ndarray) -> "Layer":
        """Returns the splats at `index`."""
        return Layer(*(getattr(self, f.name)[index] for f in fields(self)))


def join(layers: list[Layer]) -> Layer:
    """Returns one layer of several."""
    return Layer(*(np.concatenate([getattr(x, f.name) for x in layers]) for f in fields(Layer)))


def splats(layer: Layer, frames: Frames) -> tuple[Gaussians, Binding]:
    """Returns the parameters of a layer on a mesh whose triangles at rest have these frames."""
    scale = frames.scale[layer.face][:, None]
    opacity = np.clip(layer.opacity, 0.01, 0.99)
    values = (
        layer.offset / scale,
        matrix_to_quat(torch.from_numpy(layer.axes.astype(np.float64))).numpy(),
        np.log(np.maximum(layer.sizes, _SMALLEST) / scale),
        np.log(opacity / (1 - opacity)),
        ((np.clip(layer.colour, 0, 1) - 0.5) / SH0)[:, None],
    )
    gaussians = Gaussians(*(torch.from_numpy(np.ascontiguousarray(v)).float() for v in values))
    return gaussians, Binding(torch.from_numpy(layer.face).long(), torch.from_numpy(layer.bary).float())


def along(direction: Float[np.ndarray, "n 3"], normal: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3 3"]:
    """Returns axes whose first column points along `direction` and whose second is the normal made square to it."""
    first = unit(direction)
    second = normal - (normal * first).sum(-1, keepdims=True) * first
    # A direction along the normal leaves none: any other axis does.
    flat = np.linalg.norm(second, axis=-1) < 1e-6
    second[flat] = np.cross(first[flat], [0.3, 0.5, 0.8])
    second = unit(second)
    return np.stack([first, second, np.cross(first, second)], -1)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Returns vectors of length one."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def linear(srgb: np.ndarray) -> np.ndarray:
    """Returns linear light (IEC 61966-2-1) of sRGB in [0, 1]."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((np.maximum(srgb, 0) + 0.055) / 1.055) ** 2.4)


def encoded(light: np.ndarray) -> np.ndarray:
    """Returns sRGB of linear light; what is brighter than 0.8 is rolled off softly instead of cut."""
    soft = np.where(light > 0.8, 0.8 + 0.2 * (1 - np.exp(-(np.maximum(light, 0.8) - 0.8) / 0.2)), light)
    return np.where(soft <= 0.0031308, soft * 12.92, 1.055 * np.maximum(soft, 0) ** (1 / 2.4) - 0.055)
