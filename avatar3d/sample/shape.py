"""The face of a sampled person: identity coefficients from the prior, with age, sex, build and origins as asked."""

import torch
from jaxtyping import Float
from torch import Tensor

from avatar3d.heads import AnnyHead
from avatar3d.sample.person import Person

# What the head's mean person is (tools/bake_head.py): sliders are measured from there.
_MEAN = {"age": 0.72, "gender": 0.5, "weight": 0.5, "muscle": 0.5, "african": 1 / 3, "asian": 1 / 3, "caucasian": 1 / 3}
_ORIGINS = 0.85
"""Of the way to an origin that only one share makes up: pure origins are caricatures of the base targets."""
_BUILD = 1.2
"""Of the way from the mean to one sex: the model's own ends are more alike than most adults are."""
_AGEING = 1.5
"""Of the model's change with age: the modes keep the broad part of it only."""


_FAT = {"head-fat": 0.5, "cheek-volume": 0.5, "neck-double": 0.6, "cheek-bones": -0.3}


def identity(head: AnnyHead, person: Person) -> Float[Tensor, " s"]:
    """Returns the identity coefficients.

    A draw from N(0, variety^2 I), from which the part along the phenotypes' directions is taken away and replaced by
    the phenotypes asked for: the conditional of the prior given them, with the rest scaled.
    """
    generator = torch.Generator().manual_seed(person.seed * 7919 + 13)
    free = torch.randn(len(head.identities), generator=generator, dtype=torch.float64)
    free = free.clamp(-2.2, 2.2) * person.variety
    directions = torch.stack([head.slider(name).double() for name in _MEAN])
    for direction in _orthonormal(directions):
        free = free - (free * direction).sum() * direction
    amounts = torch.tensor([_wanted(person, name) - mean for name, mean in _MEAN.items()], dtype=torch.float64)
    amounts[0] = _AGEING * amounts[0] if amounts[0] > 0 else amounts[0]
    # What fat does to a face is hardly part of the phenotype: local changes add it.
    heavy = person.weight - 0.5
    local = sum(amount * heavy * head.slider(name).double() for name, amount in _FAT.items())
    return (free + (amounts[:, None] * directions).sum(0) + local).float()


def _orthonormal(directions: Float[Tensor, "d s"]) -> list[Float[Tensor, " s"]]:
    """Returns a basis of what some directions span (Gram-Schmidt); those that others make up (origins) add nothing.

    Element by element: a least-squares solver gives other last bits from call to call.
    """
    basis: list[Tensor] = []
    for direction in directions:
        rest = direction
        for known in basis * 2:  # twice, against rounding
            rest = rest - (rest * known).sum() * known
        length = rest.square().sum().sqrt()
        if length > 1e-6 * direction.square().sum().sqrt():
            basis.append(rest / length)
    return basis


def _wanted(person: Person, name: str) -> float:
    if name == "age":
        return model_age(person.age)
    if name == "gender":
        return 0.5 - _BUILD * (person.gender - 0.5)  # the model's gender is 0 male, 1 female
    mean = _MEAN[name]
    value = float(getattr(person, name))
    return mean + (_ORIGINS if name in ("african", "asian", "caucasian") else 1.0) * (value - mean)


def model_age(years: float) -> float:
    """Returns the model's age of so many years: 0.6 at 14, 0.667 at 25, 0.97 at 90 (linear between)."""
    if years < 25:
        return 0.6 + 0.067 * (years - 14) / 11
    return 0.667 + 0.303 * (years - 25) / 65
