"""Expressions by name: groups of sliders, emotions and the mouth shapes of speech; the player's, in Python."""

import re
from collections.abc import Mapping

_EMOTIONS = {
    "Happy": "mouthSmile* .75, cheekSquint* .55, eyeSquint* .3, mouthDimple* .2, browOuterUp* .12, jawOpen .06",
    "Laughing": "mouthSmile* .95, cheekSquint* .8, eyeSquint* .6, jawOpen .42, mouthUpperUp* .35, browOuterUp* .2",
    "Sad": "mouthFrown* .7, browInnerUp .85, browDown* .1, mouthShrugLower .35, eyeBlink* .18, eyeLookDown* .25",
    "Angry": "browDown* .9, eyeSquint* .45, noseSneer* .5, mouthPress* .55, mouthFrown* .35, jawForward .15",
    "Surprised": "browInnerUp .9, browOuterUp* .9, eyeWide* .85, jawOpen .45, mouthFunnel .15",
    "Afraid": "browInnerUp .95, browOuterUp* .35, eyeWide* .9, mouthStretch* .6, jawOpen .16, mouthLowerDown* .2",
    "Disgusted": "noseSneer* .85, browDown* .5, mouthUpperUp* .6, eyeSquint* .5, mouthFrown* .35, mouthShrugUpper .25",
    "Relaxed": "mouthSmile* .25, eyeBlink* .22, browOuterUp* .06, cheekSquint* .15",
    "Doubtful": "browOuterUpLeft .85, browInnerUp .2, browDownRight .55, mouthLeft .25, mouthPress* .3",
    "Wink": "eyeBlinkLeft 1, cheekSquintLeft .6, mouthSmileLeft .7, mouthSmileRight .3, browDownLeft .2",
    "Kiss": "mouthPucker .95, mouthFunnel .2, eyeBlink* .35, cheekSquint* .15",
    "PP (p, b, m)": "mouthPress* .5, mouthRollLower .35, mouthRollUpper .3, mouthClose .05",
    "FF (f, v)": "mouthRollLower .55, mouthUpperUp* .25, jawOpen .07, mouthLowerDown* .05",
    "TH": "jawOpen .16, tongueOut .35, mouthLowerDown* .15, mouthUpperUp* .1",
    "CH": "mouthFunnel .55, jawOpen .1, mouthUpperUp* .15, mouthLowerDown* .2, mouthPucker .15",
    "SS": "jawOpen .04, mouthStretch* .3, mouthSmile* .15, mouthLowerDown* .25, mouthUpperUp* .12",
    "aa": "jawOpen .55, mouthLowerDown* .2, mouthUpperUp* .15",
    "E": "jawOpen .28, mouthStretch* .3, mouthSmile* .2, mouthLowerDown* .2",
    "O": "jawOpen .36, mouthFunnel .6, mouthPucker .25",
    "U": "jawOpen .14, mouthPucker .75, mouthFunnel .35",
}


def _read(text: str) -> dict[str, float]:
    """Returns values by name; a star stands for both sides."""
    values = {}
    for part in text.split(", "):
        name, value = part.split()
        names = [name[:-1] + "Left", name[:-1] + "Right"] if name.endswith("*") else [name]
        values |= dict.fromkeys(names, float(value))
    return values


PRESETS: Mapping[str, Mapping[str, float]] = {name: _read(text) for name, text in _EMOTIONS.items()}
"""ARKit weights by a word."""

GROUPS: tuple[tuple[str, str], ...] = (
    ("Brows", "^brow"),
    ("Eyes", "^eye(?!Look)"),
    ("Look", "^eyeLook"),
    ("Jaw", "^jaw"),
    ("Smile and frown", "^mouth(Smile|Frown|Dimple|Stretch)"),
    ("Lips", "^mouth"),
    ("Cheeks, nose, tongue", "."),
)
"""Headings of sliders; an expression stands under the first whose pattern fits."""


def grouped(names: tuple[str, ...]) -> dict[str, list[str]]:
    """Returns expressions by heading."""
    out: dict[str, list[str]] = {title: [] for title, _ in GROUPS}
    for name in names:
        out[next(title for title, pattern in GROUPS if re.search(pattern, name))].append(name)
    return {title: found for title, found in out.items() if found}


def fits(name: str, search: str) -> bool:
    """Returns whether an expression's name holds all words that are searched for, in any order and case."""
    spoken = re.sub(r"([A-Z])", r" \1", name).lower() + " " + name.lower()
    return all(word in spoken for word in search.lower().split())


def spoken(name: str) -> str:
    """Returns an expression's name as people write it.

    >>> spoken("mouthUpperUpLeft")
    'Mouth upper up, left'
    """
    words = re.sub(r"([A-Z])", r" \1", name).lower().split()
    if len(words) > 2 and words[-1] in ("left", "right"):  # jawLeft and mouthRight are directions, not sides
        words[-2:] = [words[-2] + ",", words[-1]]
    return " ".join(words).capitalize()
