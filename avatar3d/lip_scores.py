"""Lip scores of files: a motion or a video, against phones, sound, another video, or a network of the user's."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avatar3d import motions
from avatar3d.core import AvatarError, Clip, Motion
from avatar3d.pipeline import Progress, quiet, stage
from avatar3d.score.faces import face_of, landmark_distance, mouth_of_landmarks
from avatar3d.score.lips import LipScore, Mouth, compare_mouths, lip_distance, mouth_of, score_mouth
from avatar3d.speech.annotations import read_phones
from avatar3d.speech.features import AudioFeatures, features
from avatar3d.speech.phones import PhoneTrack
from avatar3d.speech.sound import Sound, read_sound

_log = logging.getLogger(__name__)
_VIDEOS = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v")
_LONGEST = 3600
"""Seconds of sound that a score takes; a longer one is cut."""


@dataclass(frozen=True)
class LipSources:
    """Files to score: one of `motion` and `video`, and what it shall be compared with."""

    motion: Path | None = None
    """Live Link Face's .csv, ARKit .json, a track or an avatar (.a3d)."""
    video: Path | None = None
    """A video that shows a face; its own sound is used where `audio` gives none."""
    reference: Path | None = None
    """What the mouth should do: a motion for a motion, a video for a video."""
    phones: Path | None = None
    """What is said when: .TextGrid or .json."""
    audio: Path | None = None
    """The sound."""
    syncnet: Path | None = None
    """SyncNet's weights as .safetensors; docs/scores.md says how to convert them."""


@dataclass(frozen=True)
class Scored:
    """The figures, and what they were taken from, for a page."""

    score: LipScore
    mouth: Mouth
    motion: Motion | None = None
    phones: PhoneTrack | None = None
    sound: Sound | None = None


def score_lips(sources: LipSources, progress: Progress = quiet) -> Scored:
    """Returns how well lips do what they should.

    Args:
        sources: The files.
        progress: Called while videos are read.

    Raises:
        AvatarError: A file that is missing or of a wrong kind, or nothing to compare with what was asked.
    """
    _check(sources)
    phones = None if sources.phones is None else read_phones(sources.phones)
    sound = None if sources.audio is None else _cut(read_sound(sources.audio))
    values: dict[str, Any] = {}
    notes: list[str] = []
    motion = clip = None
    if sources.motion is not None:
        motion = motions.read(sources.motion)
        mouth = mouth_of(motion)
        if sources.reference is not None:
            other = motions.read(sources.reference)
            values = {"lip_distance_mm": lip_distance(motion, other), **compare_mouths(mouth, mouth_of(other))}
    else:
        assert sources.video is not None
        clip = _watched(sources.video, 25.0 if sources.syncnet is not None else None, progress)
        sound = _sound_of(clip) if sound is None else sound
        face = None
        if sources.reference is not None:
            truth = _watched(sources.reference, clip.fps if sources.syncnet is not None else None, progress)
            points, wanted = _landmarks(clip), _landmarks(truth)
            face = face_of(wanted[np.isfinite(wanted).all((1, 2)), :, :2].astype(np.float64))
            values = {"lmd": landmark_distance(points, clip.fps, wanted, truth.fps)}
            values |= compare_mouths(
                mouth_of_landmarks(points, clip.fps, face), mouth_of_landmarks(wanted, truth.fps, face)
            )
        mouth = mouth_of_landmarks(_landmarks(clip), clip.fps, face)
        missing = int(np.isnan(_landmarks(clip)[:, 0, 0]).sum())
        if missing:
            notes.append(f"no face in {missing} of {len(clip)} frames: bridged")
    heard = None if sound is None else _heard(sound)
    found = score_mouth(mouth, phones, heard)
    values = {**_renamed(found.values, values), **values}
    if sources.syncnet is not None and clip is not None and sound is not None:
        from avatar3d.score.syncnet import load_syncnet, sync_score

        values |= sync_score(load_syncnet(sources.syncnet), clip.frames, _landmarks(clip), sound)
    score = LipScore({"unit": "mm" if motion is not None else "eye distances", **values}, (*found.notes, *notes))
    return Scored(score, mouth, motion, phones, sound)


def _renamed(found: Any, compared: dict[str, Any]) -> dict[str, Any]:
    """Returns the scores against phones or sound; beside a reference their offset is named after what it is against."""
    if "offset_ms" not in compared:
        return dict(found)
    against = found.get("offset_against")
    out = {k: v for k, v in found.items() if not k.startswith("offset_")}
    if against is not None:
        out |= {f"{against}_{k}": v for k, v in found.items() if k.startswith("offset_") and k != "offset_against"}
    return {**out, "offset_against": "reference"}


def _check(sources: LipSources) -> None:
    if (sources.motion is None) == (sources.video is None):
        raise AvatarError("score lips: give one of --motion and --video")
    for path in vars(sources).values():
        if path is not None and not path.is_file():
            raise AvatarError(f"{path}: no such file; check the path")
    reference = sources.reference
    if sources.motion is not None:
        if sources.phones is None and sources.audio is None and reference is None:
            raise AvatarError("score lips: give --phones, --audio or --reference to compare the motion with")
        if reference is not None and reference.suffix.lower() in _VIDEOS:
            raise AvatarError(f"{reference}: a motion is compared with a motion; track the video first")
        if sources.syncnet is not None:
            raise AvatarError("score lips: --syncnet looks at pictures; give --video")
    elif reference is not None and reference.suffix.lower() in (".csv", ".json", ".a3d"):
        raise AvatarError(f"{reference}: a video is compared with a video")


def _watched(path: Path, fps: float | None, progress: Progress) -> Clip:
    from avatar3d.capture import CaptureOptions, capture

    return capture(path, CaptureOptions(matte=False, fps=fps), stage(progress, path.name))


def _landmarks(clip: Clip) -> np.ndarray:
    assert clip.landmarks is not None  # `capture` always measures them
    return clip.landmarks


def _sound_of(clip: Clip) -> Sound | None:
    if clip.audio is None or clip.rate <= 0 or not clip.audio.shape[1]:
        return None
    return _cut(Sound(np.ascontiguousarray(clip.audio, dtype=np.float32), clip.rate))


def _cut(sound: Sound) -> Sound:
    most = _LONGEST * sound.rate
    if sound.samples.shape[1] <= most:
        return sound
    _log.warning("the sound is longer than %d s; what comes after is left out", _LONGEST)
    return Sound(sound.samples[:, :most], sound.rate)


def _heard(sound: Sound) -> AudioFeatures:
    return features(sound)
