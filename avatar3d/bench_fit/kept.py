"""Captures and tracks kept beside the results, so that an interrupted benchmark goes on where it stopped."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from avatar3d import store
from avatar3d.core import AvatarError, Clip, Track
from avatar3d.files import replacing, write_text
from avatar3d.pipeline import Progress, fraction, stage

_ARRAYS = ("frames", "masks", "landmarks", "blendshapes")


def kept_clip(source: Path, folder: Path, progress: Progress) -> Clip:
    """Returns the capture of a source: the one in `folder`, or a new one that is then kept there.

    Clips with a camera for each frame are captured anew each time.
    """
    from avatar3d.capture import capture

    facts = folder / "clip.json"
    known = read_json(facts)
    stamp = _stamp(source)
    if known is not None and known.get("stamp") == stamp:
        arrays: dict[str, Any] = dict.fromkeys(_ARRAYS)
        for name in known["arrays"]:
            arrays[name] = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        return Clip(source, known["width"], known["height"], known["fps"], **arrays)
    clip = capture(source, progress=stage(progress, "capture"))
    if clip.camera is not None or clip.times is not None:
        return clip
    there = []
    for name in _ARRAYS:
        value = getattr(clip, name)
        if value is None:
            continue
        whole = value if isinstance(value, np.ndarray) else np.stack([np.asarray(x) for x in value])
        with replacing(folder / f"{name}.npy") as temporary, temporary.open("wb") as file:
            np.save(file, whole, allow_pickle=False)
        there.append(name)
    about = {"stamp": stamp, "width": clip.width, "height": clip.height, "fps": clip.fps, "arrays": there}
    write_text(facts, json.dumps(about))
    return clip


def kept_track(clip: Clip, path: Path, known: Track | None, progress: Progress) -> Track:
    """Returns the track of a clip: the one at `path`, or a new one that is then kept there.

    Args:
        clip: The clip.
        path: Track file.
        known: Whose identity and focal length are held fixed; None to find them.
        progress: Called while it works.
    """
    from avatar3d.track import track

    if path.exists():
        try:
            found = store.load_track(path)
            if len(found.motion) == int(clip.steps.max()) + 1:
                return found
        except AvatarError:
            pass  # of another version: tracked anew
    fixed: dict[str, Any] = {}
    if known is not None:
        fixed["identity"] = known.identity
        # Calibrated views keep their focal lengths; what they leave open is where the head's world lies in theirs.
        fixed |= {"focal": float(known.camera.K[0, 0])} if clip.times is None else {"world": known.world}
    solved = track(clip, progress=fraction(progress, "track"), **fixed)
    store.save(solved, path)
    return solved


def read_json(path: Path) -> dict[str, Any] | None:
    """Returns the object in a file, or None where there is no such file or no such object in it."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _stamp(source: Path) -> list[Any]:
    """Returns what tells that a file is the one that was captured."""
    try:
        found = source.stat()
    except OSError as error:
        raise AvatarError(f"{source}: cannot be read ({error.strerror}); give a clip that exists") from error
    return [str(source.resolve()), found.st_size, found.st_mtime_ns]
