"""Soft nodes: what no joint moves, clothes and hair, follows a few points that a clip may shift."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

_ALONE = 0.3  # least sum of weights that is scaled up to one: beyond a node's reach its hold fades out


def soft_weights(
    vertices: Float[Tensor, "v 3"], part: Float[Tensor, " v"], shown: Bool[Tensor, " v"], count: int, reach: float
) -> Float[Tensor, "v o"]:
    """Returns how far each vertex follows each of `count` nodes, spread evenly over a part of the head.

    Gaussian in the distance to each node, scaled to sum to one where nodes are near, times the vertex's share of the
    part.

    Args:
        vertices: The head at rest, metres.
        part: How much each vertex belongs to the part, in [0, 1].
        shown: Vertices on which nodes may stand.
        count: Nodes.
        reach: Standard deviation of the Gaussian, metres.
    """
    places = vertices[(part > 0.5) & shown]
    chosen, distance = [int(places[:, 2].argmax())], torch.full((len(places),), torch.inf)
    while len(chosen) < count:
        distance = torch.minimum(distance, (places - places[chosen[-1]]).norm(dim=-1))
        chosen.append(int(distance.argmax()))
    weights = torch.exp(-0.5 * (torch.cdist(vertices, places[chosen]) / reach).square())
    return weights / weights.sum(1, keepdim=True).clamp(min=_ALONE) * part[:, None]
