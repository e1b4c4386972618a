"""A small random field around the default head."""

import torch

from avatar3d.core import Field
from avatar3d.fields import FieldSettings, parts
from avatar3d.fields.network import fresh_condition, fresh_network, fresh_table
from avatar3d.fit.field_start import canonical
from avatar3d.ops.closest import nearest, surface

SETTINGS = FieldSettings(levels=4, features=2, log2_rows=12, base=8, width=16, step=0.004)


def random_field(head, settings: FieldSettings = SETTINGS, seed: int = 5) -> Field:
    random = torch.Generator().manual_seed(seed)
    mesh = canonical(head, torch.zeros(len(head.identities)))
    box = torch.tensor([[-0.13, -0.16, -0.23], [0.13, 0.14, 0.07]])
    counts = ((box[1] - box[0]) / 0.01).round().long().tolist()
    axes = [low + (torch.arange(n) + 0.5) * 0.01 for low, n in zip(box[0].tolist(), counts, strict=True)]
    z, y, x = torch.meshgrid(axes[2], axes[1], axes[0], indexing="ij")
    centres = torch.stack([x, y, z], -1).reshape(-1, 3)
    near = nearest(centres, surface(mesh, head.faces)).distance < 0.012
    weights = parts.part_weights(head)
    table = fresh_table(settings, random)
    network = fresh_network(settings, random)
    condition = fresh_condition(settings, weights.shape[1], parts.inputs(head, settings), random)
    first, bias, second = condition
    second = torch.randn(second.shape, generator=random) * 0.3
    network[-1][0] = 0.5
    listens = parts.listening(head, settings)[:, None]
    return Field(
        mesh,
        weights,
        box,
        near.reshape(counts[2], counts[1], counts[0]),
        table * (5e3 if settings.encoding == "hash" else 5),
        network,
        (first * listens, bias, second),
        settings.as_json(),
    )
