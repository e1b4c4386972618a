"""Phone tracks in files, whichever the format."""

from pathlib import Path

from avatar3d.core import AvatarError
from avatar3d.speech.phone_json import read_phone_json, write_phone_json
from avatar3d.speech.phones import PhoneTrack
from avatar3d.speech.subtitles import write_subtitles
from avatar3d.speech.textgrid import read_textgrid, write_textgrid

_READERS = {".textgrid": read_textgrid, ".json": read_phone_json}
_WRITERS = {".textgrid": write_textgrid, ".json": write_phone_json, ".srt": write_subtitles, ".vtt": write_subtitles}


def read_phones(path: str | Path) -> PhoneTrack:
    """Returns the phones of a `.TextGrid` or `.json` file.

    Raises:
        AvatarError: Another suffix, or a file that cannot be read; says which and where.
    """
    reader = _READERS.get(Path(path).suffix.lower())
    if reader is None:
        raise AvatarError(f"{path}: phones come as .TextGrid (Praat, MFA) or .json")
    return reader(path)


def write_phones(track: PhoneTrack, path: str | Path) -> Path:
    """Writes a track as `.TextGrid`, `.json` (all of it) or subtitles (`.srt`, `.vtt`: the words) and returns the path.

    Raises:
        AvatarError: Another suffix, or words are missing that subtitles need.
    """
    writer = _WRITERS.get(Path(path).suffix.lower())
    if writer is None:
        raise AvatarError(f"{path}: phones are written as .TextGrid, .json, .srt or .vtt")
    return writer(track, path)
