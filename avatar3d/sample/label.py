"""Traits of a person from words: "young woman, red hair, freckles". English; shares the grammar of `edit --say`."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from PIL import ImageColor

from avatar3d.core import AvatarError
from avatar3d.edit.words.grammar import Found, Read, read

_PHRASES: Mapping[str, Mapping[str, Any]] = {
    phrase: traits
    for traits, phrases in json.loads(files("avatar3d.sample").joinpath("data/label.json").read_text(encoding="utf-8"))
    for phrase in phrases
}
"""Words and phrases that set traits by themselves."""
_COLOURED = {"hair": "hair_colour", "iris": "eyes", "lips": "lips", "clothes": "fabric"}
_YEARS = re.compile(r"(?:aged |age )?(\d+)(?:[ -]*years?[ -]old| years?| y/?o|)$")
_DECADES = re.compile(r"in (?:her|his|their) (early |mid |late )?(\w+?)s$")
_TENS = {"twentie": 20, "thirtie": 30, "fortie": 40, "fiftie": 50, "sixtie": 60, "seventie": 70, "eightie": 80}
_LENGTHS = {"long": "long", "short": "short", "curly": "curly", "wavy": "wavy", "medium": "bob"}
_NOTHING = frozenset(
    (
        "a",
        "an",
        "the",
        "with",
        "and",
        "of",
        "person",
        "face",
        "head",
        "in",
        "her",
        "his",
        "hair",
        "eyes",
        "skin",
        "who",
        "has",
        "wearing",
        "portrait",
    )
)


@dataclass(frozen=True)
class Label:
    """Traits that words ask for, and the words that ask for nothing that a head could be."""

    traits: Mapping[str, Any]
    missed: tuple[str, ...]


def traits_of(text: str) -> Label:
    """Returns the traits that a label asks for.

    Raises:
        AvatarError: Nothing in it is a trait.

    >>> traits_of("young woman, red hair").traits["age"]
    23.0
    """
    traits: dict[str, Any] = {}
    missed: list[str] = []
    for part in (p.strip() for p in re.split(r"[,;.]| and | with ", text.lower()) if p.strip()):
        found, rest = _part(part)
        traits |= found
        if rest:
            missed.append(rest)
    if not traits:
        raise AvatarError(f"--label '{text}': nothing in it was understood; docs/words.md lists what can be said")
    return Label(traits, tuple(missed))


def _part(text: str) -> tuple[dict[str, Any], str]:
    """Returns the traits of one part of a label, and its words that mean nothing here."""
    out: dict[str, Any] = {}
    age = _YEARS.search(text) or _DECADES.search(text)
    if age is not None and (years := _age(age)) is not None:
        out["age"] = years
        text = (text[: age.start()] + text[age.end() :]).strip()
    for clause in read(text) if text else []:
        for found in clause.found:
            out |= _coloured(found)
    left = f" {text} "
    for phrase in sorted(_PHRASES, key=lambda p: -len(p)):
        if f" {phrase} " in left:
            out = {**_PHRASES[phrase], **out}
            left = left.replace(f" {phrase} ", " ")
    if "hair" in left.split() and "hair" not in out:  # "long black hair"
        for word in [w for w in left.split() if w in _LENGTHS]:
            out["hair"] = _LENGTHS[word]
            left = left.replace(f" {word} ", " ")
    words = [w for w in left.split() if w not in _NOTHING]
    return out, " ".join(words) if not _said_by_colour(text, out, words) else ""


def _age(found: re.Match[str]) -> float | None:
    if found.re is _YEARS:
        return float(found[1])
    tens = _TENS.get(found[2], int(found[2][:2]) if found[2][:2].isdigit() else 0)
    shift = {"early ": 2.0, "mid ": 5.0, "late ": 8.0}.get(found[1] or "", 5.0)
    return tens + shift if tens else None


def _coloured(found: Found) -> dict[str, Any]:
    """Returns the trait of a colour of a part."""
    region = found.op.removeprefix("colour:")
    if not found.colour or region not in _COLOURED:
        return {}
    colour = tuple(x / 255 for x in ImageColor.getrgb(found.colour)[:3])
    out: dict[str, Any] = {_COLOURED[region]: colour}
    return {**out, "lipstick": 0.75} if region == "lips" else {**out, "grey": 0.0} if region == "hair" else out


def _said_by_colour(text: str, traits: Mapping[str, Any], words: list[str]) -> bool:
    """Returns whether the words that are left are those of a colour that was understood."""
    if not any(name in traits for name in _COLOURED.values()):
        return not words
    clauses: list[Read] = read(text)
    unknown = {w for c in clauses for w in c.unknown}
    return not (unknown & set(words))
