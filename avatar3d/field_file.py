"""A field as tensors with names and plain values, as they stand in an `.a3d` file."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from avatar3d.core import Field

_BEFORE = "field."
_FORMS = {
    "field.canonical": "v 3",
    "field.parts": "v fp",
    "field.box": "2 3",
    "field.occupied": "fz fy fx",
    "field.table": "fr fc",
    "field.paint": "v 6",
    "field.condition.0": "fp fh fi",
    "field.condition.1": "fp fh",
    "field.condition.2": "fp fw1 fh",
}


def tensors_of(field: Field) -> dict[str, Tensor]:
    """Returns a field's tensors by name; cells as 0 and 1."""
    out = {f"{_BEFORE}{name}": getattr(field, name) for name in ("canonical", "parts", "box", "table")}
    out["field.occupied"] = field.occupied.half()
    out |= {f"field.network.{i}": x for i, x in enumerate(field.network)}
    out |= {f"field.condition.{i}": x for i, x in enumerate(field.condition)}
    return out if field.paint is None else out | {"field.paint": field.paint}


def axes_of(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Returns the axes of a field's tensors in a file; none if it holds no field."""
    if not any(name.startswith(_BEFORE) for name in tensors):
        return {}
    forms = {name: form for name, form in _FORMS.items() if name != "field.paint" or name in tensors}
    layers = _layers(tensors)
    for i in range(max(2, layers)):
        forms[f"field.network.{2 * i}"] = f"fw{i + 1} fw{i}"
        forms[f"field.network.{2 * i + 1}"] = f"fw{i + 1}"
    return forms


def field_of(tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Field | None:
    """Returns the field of a file whose tensors were checked, if it holds one.

    Raises:
        ValueError: What it holds cannot be a field.
    """
    if "field.canonical" not in tensors:
        return None
    if not isinstance(settings, Mapping):
        raise ValueError("settings of a field that are not an object")
    box, last = tensors["field.box"], tensors[f"field.network.{2 * _layers(tensors) - 1}"]
    if not bool((box[1] > box[0]).all()) or len(last) != 4 or not tensors["field.occupied"].numel():
        raise ValueError("a field without room, or of other than density and colour")
    return Field(
        canonical=tensors["field.canonical"],
        parts=tensors["field.parts"],
        box=box,
        occupied=tensors["field.occupied"] > 0.5,
        table=tensors["field.table"],
        network=tuple(tensors[f"field.network.{i}"] for i in range(2 * _layers(tensors))),
        condition=tuple(tensors[f"field.condition.{i}"] for i in range(3)),
        settings=dict(settings),
        paint=tensors.get("field.paint"),
    )


def _layers(tensors: Mapping[str, Tensor]) -> int:
    return sum(name.startswith("field.network.") for name in tensors) // 2
