"""The pixels that a step of a field's fit looks at."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatar3d.core import HeadModel
from avatar3d.fit import loss
from avatar3d.fit.views import Views

_BEYOND = 0.06  # how much seldomer rays look at the background, far from the person
_EDGE = 9  # pixels around the matte that count as the person, at 256 pixels


@dataclass(frozen=True)
class Drawn:
    """Some pixels of one view."""

    places: Float[Tensor, "r 2"]
    """Centres, x and y."""
    target: Float[Tensor, "r 3"]
    """What they show, over the background."""
    matte: Float[Tensor, " r"]
    background: Float[Tensor, "r 3"]

    def index(self, width: int) -> Int[Tensor, " r"]:
        """Returns their places in a picture of that width, row after row."""
        return self.places[:, 1].long() * width + self.places[:, 0].long()


@dataclass(frozen=True)
class Pixels:
    """All views' pixels, and how often each is looked at."""

    views: Views
    sums: Float[Tensor, "m p"]
    """Of each view, running sums of the shares of its pixels."""

    def draw(self, row: int, count: int, seed: int) -> Drawn:
        """Returns `count` pixels of a view, over white or any other colour; depends on its arguments alone."""
        random = torch.Generator().manual_seed(seed)
        sums, width = self.sums[row], self.views.images.shape[2]
        lot = torch.rand(count, generator=random) * sums[-1]
        index = torch.searchsorted(sums, lot, right=True).clamp(max=len(sums) - 1).sort().values
        colour = self.views.images[row].reshape(-1, 3)[index].float() / 255
        matte = self.views.masks[row].reshape(-1)[index].float() / 255
        background = torch.rand(count, 3, generator=random)
        background[torch.rand(count, generator=random) < 0.5] = 1.0
        target = colour * matte[:, None] + background * (1 - matte[:, None])
        places = torch.stack([index % width + 0.5, index // width + 0.5], -1)
        return Drawn(places, target, matte, background)


def pixels(head: HeadModel, identity: Float[Tensor, " s"], views: Views, features: float) -> Pixels:
    """Returns the pixels of all views: those of the person, and around the mouth and the eyes oftener."""
    regions, rows = loss.feature_vertices(head), []
    h, w = views.masks.shape[1:]
    wide = 2 * max(1, round(_EDGE * max(h, w) / 256)) + 1
    for row in range(len(views)):
        person = (views.masks[row] > 12)[None].float()
        near = torch.nn.functional.max_pool2d(person, wide, 1, wide // 2)[0]
        share = near.clamp(min=_BEYOND)
        if features and len(regions):
            vertices = head.vertices(identity, views.pose[row])
            camera = views.camera.at(row)
            batched = type(camera)(camera.w2c[None], camera.K[None], camera.width, camera.height)
            share = share * loss.feature_weights(vertices[None], regions, batched, features)[0]
        rows.append(share.reshape(-1).cumsum(0, dtype=torch.float64).float())
    return Pixels(views, torch.stack(rows))
