"""A head between two sampled ones."""

import dataclasses

import numpy as np
import torch

from avatar3d import heads
from avatar3d.core import Avatar, AvatarError
from avatar3d.heads import AnnyHead
from avatar3d.sample import closing, layers
from avatar3d.sample.build import about, paint
from avatar3d.sample.person import Person, from_json
from avatar3d.sample.skin import canvas


def between(first: Avatar, second: Avatar, amount: float | int = 0.5) -> Avatar:
    """Returns the head that lies between two sampled heads.

    Shape, colours and every number go over evenly. Where the two differ in kind (style of hair, beard, clothes) and in
    where freckles and hairs are, the share of the second's splats among the splats grows with the amount.

    Args:
        first: A head that `sample` made.
        second: Another one.
        amount: 0 gives the first's own person, 1 the second's.

    Raises:
        AvatarError: One was not sampled, or the amount is not in [0, 1].
    """
    if not 0 <= amount <= 1:
        raise AvatarError(f"amount: {amount:g} is out of range; it goes from 0 to 1")
    one, two = (_person(x, which) for x, which in ((first, "first"), (second, "second")))
    identity = (first.identity.double() * (1 - amount) + second.identity.double() * amount).float()
    head = heads.load("anny")
    assert isinstance(head, AnnyHead)
    rest = head.rest(identity).double().numpy()
    mixed = _mixed(one, two, amount), _mixed(one, two, amount, second=True)
    canvases = [canvas(mixed[0], rest)]
    canvases.append(dataclasses.replace(canvases[0], person=mixed[1]))
    painted = [paint(c) for c in canvases]
    chosen = [_share(painted[0], 1 - amount, False), _share(painted[1], 1 - amount, True)]
    layer = layers.join([p.gather(i) for p, i in zip(painted, chosen, strict=True)])
    gaussians, binding = layers.splats(layer, canvases[0].frames)
    told = {**about(mixed[0]), "source": f"avatar3d sample, {amount:g} between seeds {one.seed} and {two.seed}"}
    return Avatar("anny", identity, gaussians, binding, about=told, bearing=closing.bearing(head, identity))


def _person(avatar: Avatar, which: str) -> Person:
    if "sample" not in avatar.about:
        raise AvatarError(f"the {which} head was not made by `avatar3d sample`, so there is no way between; sample one")
    return from_json(avatar.about["sample"])


def _mixed(one: Person, two: Person, amount: float | int, second: bool = False) -> Person:
    """Returns the person between, with the kinds and the seed of the first or of the second."""
    base, other = (two, one) if second else (one, two)
    share = 1 - amount if second else amount
    values = {}
    for field in dataclasses.fields(Person):
        a, b = getattr(base, field.name), getattr(other, field.name)
        if isinstance(a, tuple):
            values[field.name] = tuple(float(x) for x in np.array(a) * (1 - share) + np.array(b) * share)
        elif isinstance(a, float):
            values[field.name] = a * (1 - share) + b * share
        else:
            values[field.name] = a
    return Person(**values)


def _share(layer: layers.Layer, part: float | int, rest: bool) -> np.ndarray:
    """Returns the rows of a layer whose place in a fixed random order is below `part`, or the rest.

    The closed surface is the same set of places in both, so that each place comes from one of the two.
    """
    order = torch.rand(len(layer), generator=torch.Generator().manual_seed(5)).numpy()
    return np.flatnonzero(order >= part if rest else order < part)
