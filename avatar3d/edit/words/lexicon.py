"""The words that the grammar knows: parts, measures, directions, feelings, amounts. English only; data/lexicon.json."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

_DATA: Mapping[str, Any] = json.loads(
    files("avatar3d.edit.words").joinpath("data/lexicon.json").read_text(encoding="utf-8")
)


def _table(name: str) -> dict[str, Any]:
    """Returns meanings by word; the file lists the words of each meaning."""
    return {word: tuple(m) if isinstance(m, list) else m for m, words in _DATA[name] for word in words}


PARTS: Mapping[str, str] = _table("parts")
"""Parts of the head by what they are called."""
_ADJECTIVES: Mapping[str, tuple[str, int]] = _table("adjectives")
"""Measures: what an adjective says of a part, and towards which end."""
_VERBS: Mapping[str, tuple[str, int]] = _table("verbs")
MEASURES: Mapping[str, Mapping[str, str]] = _DATA["measures"]
"""Operations by part and measure."""
INVERTED = frozenset(tuple(pair) for pair in _DATA["inverted"])
"""Measures that go against their operation: bright teeth are whiter, fewer wrinkles are smoother skin."""
IDIOMS: Mapping[str, tuple[str, int]] = _table("idioms")
"""Operations and directions of phrases."""
_SOLE: Mapping[str, tuple[str, int]] = _table("sole")
"""Operations and directions of words that say all by themselves."""
_EMOTIONS: Mapping[str, str] = _table("emotions")
AMOUNTS: Mapping[str, float] = _table("amounts")
"""Factors on the usual amount."""
LESS, MORE, KEEP, STOP = (frozenset(_DATA[name]) for name in ("less", "more", "keep", "stop"))
"""Words that turn a direction round, that leave it, that ask for no change, and that mean nothing here."""
SIDES: Mapping[str, str] = {
    **dict.fromkeys(("left", "leftwards", "left-hand"), "left"),
    **dict.fromkeys(("right", "rightwards", "right-hand"), "right"),
}
_ONES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
NUMBERS: Mapping[str, float] = {
    **{word: float(i) for i, word in enumerate((*_ONES, "thirteen", "fourteen", "fifteen", "sixteen"))},
    **{word: 20.0 + 10 * i for i, word in enumerate(_TENS)},
    "half": 0.5,
}


def _forms(word: str, comparative: bool) -> list[str]:
    """Returns an adjective with its comparative and superlative, or a verb with its other forms."""
    if "-" in word or " " in word:
        return [word]
    stem = word[:-1] if word.endswith("e") else word
    doubled = (
        word + word[-1]
        if len(word) > 2 and word[-1] in "bdgmnt" and word[-2] in "aiou" and word[-3] not in "aeiou"
        else ""
    )
    out = [word]
    if comparative:
        base = word[:-1] + "i" if word.endswith("y") else stem
        out += [base + "er", base + "est"]
        out += [doubled + "er", doubled + "est"] if doubled else []
    else:
        out += [stem + "ing", stem + "ed", word + "s"] + ([doubled + "ing", doubled + "ed"] if doubled else [])
    return out


@cache
def measures() -> Mapping[str, tuple[str, int]]:
    """Returns measure and direction by word, all forms."""
    out: dict[str, tuple[str, int]] = {}
    for table, comparative in ((_VERBS, False), (_ADJECTIVES, True)):
        for word, meaning in table.items():
            out.update(dict.fromkeys(_forms(word, comparative), meaning))
    return out


@cache
def sole() -> Mapping[str, tuple[str, int]]:
    """Returns operation and direction of words that say all, all forms."""
    return {form: meaning for word, meaning in _SOLE.items() for form in _forms(word, True)}


@cache
def emotions() -> Mapping[str, str]:
    """Returns emotions by word, comparatives too."""
    return {form: label for word, label in _EMOTIONS.items() for form in _forms(word, True)}
