"""What an edit is: a small frozen value of plain fields, and a pure function of an avatar."""

import ast
import dataclasses
import inspect
import itertools
import math
import textwrap
import types
import typing
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass
from functools import cache
from typing import Any, ClassVar, TypeVar

from avatar3d.core import Avatar, AvatarError, first_of

E = TypeVar("E", bound="Edit")


@dataclass(frozen=True)
class Edit(ABC):
    """One change of an avatar.

    Subclasses are frozen dataclasses with a `kind` and fields of plain JSON types: str, bool, int, float, X | None,
    tuples, `Mapping[str, X]`, `Literal[...]`. Each field has a docstring; `ranged` gives numbers a range. Values are
    checked when an edit is made; `check` is for what types and ranges do not say.
    """

    kind: ClassVar[str]
    """Its name in files."""

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            _check_value(f"{self.kind}: {f.name}", getattr(self, f.name), _types(type(self))[f.name], f.metadata)
        self.check()

    def check(self) -> None:  # noqa: B027
        """Raises an `AvatarError` for values that do not go together."""

    @abstractmethod
    def apply(self, avatar: Avatar) -> Avatar:
        """Returns the avatar with this change; deterministic, and `avatar` stays as it is."""

    @classmethod
    @abstractmethod
    def examples(cls) -> Mapping[str, "Edit"]:
        """Returns edits that show what this kind does, by a few words that name them."""

    def to_json(self) -> dict[str, Any]:
        """Returns the edit as a JSON-able object; fields at their defaults are left out."""
        out: dict[str, Any] = {"kind": self.kind}
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            default = f.default_factory() if f.default_factory is not MISSING else f.default
            if value != default:
                out[f.name] = _plain(value)
        return out


@dataclass(frozen=True)
class Setting:
    """A number that `avatar3d edit --set name=value` knows; becomes an edit."""

    low: float | int
    high: float | int
    what: str
    """What it does, in a few words; with the unit, if it has one."""
    make: Callable[[float], Edit]
    """Gives the edit of a value in range."""
    group: str = ""
    """Heading under which a list or a window shows it."""

    def at(self, name: str, value: float | int) -> Edit:
        """Returns the edit of a value.

        Raises:
            AvatarError: Out of range; names the range.
        """
        check_range(name, value, self.low, self.high)
        return self.make(float(value))


def ranged(low: float | int, high: float | int, default: Any = MISSING) -> Any:
    """Returns a dataclass field whose number (or each number in it) is from `low` to `high`."""
    return dataclasses.field(default=default, metadata={"range": (low, high)})


def named(names: Callable[[], tuple[str, ...]], default: Any = MISSING) -> Any:
    """Returns a dataclass field whose text (or each key of it) is one of `names()`, found out only when needed."""
    return dataclasses.field(default=default, metadata={"names": names})


def check_range(name: str, value: float | int, low: float | int, high: float | int) -> None:
    """Raises an `AvatarError` that names the range unless a number is in it."""
    if not (math.isfinite(value) and low <= value <= high):
        raise AvatarError(f"{name} is {value:g}; give a number from {low:g} to {high:g}")


def read(kinds: Mapping[str, type[Edit]], value: Any, where: str = "edit") -> Edit:
    """Returns the edit that a JSON object holds.

    Raises:
        AvatarError: Not an object, an unknown kind or field (the nearest are named), a field missing, a wrong type, or
            out of range.
    """
    if not isinstance(value, Mapping) or not isinstance(value.get("kind"), str):
        raise AvatarError(f'{where}: an edit is an object with a "kind", one of {", ".join(kinds)}')
    try:
        first_of(tuple(kinds), value["kind"])
        made = kinds[value["kind"]]
        fields = {f.name: f for f in dataclasses.fields(made)}
        given = {name: item for name, item in value.items() if name != "kind"}
        for name in given:
            first_of(tuple(fields), name)
        for name, f in fields.items():
            if name not in given and f.default is MISSING and f.default_factory is MISSING:
                raise AvatarError(f"{made.kind}: '{name}' is missing")
        values = {name: _typed(item, _types(made)[name]) for name, item in given.items()}
        for name, item in values.items():
            _check_value(f"{made.kind}: {name}", item, _types(made)[name], fields[name].metadata)
        return made(**values)
    except AvatarError as error:
        raise AvatarError(f"{where}: {error}") from error


def describe(kind: type[Edit]) -> dict[str, Any]:
    """Returns what a window needs to offer a kind: its words, and each field's type, default, range and names."""
    told = _field_words(kind)
    rows = []
    for f in dataclasses.fields(kind):
        default = f.default_factory() if f.default_factory is not MISSING else f.default
        row: dict[str, Any] = {"name": f.name, "type": _type_name(_types(kind)[f.name]), "what": told.get(f.name, "")}
        if default is not MISSING:
            row["default"] = _plain(default)
        else:
            row["required"] = True
        if "range" in f.metadata:
            row["range"] = list(f.metadata["range"])
        options = typing.get_args(_types(kind)[f.name]) if _is_literal(_types(kind)[f.name]) else None
        if "names" in f.metadata or options:
            row["names"] = list(options or f.metadata["names"]())
        rows.append(row)
    what = " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())
    return {"kind": kind.kind, "what": what, "fields": rows}


def _is_literal(form: Any) -> bool:
    return typing.get_origin(form) is typing.Literal


@cache
def _types(kind: type[Edit]) -> dict[str, Any]:
    return typing.get_type_hints(kind)


@cache
def _field_words(kind: type[Edit]) -> dict[str, str]:
    """Returns the docstring under each field, of the class and of those it comes from."""
    words: dict[str, str] = {}
    for c in reversed(kind.__mro__):
        if not (dataclasses.is_dataclass(c) and issubclass(c, Edit)) or c is Edit:
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(c))).body[0].body  # type: ignore[attr-defined]
        for field, text in itertools.pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
                words[field.target.id] = " ".join(str(ast.literal_eval(text.value)).split())
    return words


def _type_name(form: Any) -> str:
    return form.__name__ if isinstance(form, type) else str(form).replace("typing.", "").replace("collections.abc.", "")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def _typed(value: Any, form: Any) -> Any:
    """Returns JSON's lists as the tuples that a field wants, whole numbers as floats; other values as they are."""
    origin, parts = typing.get_origin(form), typing.get_args(form)
    if origin in (typing.Union, types.UnionType):
        fits = [p for p in parts if _fits(_typed(value, p), p)]
        return _typed(value, fits[0]) if fits else value
    if origin is tuple and isinstance(value, list | tuple):
        inner = parts[:1] * len(value) if parts[-1] is Ellipsis else parts
        return tuple(_typed(v, p) for v, p in zip(value, inner, strict=False)) if len(inner) == len(value) else value
    if isinstance(value, Mapping) and len(parts) == 2:
        return {name: _typed(item, parts[1]) for name, item in value.items()}
    return float(value) if form is float and type(value) is int and abs(value) < 1e15 else value


def _fits(value: Any, form: Any) -> bool:
    origin, parts = typing.get_origin(form), typing.get_args(form)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, p) for p in parts)
    if origin is typing.Literal:
        return value in parts
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        inner = parts[:1] * len(value) if parts[-1] is Ellipsis else parts
        return len(inner) == len(value) and all(_fits(v, p) for v, p in zip(value, inner, strict=True))
    if origin is not None:
        return isinstance(value, Mapping) and all(isinstance(k, str) and _fits(v, parts[1]) for k, v in value.items())
    if form is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if form is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return value is None if form is type(None) else isinstance(value, form)


def _check_value(where: str, value: Any, form: Any, metadata: Mapping[str, Any]) -> None:
    if not _fits(value, form):
        if _is_literal(form) and isinstance(value, str):
            first_of(typing.get_args(form), value)
        shown = repr(value) if len(repr(value)) < 60 else f"{repr(value)[:60]}..."
        raise AvatarError(f"{where} is {shown}; give {_type_name(form)}")
    if "range" in metadata:
        for name, number in _numbers(value):
            check_range(f"{where}{name}", number, *metadata["range"])
    if "names" in metadata and value is not None:
        for name in value if isinstance(value, Mapping | tuple) else (value,):
            first_of(metadata["names"](), name)


def _numbers(value: Any) -> list[tuple[str, float]]:
    if isinstance(value, Mapping):
        return [(f" of {k}{n}", x) for k, v in value.items() for n, x in _numbers(v)]
    if isinstance(value, tuple):
        return [(f"[{i}]{n}", x) for i, v in enumerate(value) for n, x in _numbers(v)]
    return [("", float(value))] if isinstance(value, int | float) and not isinstance(value, bool) else []
