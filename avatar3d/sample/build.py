"""A sampled person as an avatar."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from avatar3d import heads
from avatar3d.core import Avatar
from avatar3d.heads import AnnyHead
from avatar3d.sample import beard, closing, clothes, eyes, hair, marks, shape, skin
from avatar3d.sample.layers import Layer, join, splats
from avatar3d.sample.person import Person, draw


def sample(seed: int = 0, **traits: Any) -> Avatar:
    """Returns a new head: nobody's, complete, animatable.

    Args:
        seed: Whole number from 0 on; the same seed and traits give the same head, bit for bit.
        traits: Fields of `Person` to hold fixed, such as `age=30`, `hair="bob"`.

    Raises:
        AvatarError: An unknown trait, or a value out of range.

    Example:
        >>> import avatar3d
        >>> avatar = avatar3d.sample(7, age=30, hair="bob")                          # doctest: +SKIP
    """
    return build(draw(seed, traits))


def build(person: Person, identity: torch.Tensor | None = None) -> Avatar:
    """Returns the avatar of a person.

    Args:
        person: Who.
        identity: The head's shape; by default the one of the person's seed, age, sex, build and origins.
    """
    head = heads.load("anny")
    assert isinstance(head, AnnyHead)
    own = shape.identity(head, person) if identity is None else identity
    with torch.no_grad():
        canvas = skin.canvas(person, head.rest(own).double().numpy())
    layer = paint(canvas)
    gaussians, binding = splats(layer, canvas.frames)
    return Avatar("anny", own, gaussians, binding, about=about(person), bearing=closing.bearing(head, own))


def paint(canvas: skin.Canvas) -> Layer:
    """Returns everything that is seen of a person."""
    person = canvas.person
    on, cloth = clothes.cloth(canvas)
    roots = np.array(person.hair_colour) * (1 - 0.8 * person.grey) + np.array((0.5, 0.5, 0.5)) * 0.8 * person.grey
    over = (
        skin.Over(hair.scalp(canvas), roots[None] * 0.55),
        skin.Over(beard.shade(canvas), (0.45 * np.array(person.hair_colour) + 0.25 * canvas.hue(np.zeros(1))[0])[None]),
        skin.Over(on, cloth, clothes.lift(canvas)),
    )
    parts = [skin.cover(canvas, over), *marks.marks(canvas), *beard.beard(canvas), *clothes.collar(canvas)]
    return join([*parts, *eyes.eyes(canvas), *eyes.brows(canvas), *hair.hair(canvas)])


def about(person: Person) -> Mapping[str, Any]:
    """Returns what the avatar says of itself; `sample` holds the person."""
    return {
        "source": f"avatar3d sample, seed {person.seed}",
        "consent": "nobody: a synthetic head",
        "licence": "CC0-1.0",
        "sample": person.to_json(),
    }
