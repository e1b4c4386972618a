"""Praat TextGrids, long and short, as phone tracks."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from avatar3d.core import AvatarError
from avatar3d.files import replacing
from avatar3d.speech.phones import PhoneTrack, track_of
from avatar3d.speech.visemes import is_silent, notation_of, read_label, stress

_TOKEN = re.compile(r'"((?:[^"]|"")*)"|(?<!\S)([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)(?!\S)|(?<!\S)!.*$', re.MULTILINE)
"""What Praat reads: quoted texts and free-standing numbers; everything else is remark. `!` begins a comment."""


@dataclass(frozen=True)
class Tier:
    """Intervals (text, start, end) in seconds, of one name."""

    name: str
    intervals: tuple[tuple[str, float, float], ...]


def read_textgrid(path: str | Path, tier: str = "") -> PhoneTrack:
    """Returns the phones of a TextGrid, and its words where it has a word tier.

    Args:
        path: The file: long or short text format, UTF-8 or UTF-16.
        tier: Name of the phone tier; empty: "phone", "phones", "phonemes", "MAU" or "<speaker> - phones".

    Raises:
        AvatarError: Not a TextGrid, no phone tier, or a label in no known notation; names file, tier and time.
    """
    tiers, duration = read_tiers(path)
    phones = _tier(path, tiers, tier, r"(.* - )?(phone|phones|phoneme|phonemes|mau|segment|segments)$")
    if phones is None:
        raise AvatarError(f"{path}: no phone tier among {', '.join(t.name for t in tiers)}; name one")
    words = _tier(path, tiers, "", r"(.* - )?(word|words|ort|ort-mau)$")
    spoken = [w for w in (words.intervals if words else ()) if not is_silent(w[0])]
    try:
        notation = notation_of(text for text, _, _ in phones.intervals)
    except AvatarError as error:
        raise AvatarError(f"{path}: tier '{phones.name}': {error}") from None
    rows, at = [], 0
    for text, start, end in phones.intervals:
        middle = (start + end) / 2
        while at < len(spoken) and spoken[at][2] <= middle:
            at += 1
        word = at if at < len(spoken) and spoken[at][1] <= middle else -1
        rows.append((read_label(text, notation), start, end, word, stress(text)))
    return track_of(rows, [" ".join(text.split()) for text, _, _ in spoken], duration, Path(path).name)


def write_textgrid(track: PhoneTrack, path: str | Path) -> Path:
    """Writes words and phones as a long TextGrid (Praat, MFA) and returns its path."""
    words = _filled(track.word_times(), track.duration)
    phones = _filled(tuple((p.phone, p.start, p.end) for p in track.phones), track.duration)
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {track.duration}"]
    lines += ["tiers? <exists>", "size = 2", "item []:"]
    for number, (name, intervals) in enumerate((("words", words), ("phones", phones)), 1):
        lines += [f"    item [{number}]:", '        class = "IntervalTier"', f'        name = "{name}"']
        lines += ["        xmin = 0", f"        xmax = {track.duration}", f"        intervals: size = {len(intervals)}"]
        for at, (text, start, end) in enumerate(intervals, 1):
            quoted = text.replace('"', '""')
            lines += [f"        intervals [{at}]:", f"            xmin = {start}", f"            xmax = {end}"]
            lines += [f'            text = "{quoted}"']
    with replacing(Path(path)) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Path(path)


def read_tiers(path: str | Path) -> tuple[tuple[Tier, ...], float]:
    """Returns all interval tiers of a TextGrid and its end in seconds."""
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise AvatarError(f"{path}: {error.strerror or error}; expected a TextGrid") from None
    try:
        text = raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        raise AvatarError(f"{path}: neither UTF-8 nor UTF-16 text; save the TextGrid as a text file") from None
    tokens = [
        m[1].replace('""', '"') if m[1] is not None else float(m[2]) for m in _TOKEN.finditer(text) if m[0][0] != "!"
    ]
    if tokens[:2] != ["ooTextFile", "TextGrid"]:
        raise AvatarError(f"{path}: not a TextGrid in Praat's text format")
    reader = _Tokens(path, tokens[2:])
    reader.number("start")
    duration = reader.number("end")
    tiers = []
    for _ in range(int(reader.number("number of tiers"))):
        kind, name = reader.text("class of a tier"), reader.text("name of a tier")
        reader.number("start of a tier")
        reader.number("end of a tier")
        intervals = []
        for _ in range(int(reader.number(f"size of tier '{name}'"))):
            start = reader.number(f"time in tier '{name}'")
            end = reader.number(f"time in tier '{name}'") if kind == "IntervalTier" else start
            label = reader.text(f"label in tier '{name}' at {start:.3f} s")
            if end < start or start < -1e-6 or end > duration + 1e-3:
                raise AvatarError(f"{path}: tier '{name}': interval from {start} to {end} s in {duration} s")
            intervals.append((label, max(0.0, start), min(end, duration)))
        if kind == "IntervalTier":
            tiers.append(Tier(name, tuple(intervals)))
    return tuple(tiers), duration


_T = TypeVar("_T", float, str)


class _Tokens:
    def __init__(self, path, tokens: list[str | float]):
        self._path, self._tokens, self._at = path, tokens, 0

    def _next(self, kind: type[_T], what: str) -> _T:
        if self._at >= len(self._tokens):
            raise AvatarError(f"{self._path}: the TextGrid ends where the {what} should stand")
        token = self._tokens[self._at]
        if not isinstance(token, kind):
            raise AvatarError(f"{self._path}: found {token!r} where the {what} should stand")
        self._at += 1
        return token

    def number(self, what: str) -> float:
        return self._next(float, what)

    def text(self, what: str) -> str:
        return self._next(str, what)


def _tier(path, tiers: tuple[Tier, ...], wanted: str, pattern: str) -> Tier | None:
    if wanted:
        found = next((t for t in tiers if t.name == wanted), None)
        if found is None:
            raise AvatarError(f"{path}: no tier '{wanted}' among {', '.join(t.name for t in tiers)}")
        return found
    return next((t for t in tiers if re.match(pattern, t.name.strip(), re.IGNORECASE)), None)


def _filled(spans: tuple[tuple[str, float, float], ...], duration: float) -> list[tuple[str, float, float]]:
    """Puts empty intervals between spans: Praat wants a tier without gaps."""
    filled, at = [], 0.0
    for text, start, end in spans:
        if start > at:
            filled.append(("", at, start))
        filled.append((text, start, end))
        at = end
    return [*filled, ("", at, duration)] if duration > at else filled
