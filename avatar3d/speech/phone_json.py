"""Phone tracks as JSON: our own form, and what pocketsphinx's aligner prints."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from avatar3d.core import AvatarError
from avatar3d.files import replacing
from avatar3d.speech.phones import Phone, PhoneTrack, track_of
from avatar3d.speech.visemes import is_silent, notation_of, read_label, stress

_FORMAT, _VERSION = "avatar3d-phones", 1


def read_phone_json(path: str | Path) -> PhoneTrack:
    """Returns the phones of a JSON file: ours (`write_phone_json`) or pocketsphinx's (`{"b", "d", "t", "w": [...]}`).

    Raises:
        AvatarError: Not JSON, of another form, or a phone that cannot be read; names the file and the field.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise AvatarError(f"{path}: {error.strerror or error}; expected phones as JSON") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise AvatarError(f"{path}: not JSON: {error}") from None
    try:
        if isinstance(found, dict) and found.get("format") == _FORMAT:
            return _ours(found, Path(path).name)
        if isinstance(found, dict) and isinstance(found.get("w"), list):
            return _pocketsphinx(found, Path(path).name)
    except AvatarError as error:
        raise AvatarError(f"{path}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise AvatarError(f"{path}: a field is missing or of the wrong type: {error!r}") from None
    raise AvatarError(f'{path}: neither {{"format": "{_FORMAT}"}} nor pocketsphinx\'s alignment ("w": words)')


def write_phone_json(track: PhoneTrack, path: str | Path) -> Path:
    """Writes a track (segments, words, posteriors) as JSON and returns its path; reading it gives the same values."""
    out: dict[str, Any] = {
        "format": _FORMAT,
        "version": _VERSION,
        "duration": track.duration,
        "source": track.source,
        "about": track.about,
        "words": list(track.words),
        "phones": [
            {"phone": p.phone, "start": p.start, "end": p.end, "word": p.word, "strength": p.strength}
            for p in track.phones
        ],
    }
    if track.posteriors is not None:
        out["visemes"] = {"rate": track.rate, "posteriors": track.posteriors.tolist()}
    with replacing(Path(path)) as temporary:
        temporary.write_text(json.dumps(out, ensure_ascii=False), encoding="utf-8")
    return Path(path)


def _ours(found: dict[str, Any], name: str) -> PhoneTrack:
    if found.get("version") != _VERSION:
        raise AvatarError(f"version {found.get('version')} of '{_FORMAT}' is not known; expected {_VERSION}")
    phones = tuple(
        Phone(str(p["phone"]), float(p["start"]), float(p["end"]), int(p.get("word", -1)), float(p.get("strength", 1)))
        for p in found["phones"]
    )
    visemes = found.get("visemes")
    posteriors = None if visemes is None else np.asarray(visemes["posteriors"], dtype=float)
    return PhoneTrack(
        float(found["duration"]),
        phones,
        tuple(str(w) for w in found.get("words", ())),
        posteriors,
        0.0 if visemes is None else float(visemes["rate"]),
        str(found.get("source", "")) or name,
        dict(found.get("about", {})),
    )


def _pocketsphinx(found: dict[str, Any], name: str) -> PhoneTrack:
    words, rows = [], []
    labels = [str(p["t"]) for w in found["w"] for p in w.get("w", ())]
    notation = notation_of(labels)
    for entry in found["w"]:
        word = -1
        if not is_silent(str(entry["t"])):
            words.append(str(entry["t"]).split("(")[0])
            word = len(words) - 1
        for p in entry.get("w", ()):
            label, start = str(p["t"]), float(p["b"])
            rows.append((read_label(label, notation), start, start + float(p["d"]), word, stress(label)))
    rows = _butted(rows)
    end = max([float(found["b"]) + float(found["d"]), *(row[2] for row in rows)])
    return track_of(rows, words, end, name)


def _butted(rows):
    """Ends each row where the next begins if they overlap by a rounding (times have three digits)."""
    return [
        (names, start, min(end, after[1]) if after[1] > start else end, word, strength)
        for (names, start, end, word, strength), after in zip(rows, [*rows[1:], (None, float("inf"))], strict=True)
    ]
