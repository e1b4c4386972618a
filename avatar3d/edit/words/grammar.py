"""The grammar: from a clause to operations with directions and amounts, by the words of the lexicon."""

import re
from dataclasses import dataclass, field, replace

from avatar3d.edit.words import colours, lexicon
from avatar3d.edit.words.lexicon import AMOUNTS, IDIOMS, KEEP, LESS, MEASURES, MORE, NUMBERS, PARTS, SIDES, STOP
from avatar3d.edit.words.motions import motion

_SPLIT = re.compile(r"\s*(?:[,;.!?]|\band\b|\bbut\b|\bplus\b|\bthen\b|\balso\b|&)\s*")
_TOKEN = re.compile(r"#[0-9a-f]{6}|#[0-9a-f]{3}|\d+(?:\.\d+)?|\.\d+|%|[a-z]+(?:['’-][a-z]+)*")
_LONGEST = 5  # words in the longest phrase of the lexicon
_MOVES = {"up": ("height", 1), "down": ("height", -1), "forward": ("forward", 1), "back": ("forward", -1)}
"""Where a part goes: "bring the brows down"."""


@dataclass(frozen=True)
class Found:
    """One operation that a clause asks for."""

    op: str
    sign: int
    amount: float = 0.5
    value: float | None = None
    colour: str = ""
    region: str = ""


@dataclass
class _Clause:
    """What the words of a clause are, one list each."""

    words: list[str]
    parts: list[str] = field(default_factory=list)
    measures: list[tuple[str, int]] = field(default_factory=list)
    ops: list[tuple[str, int]] = field(default_factory=list)
    colours: list[tuple[str, list[str]]] = field(default_factory=list)
    side: str = ""
    flip: int = 1
    reading: bool = False
    """Whether a sign was given by a word like "more" or "no", whatever it was."""
    factor: float = 1.0
    number: float | None = None
    unit: str = ""
    keep: bool = False
    left: list[str] = field(default_factory=list)
    """Content words that nothing knows."""


@dataclass(frozen=True)
class Read:
    """A clause as the grammar reads it."""

    text: str
    found: tuple[Found, ...] = ()
    kept: bool = False
    """It asks to leave something as it is."""
    unknown: tuple[str, ...] = ()
    """Content words that the lexicon does not know."""
    sign: int = 0
    """Direction that its words give, for the encoder: +1, -1, or 0 if they give none."""
    amount: float = 0.5


def read(text: str) -> list[Read]:
    """Returns the clauses of a text with the operations they ask for.

    Parts and measures are shared between clauses that "and" or a comma joins: "the nose and the chin longer", "a wider
    and shorter nose".
    """
    texts = [t for t in _SPLIT.split(text.lower().replace("’", "'")) if t and t.strip()]
    clauses = [_clause(t) for t in texts]
    for i, clause in enumerate(clauses):
        if clause.ops or clause.keep or clause.colours:
            continue
        after = clauses[i + 1] if i + 1 < len(clauses) else None
        before = clauses[i - 1] if i else None
        if clause.parts and not clause.measures and not clause.reading and after is not None and after.parts:
            clause.measures, clause.flip, clause.factor = list(after.measures), after.flip, after.factor
        elif clause.parts and not clause.measures and not clause.reading and not clause.left and before is not None:
            clause.measures, clause.flip, clause.factor = list(before.measures), before.flip, before.factor
        elif clause.measures and not clause.parts:
            near = after if after is not None and after.parts and after.measures else before
            if near is not None and near.parts:
                clause.parts = list(near.parts)
    return [_resolved(t, c) for t, c in zip(texts, clauses, strict=True)]


def _clause(text: str) -> _Clause:
    words = _TOKEN.findall(text)
    clause = _Clause(words)
    i = 0
    while i < len(words):
        for length in range(min(_LONGEST, len(words) - i), 0, -1):
            phrase = " ".join(words[i : i + length])
            if _taken(clause, phrase, words, i):
                i += length
                break
        else:
            if words[i] not in STOP and words[i] not in ("%",):
                clause.left.append(words[i])
            i += 1
    return clause


def _taken(clause: _Clause, phrase: str, words: list[str], at: int) -> bool:
    """Notes what a phrase means; returns whether it means anything."""
    if phrase in KEEP:
        clause.keep = True
    elif phrase in IDIOMS:
        clause.ops.append(IDIOMS[phrase])
    elif phrase in AMOUNTS and phrase not in lexicon.measures():
        clause.factor *= AMOUNTS[phrase]
    elif phrase in PARTS and phrase != "top":
        clause.parts.append(PARTS[phrase])
    elif phrase in LESS:
        clause.flip, clause.reading = -clause.flip, True
    elif phrase in MORE:
        clause.reading = True
    elif phrase in SIDES:
        clause.side = SIDES[phrase]
    elif re.fullmatch(r"\d+(\.\d+)?|\.\d+", phrase) or phrase in NUMBERS:
        clause.number = (clause.number or 0) + (NUMBERS[phrase] if phrase in NUMBERS else float(phrase))
    elif phrase in ("%", "percent", "per cent"):
        clause.unit = "%"
    elif phrase in ("year", "years", "decade", "decades", "degrees", "degree"):
        clause.unit = phrase.rstrip("s")
    elif colours.is_shade(phrase) and _names_colour(words, at + 1):
        clause.colours.append(("", [phrase]))
    elif colours.is_colour(phrase) and not _is_white_tooth(phrase, words):
        shades = clause.colours.pop()[1] if clause.colours and not clause.colours[-1][0] else []
        clause.colours.append((phrase, shades))
    elif phrase in lexicon.measures():
        clause.measures.append(lexicon.measures()[phrase])
    elif phrase in lexicon.sole():
        clause.ops.append(lexicon.sole()[phrase])
    elif phrase in lexicon.emotions():
        clause.ops.append((f"emotion:{lexicon.emotions()[phrase]}", 1))
    else:
        return False
    return True


def _names_colour(words: list[str], at: int) -> bool:
    while at < len(words) and colours.is_shade(words[at]):
        at += 1
    return at < len(words) and colours.is_colour(words[at])


def _is_white_tooth(word: str, words: list[str]) -> bool:
    """Returns whether white or yellow is a measure here: of teeth and eyes, not of hair and shirts."""
    return word in ("white", "yellow") and any(w in ("teeth", "tooth", "whites") for w in words)


def _resolved(text: str, clause: _Clause) -> Read:
    if clause.keep:
        return Read(text, kept=True)
    amount = 0.5 * clause.factor
    value = None
    if clause.number is not None and clause.unit in ("year", "decade", "degree"):
        value = clause.number * (10 if clause.unit == "decade" else 1)
    elif clause.number is not None and (clause.unit == "%" or clause.number > 1):
        amount = clause.number / 100 if clause.unit == "%" or clause.number > 1 else clause.number
    elif clause.number is not None:
        amount = clause.number
    amount = min(1.0, amount)
    moved = motion(clause.words, clause.parts, clause.side, clause.flip, bool(clause.colours or clause.measures))
    if moved is not None:
        found = [Found(moved[0], moved[1], amount, value)]
        return Read(text, tuple(found), sign=moved[1], amount=amount)
    found = _coloured(clause, amount)
    if found:  # the words of a colour say nothing of size; what stands for itself beside it still counts
        clause.measures, clause.parts = [], []
    found += _measured(clause, amount, value)
    direction = clause.flip if clause.reading else (found[0].sign if found else 0)
    if not found and clause.measures and clause.measures[0][1]:
        direction = clause.measures[0][1] * clause.flip
    return Read(text, tuple(found), unknown=tuple(clause.left), sign=direction, amount=amount)


def _coloured(clause: _Clause, amount: float) -> list[Found]:
    out = []
    for word, shades in clause.colours:
        region = colours.region_of(word) if word else ""
        for part in clause.parts:
            region = {"eyes": "iris", "mouth": "lips", "eyeshadow": "lids"}.get(part, part)
        if not word or not region:
            continue
        if region in ("lipstick", "blush", "eyeliner", "freckles"):
            op = "colour:lips" if region == "lipstick" else f"makeup:{region}"
            out.append(Found(op, 1, amount, colour=colours.colour(word, "lips", shades)))
            continue
        from avatar3d.edit.words.ops import REGIONS

        if region not in REGIONS:
            continue
        sided = f"{region}_{clause.side}" if clause.side and region in ("iris", "brows", "lids", "cheeks") else region
        out.append(Found(f"colour:{region}", 1, amount, colour=colours.colour(word, region, shades), region=sided))
    return out


def _measured(clause: _Clause, amount: float, value: float | None) -> list[Found]:
    """Returns operations of parts and measures, of words that say all, and of feelings."""
    out: list[Found] = []
    measures = [m for m in clause.measures if m[1]]
    if not measures:
        measures = [_MOVES[w] for w in clause.words if w in _MOVES and clause.parts]
    faint = any(m == ("size", 0) for m in clause.measures)
    amount = 0.2 if faint and amount == 0.5 else amount
    for part in dict.fromkeys(clause.parts):
        table = MEASURES.get(part, {})
        asked = measures or ([("exist", 1)] if "exist" in table else [])
        for measure, sign in asked:
            if measure in table:
                inverse = -1 if (part, measure) in lexicon.INVERTED else 1
                # A small or thin smile is still a smile.
                weak = part == "smile" and sign < 0
                if weak:
                    sign, amount = 1, 0.2
                out.append(Found(table[measure], sign * clause.flip * inverse, amount))
    if not out and not clause.parts:
        sole = {"thickness": "weight", "symmetric": "symmetry"}
        out += [Found(sole[m], s * clause.flip, amount) for m, s in measures if m in sole]
    wanted = list(dict.fromkeys(clause.ops))
    if not out and not clause.parts and not wanted:  # "heavier", of nothing, is the person
        wanted = list(dict.fromkeys(lexicon.sole()[w] for w in clause.words if w in lexicon.sole()))
    if out and wanted and all(op in ("weight", "smile") for op, _ in wanted):
        wanted = []  # "chubby cheeks" is about the cheeks
    for op, sign in wanted:
        if op in ("weight",) and clause.parts and clause.parts != ["face"]:
            continue
        if op == "smile" and any(f.op == "smile" for f in out):
            continue
        strong = amount
        if op == "smile" and any(m in (("width", 1), ("size", 1)) for m in measures):
            strong = min(1.0, amount * 1.6)
        out.append(Found(op, sign * clause.flip, strong, value))
    years = value is not None and clause.unit in ("year", "decade")
    if not out and years and clause.reading:
        out.append(Found("age", clause.flip, amount, value))
    if years:
        out = [replace(f, value=value) if f.op == "age" else replace(f, value=None) for f in out]
    return list(dict.fromkeys(out))
