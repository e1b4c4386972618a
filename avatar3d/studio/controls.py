"""Controls for an edit, made from what it says of itself: a field's type, range, names and words."""

import ast
import json
from collections.abc import Callable, Mapping
from typing import Any

from avatar3d.core import AvatarError

_UNSET = "(default)"
_WIDE = (-10.0, 10.0)
"""Of a number without a range that is shown as a slider."""


def control(
    gui: Any, row: Mapping[str, Any], value: Any = None, region: str | None = None
) -> tuple[Any, Callable[[], Any]]:
    """Adds a control for a field.

    Args:
        gui: viser's.
        row: One of `edit.describe(kind)["fields"]`.
        value: What it shows first; None for the field's default.
        region: Region that is chosen in the window: where a field names regions and has no value, it begins with it.

    Returns:
        The handle, and a function that reads its value; `...` where the field is left at its default.
    """
    name, kind, default = row["name"], row["type"], row.get("default")
    value = default if value is None else value
    names = tuple(str(n) for n in row.get("names", ()))
    hint = row.get("what") or None
    if names and _is_text(kind):
        first = value if value in names else region if region in names else None
        options = names if first is not None and row.get("required") else (_UNSET, *names)
        handle = gui.add_dropdown(name, options, initial_value=first or options[0], hint=hint)
        return handle, lambda: ... if handle.value == _UNSET else handle.value
    if kind == "bool":
        handle = gui.add_checkbox(name, bool(value), hint=hint)
        return handle, lambda: bool(handle.value)
    if kind in ("float", "int") and "range" in row:
        low, high = row["range"]
        step = 1 if kind == "int" else _step(low, high)
        start = min(max(value if isinstance(value, int | float) else max(low, min(0.0, high)), low), high)
        as_kind = int if kind == "int" else float
        handle = gui.add_slider(name, as_kind(low), as_kind(high), step, as_kind(start), hint=hint)
        return handle, lambda: as_kind(handle.value)
    if kind in ("float", "int"):
        handle = gui.add_number(name, value if isinstance(value, int | float) else 0.0, hint=hint)
        return handle, lambda: int(handle.value) if kind == "int" else float(handle.value)
    if _is_colour(row):
        shown = tuple(round(255 * c) for c in value) if value else (128, 128, 128)
        handle = gui.add_rgb(name, shown, hint=hint)
        return handle, lambda: tuple(c / 255 for c in handle.value)
    told = f"{hint or ''} ({kind})".strip() + (f" Names: {', '.join(names[:12])} ..." if names else "")
    handle = gui.add_text(name, _written(value), hint=told)
    return handle, lambda: _typed_in(name, handle.value, kind)


def _is_text(kind: str) -> bool:
    return kind == "str" or kind.startswith("Literal") or kind in ("str | None", "Optional[str]")


def _is_colour(row: Mapping[str, Any]) -> bool:
    """Whether a field is three numbers from 0 to 1 that are a colour."""
    three = row["type"].replace(" ", "").lower() in ("tuple[float,float,float]", "tuple[float,float,float]|none")
    return three and ("colour" in row["name"] or "color" in row["name"] or "colour" in row.get("what", "").lower())


def _step(low: float | int, high: float | int) -> float:
    span = high - low
    return 0.001 if span <= 0.5 else 0.01 if span <= 5 else 0.1 if span <= 50 else 1.0


def _written(value: Any) -> str:
    """Returns a value as people type it: `jawOpen=0.3, mouthSmileLeft=0.2` for values by name."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        if all(isinstance(v, int | float | str) for v in value.values()):
            return ", ".join(f"{k}={v:g}" if isinstance(v, int | float) else f"{k}={v}" for k, v in value.items())
        return json.dumps(value)
    return value if isinstance(value, str) else repr(value)


def _typed_in(name: str, text: str, kind: str) -> Any:
    """Returns what somebody typed as the field's type wants it."""
    text = text.strip()
    if not text:
        return ...
    if kind.startswith("Mapping") or kind.startswith("dict"):
        return _as_json(name, text) if text.startswith("{") else _by_name(name, text)
    if kind in ("str", "str | None"):
        return text
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        if kind.startswith("tuple[str"):
            return tuple(part.strip() for part in text.split(",") if part.strip())
        raise AvatarError(f"{name}: '{text[:40]}' is not a value of type {kind}") from error


def _as_json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AvatarError(f"{name}: '{text[:40]}' is not JSON ({error})") from error


def _by_name(name: str, text: str) -> dict[str, Any]:
    """Returns values by name; a value that is no number is a word, such as FACS's letters."""
    values: dict[str, Any] = {}
    for part in text.split(","):
        key, sign, value = part.replace(":", "=").partition("=")
        key, value = key.strip(" '\""), value.strip(" '\"")
        if not key or not sign or not value:
            raise AvatarError(f"{name}: write values as jawOpen=0.3, mouthSmileLeft=0.2; '{part.strip()}' is none")
        try:
            values[key] = float(value)
        except ValueError:
            values[key] = value  # the edit itself says whether it knows the word
    return values
