"""Traits of a person from words: "young woman, red hair, freckles". English; shares the grammar of `edit --say`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import ImageColor

from avatar3d.core import AvatarError
from avatar3d.edit.words.grammar import Found, Read, read

# Words and phrases that set traits by themselves; longer ones are looked for first.
_PHRASES: Mapping[str, Mapping[str, Any]] = {
    **dict.fromkeys(("woman", "girl", "lady", "female", "feminine"), {"gender": 0.03}),
    **dict.fromkeys(("man", "boy", "guy", "gentleman", "male", "masculine"), {"gender": 0.97}),
    "androgynous": {"gender": 0.5},
    **dict.fromkeys(("teenager", "teenage", "teen", "adolescent"), {"age": 16.0}),
    **dict.fromkeys(("young", "youthful"), {"age": 23.0}),
    "adult": {"age": 35.0},
    **dict.fromkeys(("middle-aged", "middle aged"), {"age": 48.0}),
    **dict.fromkeys(("old", "elderly", "aged", "senior"), {"age": 74.0}),
    **dict.fromkeys(("grandmother", "grandma", "granny"), {"age": 76.0, "gender": 0.03}),
    **dict.fromkeys(("grandfather", "grandpa"), {"age": 76.0, "gender": 0.97}),
    **dict.fromkeys(("african", "black man", "black woman"), {"african": 0.92}),
    **dict.fromkeys(("asian", "east asian", "chinese", "japanese", "korean"), {"asian": 0.92}),
    **dict.fromkeys(("caucasian", "european", "scandinavian", "nordic"), {"caucasian": 0.92}),
    **dict.fromkeys(("bald", "bald head", "no hair", "shaved head", "hairless"), {"hair": "bald"}),
    **dict.fromkeys(("buzz cut", "buzzcut", "crew cut", "cropped hair", "very short hair"), {"hair": "buzz"}),
    **dict.fromkeys(("short hair", "short-haired"), {"hair": "short"}),
    **dict.fromkeys(("side parting", "swept hair", "swept back hair", "quiff"), {"hair": "swept"}),
    **dict.fromkeys(("curly hair", "curly", "curls"), {"hair": "curly"}),
    "afro": {"hair": "afro"},
    **dict.fromkeys(("bob", "bob cut", "chin-length hair", "medium hair"), {"hair": "bob"}),
    **dict.fromkeys(("long hair", "long-haired"), {"hair": "long"}),
    **dict.fromkeys(("wavy hair", "wavy", "long wavy hair"), {"hair": "wavy"}),
    **dict.fromkeys(("bun", "hair in a bun", "hair bun", "updo"), {"hair": "bun"}),
    **dict.fromkeys(("ponytail", "pony tail"), {"hair": "ponytail"}),
    **dict.fromkeys(("fringe", "bangs"), {"fringe": 1.0}),
    **dict.fromkeys(("receding hairline", "receding hair", "receding"), {"receding": 0.8}),
    **dict.fromkeys(("bearded", "beard", "full beard"), {"beard": "full"}),
    **dict.fromkeys(("stubble", "stubbly", "unshaven"), {"beard": "stubble"}),
    **dict.fromkeys(("moustache", "mustache"), {"beard": "moustache"}),
    "goatee": {"beard": "goatee"},
    **dict.fromkeys(("clean-shaven", "clean shaven", "no beard", "beardless", "without a beard", "shaven"), {"beard": "none"}),
    **dict.fromkeys(("freckles", "freckled", "freckly"), {"freckles": 0.75}),
    **dict.fromkeys(("no freckles", "without freckles"), {"freckles": 0.0}),
    **dict.fromkeys(("moles", "mole"), {"moles": 0.9}),
    **dict.fromkeys(("wrinkles", "wrinkled", "wrinkly"), {"wrinkles": 0.85}),
    **dict.fromkeys(("no wrinkles", "without wrinkles", "smooth skin"), {"wrinkles": 0.0}),
    **dict.fromkeys(("bushy brows", "bushy eyebrows", "thick brows", "thick eyebrows"), {"brows": 0.95}),
    **dict.fromkeys(("thin brows", "thin eyebrows", "fine eyebrows"), {"brows": 0.12}),
    **dict.fromkeys(("rosy cheeks", "ruddy", "rosy", "flushed"), {"redness": 0.95}),
    **dict.fromkeys(("make-up", "makeup", "made up"), {"lipstick": 0.7, "shadow": 0.7}),
    **dict.fromkeys(("no make-up", "no makeup", "without make-up"), {"lipstick": 0.0, "shadow": 0.0}),
    **dict.fromkeys(("eyeshadow", "eye shadow", "eyeliner"), {"shadow": 0.8}),
    "lipstick": {"lipstick": 0.8},
    **dict.fromkeys(("t-shirt", "tshirt"), {"clothes": "tshirt"}),
    **dict.fromkeys(("sweater", "pullover", "jumper"), {"clothes": "sweater"}),
    "shirt": {"clothes": "shirt"},
    **dict.fromkeys(("v-neck", "vneck"), {"clothes": "vneck"}),
    **dict.fromkeys(("turtleneck", "turtle neck", "polo neck"), {"clothes": "turtleneck"}),
    **dict.fromkeys(("pale skin", "fair skin", "pale", "light skin", "white skin"), {"melanin": 0.06}),
    **dict.fromkeys(("olive skin", "tanned skin", "tanned", "tan"), {"melanin": 0.38}),
    **dict.fromkeys(("brown skin",), {"melanin": 0.62}),
    **dict.fromkeys(("dark skin", "dark-skinned", "black skin"), {"melanin": 0.82}),
    **dict.fromkeys(("fat", "overweight", "heavy", "chubby", "plump", "obese"), {"weight": 0.92}),
    **dict.fromkeys(("thin", "slim", "skinny", "lean", "slender"), {"weight": 0.12}),
    **dict.fromkeys(("muscular", "athletic", "strong"), {"muscle": 0.9}),
}  # fmt: skip
_COLOURED = {"hair": "hair_colour", "iris": "eyes", "lips": "lips", "clothes": "fabric"}
_YEARS = re.compile(r"(?:aged |age )?(\d+)(?:[ -]*years?[ -]old| years?| y/?o|)$")
_DECADES = re.compile(r"in (?:her|his|their) (early |mid |late )?(\w+?)s$")
_TENS = {"twenti": 20, "thirti": 30, "forti": 40, "fifti": 50, "sixti": 60, "seventi": 70, "eighti": 80}
_NOTHING = frozenset("a an the with and of person face head in her his hair eyes skin who has wearing portrait".split())


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
