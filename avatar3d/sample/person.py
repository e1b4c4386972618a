"""Who a sampled head is: a few dozen plain values, drawn from a seed, with those that are asked for held fixed."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from avatar3d.core import AvatarError, first_of

Colour = tuple[float, float, float]

HAIR_STYLES = ("bald", "buzz", "short", "swept", "curly", "afro", "bob", "long", "wavy", "bun", "ponytail")
BEARDS = ("none", "stubble", "moustache", "goatee", "full")
CLOTHES = ("tshirt", "sweater", "shirt", "vneck", "turtleneck")

HAIR_COLOURS: Mapping[str, Colour] = {
    "black": (0.07, 0.06, 0.06),
    "dark brown": (0.15, 0.10, 0.07),
    "brown": (0.26, 0.17, 0.11),
    "light brown": (0.40, 0.28, 0.18),
    "dark blond": (0.52, 0.40, 0.26),
    "blond": (0.72, 0.58, 0.38),
    "platinum": (0.88, 0.81, 0.68),
    "auburn": (0.35, 0.14, 0.08),
    "red": (0.58, 0.22, 0.09),
    "ginger": (0.70, 0.34, 0.14),
    "grey": (0.55, 0.54, 0.53),
    "white": (0.86, 0.85, 0.83),
}
EYE_COLOURS: Mapping[str, Colour] = {
    "dark brown": (0.20, 0.11, 0.06),
    "brown": (0.35, 0.20, 0.10),
    "amber": (0.55, 0.34, 0.12),
    "hazel": (0.42, 0.33, 0.16),
    "green": (0.33, 0.43, 0.25),
    "grey": (0.46, 0.50, 0.53),
    "blue": (0.30, 0.46, 0.63),
}
_FABRICS: tuple[Colour, ...] = (
    (0.12, 0.13, 0.16),
    (0.16, 0.22, 0.36),
    (0.45, 0.14, 0.15),
    (0.22, 0.33, 0.27),
    (0.62, 0.60, 0.56),
    (0.82, 0.80, 0.77),
    (0.38, 0.30, 0.24),
    (0.30, 0.44, 0.55),
    (0.58, 0.45, 0.22),
    (0.38, 0.26, 0.38),
)


@dataclass(frozen=True)
class Person:
    """Everything that makes a sampled head; each number in its range, each word from its list."""

    seed: int
    """Of all that no other field says: the local shape of the face, where freckles and hairs are."""
    age: float
    """Years, 14 to 90."""
    gender: float
    """0 female to 1 male."""
    weight: float
    """0 lean to 1 heavy."""
    muscle: float
    african: float
    asian: float
    caucasian: float
    """Shares of the origins that the head model knows; they add up to one."""
    variety: float
    """How far the local shape strays from the average, in standard deviations of the prior, 0 to 1.2."""
    melanin: float
    """Of the skin, 0 to 1."""
    redness: float
    """Of cheeks, nose and ears, 0 to 1."""
    freckles: float
    moles: float
    wrinkles: float
    hair: str
    """One of HAIR_STYLES."""
    hair_colour: Colour
    hair_length: float
    """Times the style's own length, 0.6 to 1.5."""
    grey: float
    """Share of grey hairs."""
    parting: float
    """Where the hair parts, -1 (the head's right) to 1."""
    fringe: float
    """How much hair falls on the forehead, 0 to 1."""
    receding: float
    beard: str
    """One of BEARDS."""
    brows: float
    """Thickness, 0 to 1."""
    eyes: Colour
    """Of the iris, sRGB."""
    lips: Colour
    """Of lipstick; read as far as `lipstick` says."""
    lipstick: float
    shadow: float
    """Eye shadow and liner, 0 to 1."""
    clothes: str
    """One of CLOTHES."""
    fabric: Colour

    def to_json(self) -> dict[str, Any]:
        """Returns the fields as JSON has them."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in vars(self).items()}


_RANGES: Mapping[str, tuple[float, float]] = {
    "age": (14.0, 90.0),
    "variety": (0.0, 1.2),
    "hair_length": (0.6, 1.5),
    "parting": (-1.0, 1.0),
    **dict.fromkeys(("gender", "weight", "muscle", "african", "asian", "caucasian", "melanin", "redness"), (0.0, 1.0)),
    **dict.fromkeys(("freckles", "moles", "wrinkles", "grey", "fringe", "receding", "brows"), (0.0, 1.0)),
    **dict.fromkeys(("lipstick", "shadow"), (0.0, 1.0)),
}
_LISTS = {"hair": HAIR_STYLES, "beard": BEARDS, "clothes": CLOTHES}


def from_json(data: Mapping[str, Any]) -> Person:
    """Returns the person that `to_json` wrote.

    Raises:
        AvatarError: A field is missing, unknown or out of range.
    """
    names = [f.name for f in dataclasses.fields(Person)]
    missing = [n for n in names if n not in data]
    if missing:
        raise AvatarError(f"sampled head: the description lacks {', '.join(missing)}; sample it again")
    return Person(seed=int(data["seed"]), **{n: checked(n, data[n]) for n in names if n != "seed"})


def checked(name: str, value: Any) -> Any:
    """Returns a field's value after checking name, type and range.

    Raises:
        AvatarError: Says the nearest names or the range.
    """
    first_of([f.name for f in dataclasses.fields(Person) if f.name != "seed"], name)
    if name in _LISTS:
        first_of(_LISTS[name], str(value))
        return str(value)
    if name in ("hair_colour", "eyes", "lips", "fabric"):
        colour = tuple(float(c) for c in value) if isinstance(value, tuple | list) else ()
        if len(colour) != 3 or not all(0 <= c <= 1 for c in colour):
            raise AvatarError(f"{name}: {value} is not a colour; give #rrggbb, or three numbers from 0 to 1")
        return colour
    low, high = _RANGES[name]
    if not isinstance(value, int | float):
        raise AvatarError(f"{name}: '{value}' is not a number; it goes from {low:g} to {high:g}")
    number = float(value)
    if not low <= number <= high:
        raise AvatarError(f"{name}: {number:g} is out of range; it goes from {low:g} to {high:g}")
    return number


def draw(seed: int, fixed: Mapping[str, Any] | None = None) -> Person:
    """Returns the person of a seed.

    Every field has its own stream of random numbers, so that fixing one does not change the others, except where one
    depends on it: skin and hair on origins, wrinkles and grey hair on age, beard and make-up on gender.

    Args:
        seed: Any integer from 0 on.
        fixed: Fields that are asked for.

    Raises:
        AvatarError: An unknown field, or a value out of range.
    """
    if seed < 0:
        raise AvatarError(f"seed {seed}: give a whole number from 0 on")
    given = {name: checked(name, value) for name, value in (fixed or {}).items()}
    out: dict[str, Any] = {}

    def take(name: str, make) -> Any:
        rng = np.random.default_rng([seed, *name.encode()])
        value = make(rng)
        if name in _RANGES:
            value = float(np.clip(value, *_RANGES[name]))
        out[name] = given.get(name, value)
        return out[name]

    age = take("age", lambda r: 18 + 55 * r.beta(1.2, 1.8))
    male = take("gender", lambda r: r.choice([r.uniform(0, 0.12), r.uniform(0.88, 1)])) > 0.5
    take("weight", lambda r: r.normal(0.48, 0.17))
    take("muscle", lambda r: r.normal(0.5, 0.15))
    origin = _origins(seed, given)
    out.update(zip(("african", "asian", "caucasian"), origin, strict=True))
    take("variety", lambda r: 0.72)
    melanin = take("melanin", lambda r: np.dot(origin, (0.80, 0.32, 0.16)) + r.normal(0, 0.07))
    take("redness", lambda r: r.beta(2, 2.5))
    take("freckles", lambda r: 0.8 * r.random() if melanin < 0.3 and r.random() < 0.3 else 0.0)
    take("moles", lambda r: r.beta(1.2, 3))
    take("wrinkles", lambda r: 1 / (1 + math.exp(-(age - 56 + r.normal(0, 5)) / 9)))
    take("hair", lambda r: r.choice(*_styles(male, age, origin)))
    take("hair_colour", lambda r: HAIR_COLOURS[r.choice(*_hair_colours(origin))])
    take("hair_length", lambda r: r.normal(1, 0.12))
    take("grey", lambda r: max(0.0, (age - 38) / 40 + r.normal(0, 0.18)) if age > 32 else 0.0)
    take("parting", lambda r: r.choice([-0.45, 0.0, 0.45]) + r.normal(0, 0.08))
    take("fringe", lambda r: 0.0 if r.random() < 0.65 else r.uniform(0.5, 1))
    take("receding", lambda r: max(0.0, (age - 30) / 60 + r.normal(0, 0.2)) if male else 0.0)
    take("beard", lambda r: r.choice(BEARDS, p=(0.42, 0.3, 0.07, 0.07, 0.14)) if male and age > 18 else "none")
    take("brows", lambda r: r.normal(0.62 if male else 0.4, 0.13))
    take("eyes", lambda r: _blend(EYE_COLOURS, r.choice(*_eye_colours(origin, out["hair_colour"])), r))
    take("lips", lambda r: ((0.62, 0.13, 0.18), (0.72, 0.32, 0.36), (0.55, 0.20, 0.24))[r.integers(3)])
    take("lipstick", lambda r: r.uniform(0.3, 0.8) if not male and r.random() < 0.45 else 0.0)
    take("shadow", lambda r: r.uniform(0.2, 0.8) if not male and r.random() < 0.4 else 0.0)
    take("clothes", lambda r: r.choice(CLOTHES, p=(0.32, 0.2, 0.2, 0.18, 0.1)))
    take(
        "fabric", lambda r: tuple(np.clip(np.array(_FABRICS[r.integers(len(_FABRICS))]) * r.uniform(0.85, 1.15), 0, 1))
    )
    fields: dict[str, Any] = {}
    for name, value in out.items():
        plain = tuple(map(float, value)) if isinstance(value, tuple) else str(value) if name in _LISTS else float(value)
        fields[name] = plain
    return Person(seed=seed, **fields)


def _origins(seed: int, given: Mapping[str, Any]) -> tuple[float, ...]:
    """Returns the three shares; those that are given are kept, the rest shares what is left."""
    names = ("african", "asian", "caucasian")
    rng = np.random.default_rng([seed, 11])
    share = rng.dirichlet((0.35, 0.35, 0.35))
    kept = [n in given for n in names]
    if not any(kept):
        return tuple(float(x) for x in share)
    asked = np.array([given.get(n, 0.0) for n in names])
    rest = np.where(kept, 0, share)
    left = max(0.0, 1 - asked.sum())
    total = asked + (left * rest / rest.sum() if rest.sum() > 0 else 0)
    if total.sum() <= 0:
        raise AvatarError("african, asian, caucasian: at least one share must be above 0")
    return tuple(float(x) for x in total / total.sum())


def _styles(male: bool, age: float, origin) -> tuple[list[str], int | None, bool, list[float]]:
    if male:
        odds = {"bald": 0.05 + 0.003 * max(0, age - 35), "buzz": 0.16, "short": 0.38, "swept": 0.24, "curly": 0.12}
        odds |= {"long": 0.03, "bun": 0.02}
    else:
        odds = {"short": 0.08, "bob": 0.22, "long": 0.24, "wavy": 0.18, "curly": 0.1, "bun": 0.12, "ponytail": 0.08}
    odds["afro"] = 0.5 * origin[0]
    total = sum(odds.values())
    return list(odds), None, True, [v / total for v in odds.values()]


def _hair_colours(origin) -> tuple[list[str], int | None, bool, list[float]]:
    dark = {"black": 0.75, "dark brown": 0.25}
    fair = {"dark brown": 0.24, "brown": 0.24, "light brown": 0.16, "dark blond": 0.12, "blond": 0.1}
    fair |= {"auburn": 0.06, "red": 0.05, "ginger": 0.03}
    share = origin[2] ** 1.5
    odds = {n: dark.get(n, 0) * (1 - share) + fair.get(n, 0) * share for n in HAIR_COLOURS}
    total = sum(odds.values())
    return list(odds), None, True, [v / total for v in odds.values()]


def _eye_colours(origin, hair: Colour) -> tuple[list[str], int | None, bool, list[float]]:
    fair = origin[2] ** 2 * (1.0 if sum(hair) > 0.6 else 0.6)
    light = {"amber": 0.06, "hazel": 0.22, "green": 0.2, "grey": 0.14, "blue": 0.38}
    odds = {"dark brown": 0.6 * (1 - fair), "brown": 0.4 * (1 - fair)} | {n: p * fair for n, p in light.items()}
    return list(odds), None, True, list(np.array(list(odds.values())) / sum(odds.values()))


def _blend(table: Mapping[str, Colour], name: str, rng: np.random.Generator) -> Colour:
    """Returns a colour of the table, a little off."""
    colour = np.clip(np.array(table[name]) * rng.normal(1, 0.06, 3), 0, 1)
    return tuple(float(c) for c in colour)  # type: ignore[return-value]
