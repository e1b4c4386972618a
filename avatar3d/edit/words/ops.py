"""What words can ask for: each operation by name, with the edit that does it.

An operation has a direction: `+1` or `-1`. `nose_width` towards `-1` is a thinner nose.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from avatar3d.edit.shape_names import NAMES, PEOPLE

Json = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """How an operation was asked for."""

    sign: int
    """+1 or -1."""
    amount: float
    """Strength in [0, 1]; 0.5 where nothing was said."""
    value: float | None = None
    """A number in the operation's own unit (years, degrees), if one was given."""
    colour: str = ""
    """`#rrggbb`, for operations that paint."""
    region: str = ""


@dataclass(frozen=True)
class Op:
    """One operation."""

    plus: str
    """What it does, in words, towards +1."""
    minus: str
    """And towards -1; empty if there is no such thing."""
    make: Callable[[Asked], Json]
    """The edit, as JSON has it."""


_SHAPES: Mapping[str, Mapping[str, float]] = {
    "nose_size": {"nose_width": 0.7, "nose_length": 0.6, "nose_depth": 0.7},
    "lips_fullness": {"lip_upper_volume": 1.0, "lip_lower_volume": 1.0, "mouth_volume": 0.5},
    "face_width": {"head_width": 0.8, "jaw_width": 0.6, "cheekbones_width": 0.5},
    "face_length": {"head_height": 0.6, "chin_length": 0.7, "forehead_height": 0.4},
}
_SHAPE_WORDS = {
    "nose_size": ("larger nose", "smaller nose"),
    "lips_fullness": ("fuller lips", "thinner lips"),
    "face_width": ("wider face", "narrower face"),
    "face_length": ("longer face", "shorter face"),
}
_FACES: Mapping[str, tuple[Mapping[str, float], str, str]] = {
    "smile": ({"AU12": 1.0, "AU6": 0.4}, "smile", "less of a smile"),
    "brow_raise": ({"AU1": 1.0, "AU2": 1.0}, "raised brows", "lowered brows"),
    "brow_raise_left": ({"browOuterUpLeft": 1.0, "browInnerUp": 0.3}, "left brow raised", "left brow let down"),
    "brow_raise_right": ({"browOuterUpRight": 1.0, "browInnerUp": 0.3}, "right brow raised", "right brow let down"),
    "brow_lower": ({"AU4": 1.0}, "frown", "less of a frown"),
    "squint": ({"eyeSquint": 1.0}, "squint", "squint less"),
    "eyes_wide": ({"eyeWide": 1.0}, "eyes wide open", "lids lower"),
    "cheek_puff": ({"cheekPuff": 1.0}, "cheeks blown up", "cheeks let in"),
    "tongue": ({"tongueOut": 1.0, "jawOpen": 0.2}, "tongue out", "tongue in"),
    "pucker": ({"mouthPucker": 1.0}, "lips puckered", "lips relaxed"),
    "sneer": ({"noseSneer": 1.0}, "nose wrinkled", "nose relaxed"),
    "mouth_corners_down": ({"AU15": 1.0}, "corners of the mouth pulled down", "corners let up"),
}
_TURNS: Mapping[str, tuple[str, float, str, str]] = {
    "head_yaw": ("headYaw", 20.0, "head turned to its left", "head turned to its right"),
    "head_pitch": ("headPitch", 15.0, "head lowered", "head raised"),
    "head_roll": ("headRoll", 15.0, "head tilted to its right", "head tilted to its left"),
    "gaze_yaw": ("gazeYaw", 18.0, "gaze to its left", "gaze to its right"),
    "gaze_pitch": ("gazePitch", 14.0, "gaze down", "gaze up"),
}
"""Angle, degrees where no number is given, and words."""
_TONES: Mapping[str, tuple[str, str, str, str, str]] = {
    "skin_tone": ("skin", "#6d452c", "#f2dccf", "darker skin", "paler skin"),
    "skin_red": ("skin", "#d4776a", "#dcc3ae", "ruddier skin", "less red skin"),
    "hair_tone": ("hair", "#120d0a", "#dfcaa4", "darker hair", "lighter hair"),
    "brows_tone": ("brows", "#160f0b", "#c2a783", "darker brows", "lighter brows"),
    "eyes_tone": ("iris", "#1f120a", "#b9cbd6", "darker eyes", "lighter eyes"),
    "lips_tone": ("lips", "#6e2a30", "#e3a9a0", "darker lips", "paler lips"),
    "clothes_tone": ("clothes", "#141416", "#ecebe8", "darker clothes", "lighter clothes"),
    "teeth_white": ("teeth", "#f6f3ec", "#cdb98a", "whiter teeth", "yellower teeth"),
    "eyes_white": ("whites", "#f4f2f0", "#d8a8a0", "whiter whites of the eyes", "redder whites of the eyes"),
}
"""Region, the colours at the two ends, and words."""
_MAKEUP = ("blush", "eyeliner", "eyeshadow", "lipstick", "freckles")
REGIONS = ("iris", "hair", "lips", "skin", "brows", "teeth", "clothes", "lids", "cheeks", "nose")
"""What `colour:REGION` may name."""
EMOTIONS = ("joy", "sadness", "surprise", "fear", "anger", "disgust", "contempt", "tired", "calm")
_PEOPLE_WORDS = {
    "weight": ("heavier", "thinner"),
    "muscle": ("more muscular", "less muscular"),
    "masculine": ("more like a man", "more like a woman"),
    "proportions": ("more ideal proportions", "less ideal proportions"),
    "tallness": ("of a taller person", "of a shorter person"),
    "african": ("more African", "less African"),
    "asian": ("more Asian", "less Asian"),
    "caucasian": ("more Caucasian", "less Caucasian"),
}


def _clip(x: float | int, low: float | int = -1, high: float | int = 1) -> float:
    return round(min(max(x, low), high), 4)


def _shape(parts: Mapping[str, float]) -> Callable[[Asked], Json]:
    def make(asked: Asked) -> Json:
        return {"kind": "shape", "values": {n: _clip(asked.sign * asked.amount * w) for n, w in parts.items()}}

    return make


def _age(asked: Asked) -> Json:
    # "Older" alone is 12 years, "a bit" 6, "extremely" 24.
    years = asked.value if asked.value is not None else 24.0 * asked.amount
    return {"kind": "shape", "values": {"age": _clip(asked.sign * years, -40.0, 40.0)}}


def _face(values: Mapping[str, float]) -> Callable[[Asked], Json]:
    def make(asked: Asked) -> Json:
        return {"kind": "face", "values": {n: _clip(asked.sign * asked.amount * w) for n, w in values.items()}}

    return make


def _turn(angle: str, usual: float) -> Callable[[Asked], Json]:
    def make(asked: Asked) -> Json:
        from avatar3d.render.path import TURNS

        degrees = asked.value if asked.value is not None else 2 * usual * asked.amount
        most = TURNS[angle].limit
        return {"kind": "face", "values": {angle: _clip(asked.sign * degrees, -most, most)}}

    return make


def _tone(region: str, plus: str, minus: str) -> Callable[[Asked], Json]:
    def make(asked: Asked) -> Json:
        colour = plus if asked.sign > 0 else minus
        return {"kind": "recolour", "region": region, "colour": colour, "amount": _clip(0.15 + 0.55 * asked.amount, 0)}

    return make


def _emotion(label: str) -> Callable[[Asked], Json]:
    def make(asked: Asked) -> Json:
        from avatar3d.edit.acting.emotion import face

        shown = face({label: min(1.0, 1.4 * asked.amount)})
        return {"kind": "face", "values": {n: _clip(asked.sign * w) for n, w in shown.items() if w > 0.005}}

    return make


def _close(parts: Mapping[str, float], otherwise: Json) -> Callable[[Asked], Json]:
    def make(asked: Asked) -> Json:
        return {"kind": "close", **parts} if asked.sign > 0 else otherwise

    return make


def _open_mouth(asked: Asked) -> Json:
    if asked.sign < 0:
        return {"kind": "close", "lips": 1.0}
    return {"kind": "face", "values": {"jawOpen": _clip(1.1 * asked.amount)}}


def _colour(region: str) -> Callable[[Asked], Json]:
    def make(asked: Asked) -> Json:
        amount = 1.0 if asked.amount >= 0.5 else round(0.3 + asked.amount, 2)
        out: Json = {"kind": "recolour", "region": asked.region or region, "colour": asked.colour}
        return out if amount == 1 else {**out, "amount": amount}

    return make


def _makeup(style: str) -> Callable[[Asked], Json]:
    def make(asked: Asked) -> Json:
        out: Json = {"kind": "makeup", "style": style, "amount": _clip(0.2 + 0.8 * asked.amount, 0)}
        return {**out, "colour": asked.colour} if asked.colour else out

    return make


@cache
def ops() -> Mapping[str, Op]:
    """Returns all operations by name."""
    out: dict[str, Op] = {}
    for name, _, what in NAMES:
        out[name] = Op(what, f"the opposite of '{what}'", _shape({name: 1.0}))
    for name in PEOPLE:
        if name != "age":
            out[name] = Op(*_PEOPLE_WORDS[name], _shape({name: 1.0}))
    out["age"] = Op("older", "younger", _age)
    for name, parts in _SHAPES.items():
        out[name] = Op(*_SHAPE_WORDS[name], _shape(parts))
    for name, (values, plus, minus) in _FACES.items():
        out[name] = Op(plus, minus, _face(values))
    for name, (angle, usual, plus, minus) in _TURNS.items():
        out[name] = Op(plus, minus, _turn(angle, usual))
    for name, (region, dark, light, plus, minus) in _TONES.items():
        out[name] = Op(plus, minus, _tone(region, dark, light))
    for label in EMOTIONS:
        out[f"emotion:{label}"] = Op(f"show {label}", f"show less {label}", _emotion(label))
    for region in REGIONS:
        out[f"colour:{region}"] = Op(f"another colour of the {region}", "", _colour(region))
    for style in _MAKEUP:
        out[f"makeup:{style}"] = Op(f"put on {style}", "", _makeup(style))
    out["cheeks_red"] = Op(
        "rosier cheeks",
        "paler cheeks",
        lambda a: _makeup("blush")(a) if a.sign > 0 else _tone("cheeks", "#e7b7a6", "#ead0c0")(a),
    )
    wide = {"kind": "face", "values": {"eyeWide": 0.4}}
    out["mouth_open"] = Op("mouth open", "mouth closed", _open_mouth)
    out["lips_press"] = Op("lips pressed together", "", lambda a: _face({"mouthPress": 1.0})(a))
    out["eyes_closed"] = Op("eyes closed", "eyes open", _close({"left_lid": 1.0, "right_lid": 1.0}, wide))
    out["wink_left"] = Op("left eye closed", "left eye open", _close({"left_lid": 1.0}, wide))
    out["wink_right"] = Op("right eye closed", "right eye open", _close({"right_lid": 1.0}, wide))
    out["symmetry"] = Op(
        "symmetric face",
        "",
        lambda a: {"kind": "symmetrise", "shape": _clip(2 * a.amount, 0), "colours": _clip(2 * a.amount, 0)},
    )
    out["caricature"] = Op(
        "caricature", "nearer to the average", lambda a: {"kind": "caricature", "amount": _clip(a.sign * a.amount)}
    )
    out["skin_smooth"] = Op(
        "smoother skin", "", lambda a: {"kind": "smooth", "region": "skin", "amount": _clip(0.25 + 0.7 * a.amount, 0)}
    )
    out["bald"] = Op("no hair", "", lambda a: {"kind": "hide", "region": "hair"})
    return out
