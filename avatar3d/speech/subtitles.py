"""Subtitles: SRT and WebVTT, out of a phone track's words and in as a transcript."""

import html
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from avatar3d.core import AvatarError
from avatar3d.files import replacing
from avatar3d.speech.phones import PhoneTrack

_LETTERS = 42
"""Letters a line: the limit of broadcasters' guidelines (BBC, Netflix)."""
_SECONDS = 6.0
"""Longest time a cue stands; same guidelines."""
_PAUSE = 0.6
"""Seconds of silence that end a cue."""
_TIMES = re.compile(r"^\s*((?:\d+:)?\d{1,2}:\d{2}[.,]\d{1,3})\s*-->\s*((?:\d+:)?\d{1,2}:\d{2}[.,]\d{1,3})(?:\s.*)?$")


@dataclass(frozen=True)
class Cue:
    """A text and the seconds between which it stands."""

    text: str
    start: float | int
    end: float | int


def cues(track: PhoneTrack) -> tuple[Cue, ...]:
    """Returns the track's words in cues of one line, broken at pauses, at ends of sentences and at the limits above.

    Raises:
        AvatarError: The track has no words.
    """
    words = track.word_times()
    if not words:
        raise AvatarError(
            f"phone track {track.source}: no words to write as subtitles; they come with text or transcript"
        )
    found: list[Cue] = []
    for text, start, end in words:
        last = found[-1] if found else None
        if (
            last is not None
            and start - last.end < _PAUSE
            and _width(last.text) + 1 + _width(text) <= _LETTERS
            and end - last.start <= _SECONDS
            and not last.text.rstrip("\"'”’)").endswith((".", "?", "!", "。", "？", "！"))
        ):
            found[-1] = Cue(last.text + ("" if _is_wide(last.text[-1]) else " ") + text, last.start, end)
        else:
            found.append(Cue(text, start, end))
    return tuple(found)


def write_subtitles(track: PhoneTrack, path: str | Path) -> Path:
    """Writes the words as `.srt` or `.vtt` and returns the path."""
    web = Path(path).suffix.lower() == ".vtt"
    blocks = []
    for number, cue in enumerate(cues(track), 1):
        times = f"{_stamp(cue.start, web)} --> {_stamp(cue.end, web)}"
        text = html.escape(cue.text, quote=False) if web else cue.text
        blocks.append(f"{times}\n{text}\n" if web else f"{number}\n{times}\n{text}\n")
    with replacing(Path(path)) as temporary:
        temporary.write_text(("WEBVTT\n\n" if web else "") + "\n".join(blocks), encoding="utf-8")
    return Path(path)


def read_subtitles(path: str | Path) -> tuple[Cue, ...]:
    """Returns the cues of an `.srt` or `.vtt` file; tags, settings and notes are left out.

    Raises:
        AvatarError: Not readable, no cue in it, or times that run backwards; names file and line.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise AvatarError(f"{path}: {error.strerror or error}; expected subtitles") from None
    except UnicodeDecodeError:
        raise AvatarError(f"{path}: not UTF-8 text; save the subtitles as UTF-8") from None
    found, at = [], 0
    while at < len(lines):
        times = _TIMES.match(lines[at])
        at += 1
        if not times:
            if "-->" in lines[at - 1]:
                raise AvatarError(f"{path}: line {at}: times cannot be read: {lines[at - 1].strip()[:60]}")
            continue
        start, end = _seconds(times[1]), _seconds(times[2])
        if end <= start:
            raise AvatarError(f"{path}: line {at}: the cue ends before it begins")
        text = []
        while at < len(lines) and lines[at].strip():
            text.append(html.unescape(re.sub(r"<[^>]*>|\{\\[^}]*\}", "", lines[at])).strip())
            at += 1
        found.append(Cue(" ".join(text), start, end))
    if not found:
        raise AvatarError(f"{path}: no subtitle cue in it; expected lines like 00:00:01,000 --> 00:00:02,500")
    return tuple(found)


def _is_wide(letter: str) -> bool:
    """Whether a letter is of a script that writes no spaces and fills two columns (Chinese, Japanese)."""
    return unicodedata.east_asian_width(letter) in "WF" and not "\uac00" <= letter <= "\ud7a3"


def _width(text: str) -> int:
    return len(text) + sum(map(_is_wide, text))


def _stamp(seconds: float, web: bool) -> str:
    whole = round(seconds * 1000)
    hours, rest = divmod(whole, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{'.' if web else ','}{rest % 1000:03}"


def _seconds(stamp: str) -> float:
    *hours, minutes, seconds = stamp.replace(",", ".").split(":")
    return (float(hours[0]) * 3600 if hours else 0.0) + float(minutes) * 60 + float(seconds)
