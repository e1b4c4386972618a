"""Colours after an example: each region takes the mean and the spread of colours of another avatar's."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from avatar3d.core import Avatar, AvatarError
from avatar3d.edit.base import Edit, named, ranged
from avatar3d.edit.look import regions
from avatar3d.edit.look.colour import from_oklab, to_oklab
from avatar3d.edit.look.measure import measured
from avatar3d.edit.look.tint import tinted

REGIONS = ("skin", "lips", "brows", "iris", "hair", "clothes")
"""Regions whose colours are taken over unless told otherwise."""
_GAIN = (0.5, 1.8)  # how much narrower or wider a spread of colours may become
_ROUNDS = 3


@dataclass(frozen=True)
class Like(Edit):
    """Take over the colours of an example, region by region: mean and covariance in OKLab."""

    kind: ClassVar[str] = "like"

    colours: Mapping[str, tuple[float, ...]] = named(regions.names)
    """Of each region: mean L, a, b, then the covariance's LL, La, Lb, aa, ab, bb; as `statistics` gives them."""
    amount: float = ranged(0.0, 1.0, 1.0)
    """Share of the way."""

    def check(self) -> None:
        for name, numbers in self.colours.items():
            if len(numbers) != 9:
                raise AvatarError(f"like: {name} has {len(numbers)} numbers; give 9: mean and covariance in OKLab")

    def apply(self, avatar: Avatar) -> Avatar:
        for name, numbers in self.colours.items():
            weights = regions.weights(avatar, name)
            was = measured(avatar, weights, name)
            if not was.shown:
                continue
            wanted = was.mean + self.amount * (torch.tensor(numbers[:3]) - was.mean)
            spread = _matching(was.covariance, _square(numbers[3:]), self.amount)
            aim = wanted.clone()
            source = avatar
            for i in range(_ROUNDS):
                change = partial(_moved, weights=weights, mean=was.mean, aim=aim, spread=spread)
                avatar = tinted(source, weights > 0.01, change)
                if i < _ROUNDS - 1:
                    aim = aim + (wanted - measured(avatar, weights, name).mean).clamp(-0.2, 0.2)
        return avatar

    @classmethod
    def examples(cls) -> Mapping[str, Edit]:
        warm = {"skin": (0.72, 0.045, 0.06, 3e-3, 0.0, 0.0, 2e-4, 0.0, 2e-4)}
        return {"warm skin": cls(warm)}


def statistics(avatar: Avatar, names: tuple[str, ...] = REGIONS) -> dict[str, tuple[float, ...]]:
    """Returns the colours of an avatar's regions as `Like` takes them; regions that do not show are left out."""
    out = {}
    for name in names:
        seen = measured(avatar, regions.weights(avatar, name), name)
        if seen.shown:
            upper = [seen.covariance[i, j] for i in range(3) for j in range(i, 3)]
            out[name] = tuple(round(float(x), 7) for x in (*seen.mean, *upper))
    return out


def _moved(colours: Tensor, rows: Tensor, weights: Tensor, mean: Tensor, aim: Tensor, spread: Tensor) -> Tensor:
    new = from_oklab(aim + (to_oklab(colours) - mean) @ spread.T)
    return colours + weights[rows, None] * (new.clamp(-0.15, 1.25) - colours)


def _square(upper: tuple[float, ...]) -> Float[Tensor, "3 3"]:
    a, b, c, d, e, f = upper
    return torch.tensor([[a, b, c], [b, d, e], [c, e, f]])


def _matching(was: Float[Tensor, "3 3"], wanted: Float[Tensor, "3 3"], amount: float) -> Float[Tensor, "3 3"]:
    """Returns the linear map between two spreads that moves colours least, its gains limited
    (Pitie and Kokaram 2007)."""
    floor = torch.eye(3, dtype=torch.float64) * 2e-5
    root = _power(was.double() + floor, 0.5)
    inverse = _power(was.double() + floor, -0.5)
    full = inverse @ _power(root @ (wanted.double() + floor) @ root, 0.5) @ inverse
    values, vectors = torch.linalg.eigh((full + full.T) / 2)
    gains = values.clamp(*_GAIN) ** amount
    return (vectors @ torch.diag(gains) @ vectors.T).float()


def _power(matrix: Tensor, exponent: float) -> Tensor:
    values, vectors = torch.linalg.eigh((matrix + matrix.T) / 2)
    return vectors @ torch.diag(values.clamp_min(1e-9) ** exponent) @ vectors.T
