"""What a field holds at points of canonical space: features, a small network, and what the pose adds to it."""

import itertools
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from avatar3d.core import Field
from avatar3d.fields.settings import FieldSettings
from avatar3d.ops import field as ops
from avatar3d.tensors import Tensors

DENSITY = 150.0
"""Per metre and unit: density = DENSITY softplus(x). A step of 3 mm at x = 1 takes 45% of the light."""
_HEARING = 24  # neurons that listen, of each part


@dataclass(frozen=True)
class Matter(Tensors):
    """What is at points."""

    density: Float[Tensor, " m"]
    """Per metre."""
    colour: Float[Tensor, "m 3"]


def fresh_table(settings: FieldSettings, random: torch.Generator) -> Float[Tensor, "rows features"]:
    """Returns features to begin with."""
    if settings.encoding == "hash":
        return settings.grid.table(random)
    return 0.1 * torch.randn(3 * settings.plane**2, settings.channels, generator=random)


def fresh_network(settings: FieldSettings, random: torch.Generator) -> tuple[Tensor, ...]:
    """Returns the layers to begin with: nearly empty grey space."""
    widths = [settings.encoded + 3 * settings.view, *[settings.width] * settings.layers, 4]
    layers: list[Tensor] = []
    for i, o in itertools.pairwise(widths):
        layers += [torch.randn(o, i, generator=random) * (2 / i) ** 0.5, torch.zeros(o)]
    layers[-2] *= 0.3
    layers[-1][0] = -2.0
    return tuple(layers)


def fresh_condition(settings: FieldSettings, parts: int, heard: int, random: torch.Generator) -> tuple[Tensor, ...]:
    """Returns the listening network to begin with: nothing is added."""
    first = torch.randn(parts, _HEARING, heard, generator=random) * (2 / max(1, heard)) ** 0.5
    return first, torch.zeros(parts, _HEARING), torch.zeros(parts, settings.width, _HEARING)


def added(condition: tuple[Tensor, ...], said: Float[Tensor, " i"]) -> Float[Tensor, "c p"]:
    """Returns what a pose adds to the first layer, by part."""
    first, bias, second = condition
    heard = (first @ said + bias).relu()
    return (second @ heard[..., None])[..., 0].T


def encode(field: Field, settings: FieldSettings, points: Float[Tensor, "m 3"]) -> Float[Tensor, "m k"]:
    """Returns features of points in canonical space."""
    low, high = field.box
    unit = (points - low) / (high - low).max()
    if settings.encoding == "hash":
        return ops.encode(unit, field.table, settings.grid)
    return _planes(unit, field.table, settings)


def matter(
    field: Field,
    settings: FieldSettings,
    points: Float[Tensor, "m 3"],
    parts: Float[Tensor, "m p"],
    extra: Float[Tensor, "c p"],
    sight: Float[Tensor, "m 3"] | None = None,
) -> Matter:
    """Returns what is at points.

    What a pose adds is the same for all points of a part, so it stands in the first layer's matrix, as columns that the
    points' shares in the parts are multiplied with.

    Args:
        field: The field.
        settings: Its settings.
        points: In canonical space.
        parts: How far each point belongs to each part.
        extra: From `added`.
        sight: Directions of sight in head space, where the settings ask for them.
    """
    x = [encode(field, settings, points), parts]
    weights, biases = list(field.network[::2]), list(field.network[1::2])
    if sight is not None:
        x.append(sight)
        first = [weights[0][:, : settings.encoded], extra, weights[0][:, settings.encoded :]]
    else:
        first = [weights[0], extra]
    weights[0] = torch.cat(first, dim=1)
    out = ops.mlp(torch.cat(x, dim=1), weights, biases)
    return Matter(DENSITY * torch.nn.functional.softplus(out[:, 0].contiguous()), out[:, 1:].sigmoid())


def _planes(unit: Tensor, table: Tensor, settings: FieldSettings) -> Tensor:
    """Returns the sum of bilinear looks into three planes (xy, xz, yz)."""
    side = settings.plane
    pictures = table.reshape(3, side, side, -1).permute(0, 3, 1, 2)
    places = torch.stack([unit[:, [0, 1]], unit[:, [0, 2]], unit[:, [1, 2]]]) * 2 - 1
    seen = torch.nn.functional.grid_sample(pictures, places[:, :, None], align_corners=False, padding_mode="border")
    return seen[..., 0].sum(0).T
