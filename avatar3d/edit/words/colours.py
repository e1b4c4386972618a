"""Colours by name: what "red" means for hair, eyes, lips and cloth, and all names of CSS."""

import colorsys
from collections.abc import Mapping

from PIL import ImageColor

_HAIR = {
    **dict.fromkeys(("blond", "blonde", "fair-haired", "golden", "flaxen", "honey"), "#b8935f"),
    **dict.fromkeys(("platinum", "silver"), "#d9d0bd"),
    **dict.fromkeys(("brunette", "brown", "chestnut", "brown-haired"), "#4a2f1e"),
    **dict.fromkeys(("auburn",), "#5c2416"),
    **dict.fromkeys(("red", "redhead", "red-haired", "redheaded"), "#8e3616"),
    **dict.fromkeys(("ginger", "copper", "strawberry"), "#b5562a"),
    **dict.fromkeys(("black", "jet", "raven", "black-haired"), "#14110f"),
    **dict.fromkeys(("grey", "gray", "grey-haired", "gray-haired"), "#8c8a87"),
    **dict.fromkeys(("white", "snow-white"), "#dedbd5"),
}
_EYES = {
    "green": "#567347",
    "emerald": "#3a7a4a",
    **dict.fromkeys(("blue", "blue-eyed"), "#4b76a3"),
    **dict.fromkeys(("brown", "brown-eyed"), "#59341c"),
    "green-eyed": "#567347",
    "hazel": "#6b552a",
    "amber": "#8d571f",
    **dict.fromkeys(("grey", "gray"), "#75808a"),
    "black": "#20130c",
    "violet": "#6a5a93",
}
_LIPS = {
    "red": "#b02038",
    "pink": "#d0707f",
    "crimson": "#a0142c",
    "scarlet": "#c41e24",
    "nude": "#b9786a",
    "purple": "#7a3560",
    "brown": "#8a4a3c",
}
_CLOTH = {
    "red": "#a02a2c",
    "blue": "#2f5590",
    "green": "#3a6b45",
    "yellow": "#c9a32f",
    "black": "#1c1c1f",
    "white": "#e6e4df",
    "brown": "#5d4330",
    "pink": "#cf8796",
    "purple": "#5d4279",
    "orange": "#c26a28",
}
_SKIN = {
    "brown": "#7d5238",
    "black": "#4a3024",
    "white": "#ecd2c2",
    "olive": "#b08a62",
    "golden": "#c4925f",
    "ebony": "#3f2a20",
}
_TABLES: Mapping[str, Mapping[str, str]] = {
    "hair": _HAIR,
    "brows": _HAIR,
    "iris": _EYES,
    "lips": _LIPS,
    "clothes": _CLOTH,
    "skin": _SKIN,
}
_ONLY = {
    **dict.fromkeys(("blond", "blonde", "brunette", "ginger", "auburn", "fair-haired", "brown-haired"), "hair"),
    **dict.fromkeys(("redhead", "redheaded", "red-haired", "black-haired", "grey-haired", "gray-haired"), "hair"),
    **dict.fromkeys(("blue-eyed", "green-eyed", "brown-eyed", "hazel"), "iris"),
}
_SHADES = {"dark": 0.62, "deep": 0.7, "light": 1.35, "pale": 1.45, "bright": 1.2}
_NOT_COLOURS = frozenset(("tan",))


def region_of(word: str) -> str:
    """Returns the region that a word is the colour of by itself ("brunette": hair), or nothing."""
    return _ONLY.get(word, "")


def is_colour(word: str) -> bool:
    """Returns whether a word names a colour of anything."""
    if word in _NOT_COLOURS:
        return False
    return word.startswith("#") or word in ImageColor.colormap or any(word in t for t in _TABLES.values())


def is_shade(word: str) -> bool:
    """Returns whether a word makes a colour darker or lighter."""
    return word in _SHADES


def colour(word: str, region: str, shades: list[str]) -> str:
    """Returns `#rrggbb` of a colour word for a region, with words like "dark" before it."""
    known = _TABLES.get(region, {}).get(word)
    known = known or (word if word.startswith("#") else ImageColor.colormap.get(word))
    if known is None:  # such as "blond" of lips: any table's
        known = next(t[word] for t in _TABLES.values() if word in t)
    r, g, b = (x / 255 for x in ImageColor.getrgb(known)[:3])
    h, light, s = colorsys.rgb_to_hls(r, g, b)
    for shade in shades:
        light = min(0.93, light * _SHADES[shade])
        s = min(1.0, s * 1.25) if shade == "bright" else s
    return "#" + "".join(f"{round(255 * x):02x}" for x in colorsys.hls_to_rgb(h, light, s))
