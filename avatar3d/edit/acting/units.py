"""FACS action units and ARKit weights, in both directions.

    weights({"AU6": "B", "AU12": 0.5})   # ARKit weights
    read({"mouthSmileLeft": 0.5})        # {"AU12L": 0.5}

The table is `data/units.json`: what each unit asks of ARKit at its highest intensity, and how well ARKit can show it.
"""

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from scipy.optimize import nnls

from avatar3d.core import AvatarError, first_of
from avatar3d.heads.arkit import ARKIT

_SMALL = 1e-9
"""Below, a weight or an intensity counts as none."""
_DROP = 0.4
"""jawOpen of a full AU26; more of it is AU27."""


@dataclass(frozen=True)
class Unit:
    """One action unit."""

    name: str
    """Such as "AU12"."""
    title: str
    """What FACS calls it."""
    weights: Mapping[str, float]
    """ARKit weights at intensity E."""
    confidence: str
    """exact, approx or none: how well ARKit shows it."""
    turn: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Rotation vector of the head at intensity E, head space, radians."""
    read: bool = True
    """Whether faces are explained by it."""
    note: str = ""

    @property
    def sided(self) -> bool:
        """Whether each side of the face can do it alone."""
        gaze = self.name in ("AU61", "AU62", "AU63", "AU64")
        return not gaze and any(n.endswith("Left") for n in self.weights)


@dataclass(frozen=True)
class Reading:
    """A face in action units."""

    units: Mapping[str, float]
    """Intensities in [0, 1]; with "L" or "R" behind the name where the sides differ."""
    rest: Mapping[str, float]
    """ARKit weights that no unit explains: given minus explained, where they differ."""


@functools.cache
def table() -> Mapping[str, Unit]:
    """Returns all units by name."""
    return {
        name: Unit(
            name,
            row["title"],
            row["weights"],
            row["confidence"],
            _vector(row.get("turn", (0, 0, 0))),
            row.get("read", True),
            row.get("note", ""),
        )
        for name, row in _data()["units"].items()
    }


def weights(units: Mapping[str, float | int | str]) -> dict[str, float]:
    """Returns the ARKit weights that show action units together; those of 0 are left out.

    Args:
        units: Intensity by name ("AU12", "12"; "AU12L" and "L12" for the person's left side, "AU12R" for the right):
            a number in [0, 1] or FACS's letters "A" (trace) to "E" (maximum).

    Returns:
        Weights in (0, 1]: sums over the units, cut at 1. Head turns (AU51 to 56) have none: see `turn`.

    Raises:
        AvatarError: An unknown unit, one that ARKit cannot show or not on one side, or an intensity out of range.

    >>> weights({"AU12": "C", "AU1": 0.2})
    {'browInnerUp': 0.2, 'mouthSmileLeft': 0.5, 'mouthSmileRight': 0.5}
    """
    total = dict.fromkeys(ARKIT, 0.0)
    for name, given in units.items():
        level = intensity(given, name)
        for weight, share in _shown(name).items():
            total[weight] += level * share
    return {name: min(value, 1.0) for name, value in total.items() if value > 0}


def turn(units: Mapping[str, float | int | str]) -> tuple[float, float, float]:
    """Returns how the head turns in AU51 to AU56: a rotation vector in head space, radians; the other units have none.

    Raises:
        AvatarError: As `weights`.
    """
    total = np.zeros(3)
    for name, given in units.items():
        unit, _ = _named(name)
        total += intensity(given, name) * np.array(unit.turn)
    x, y, z = total.tolist()
    return x, y, z


def read(face: Mapping[str, float | int]) -> Reading:
    """Returns the action units that explain ARKit weights best, by non-negative least squares.

    Units put together from others ("approx") are not found; jawOpen is AU26 up to .4 and AU27 beyond.

    Args:
        face: Weights by ARKit name; missing ones are 0.

    Raises:
        AvatarError: An unknown ARKit name, or a weight that is no number.
    """
    names, matrix = _matrix()
    wanted = np.zeros(len(ARKIT))
    for name, value in face.items():
        if not np.isfinite(value):
            raise AvatarError(f"{name} is {value}; give a number from 0 to 1")
        wanted[first_of(ARKIT, name)] = value
    found, _ = nnls(matrix, wanted)
    left = wanted - matrix @ found
    rest = {name: float(value) for name, value in zip(ARKIT, left, strict=True) if abs(value) > 1e-6}
    levels = {name: float(value) for name, value in zip(names, found, strict=True) if value > _SMALL}
    jaw = levels.pop("AU27", 0.0)
    if jaw > 0:
        levels |= {"AU26": jaw / _DROP} if jaw <= _DROP + _SMALL else {"AU27": jaw}
    out: dict[str, float] = {}
    for name in sorted(levels, key=lambda n: (int("".join(c for c in n if c.isdigit())), n)):
        other = name[:-1] + "R"
        if name.endswith("L") and abs(levels[name] - levels.get(other, 0.0)) < 1e-7:
            out[name[:-1]] = levels[name]
        elif not (name.endswith("R") and name[:-1] in out):
            out[name] = levels[name]
    return Reading(out, rest)


def intensity(given: float | int | str, name: str = "an action unit") -> float:
    """Returns an intensity as a number: FACS's letters A to E become .1, .25, .5, .8 and 1.

    Raises:
        AvatarError: Another letter, or a number outside of [0, 1].
    """
    letters = _data()["intensities"]
    if isinstance(given, str) and given.strip().upper() in letters:
        return float(letters[given.strip().upper()])
    try:
        value = float(given)
    except ValueError:
        value = float("nan")
    if not 0 <= value <= 1:
        raise AvatarError(f"{name}={given}: give an intensity from 0 to 1, or a letter from A to E")
    return value


def confidence(name: str) -> str:
    """Returns how well ARKit shows a unit: "exact", "approx" or "none".

    Raises:
        AvatarError: An unknown unit.
    """
    return _named(name)[0].confidence


def is_unit(name: str) -> bool:
    """Returns whether a name looks like an action unit's: "AU12", "au12l"; not whether there is such a unit."""
    text = name.strip().upper()
    return text.startswith("AU") and text[2:].rstrip("LR").isdigit()


@functools.cache
def _data() -> Mapping:
    return json.loads(files("avatar3d.edit.acting").joinpath("data/units.json").read_text(encoding="utf-8"))


def _vector(numbers: Sequence[float | int]) -> tuple[float, float, float]:
    x, y, z = (float(n) for n in numbers)
    return x, y, z


def _named(name: str) -> tuple[Unit, str]:
    """Returns a unit and "L", "R" or "" for both sides."""
    text = name.strip().upper().removeprefix("AU")
    side = ""
    if text[:1] in ("L", "R"):
        side, text = text[0], text[1:]
    elif text[-1:] in ("L", "R"):
        side, text = text[-1], text[:-1]
    known = table()
    return known[tuple(known)[first_of(tuple(known), f"AU{text}")]], side


def _shown(name: str) -> dict[str, float]:
    """Returns the weights of a unit at intensity E, of one side if the name says so."""
    unit, side = _named(name)
    if unit.confidence == "none":
        raise AvatarError(f"{unit.name} ({unit.title}) cannot be shown: {unit.note}")
    if not side:
        if unit.name in ("AU30", "AU46"):
            raise AvatarError(f"{unit.name} ({unit.title}) has a side: give {unit.name}L or {unit.name}R")
        return dict(unit.weights)
    if not unit.sided:
        raise AvatarError(f"{unit.name} ({unit.title}) has no sides; give {unit.name}")
    end = "Left" if side == "L" else "Right"
    return {n: value for n, value in unit.weights.items() if n.endswith(end)}


@functools.cache
def _matrix() -> tuple[tuple[str, ...], np.ndarray]:
    """Returns the units that faces are explained by, sides apart, and the weights of each as columns."""
    columns: dict[str, dict[str, float]] = {}
    for unit in table().values():
        if not unit.read or not unit.weights:
            continue
        for name in (unit.name + "L", unit.name + "R") if unit.sided else (unit.name,):
            columns[name] = _shown(name)
    matrix = np.zeros((len(ARKIT), len(columns)))
    for at, column in enumerate(columns.values()):
        for name, value in column.items():
            matrix[ARKIT.index(name), at] = value
    return tuple(columns), matrix
