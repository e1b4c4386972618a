"""Verbs joined for driving: from a motion file, a video or speech to a film or a motion file, in bounded memory."""

import contextlib
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avatar3d import geometry, motions
from avatar3d.core import Avatar, AvatarError, Camera, Motion, Pose
from avatar3d.drive.personal import VoiceModel, compare, learn
from avatar3d.drive.retarget import RetargetOptions, Transfer, rest_of
from avatar3d.drive.stream import SpeechOptions, speaker, speech
from avatar3d.edit.acting.acting import Acting
from avatar3d.edit.acting.acting import acted as edit_acting
from avatar3d.motions.blend import resampled
from avatar3d.motions.neutral import Neutral, neutral_of
from avatar3d.motions.smooth import smooth
from avatar3d.pipeline import Progress, fraction, quiet, stage, training_frames
from avatar3d.speech.phones import PhoneTrack
from avatar3d.speech.sound import Resampler, Sound, SoundFile

BLOCK = 250
"""Frames of a motion taken at a time."""


@dataclass(frozen=True)
class Played:
    """A motion on its way to the renderer."""

    blocks: Iterable[Motion]
    """Pieces in order; read once."""
    fps: float
    frames: int
    """How many there will be, to show progress; 0 where nobody knows."""
    sound: Sound | SoundFile | None = None
    """Begins with the first frame."""


@dataclass(frozen=True)
class Shot:
    """How a film is taken."""

    camera: Camera
    at_rest: bool
    """Whether the camera looks at a head at rest at the origin; else it is the one that saw the avatar's clip."""
    background: tuple[float, float, float] = (1.0, 1.0, 1.0)


def of_motion(
    motion: Motion,
    avatar: Avatar | None,
    options: RetargetOptions,
    sound: Sound | SoundFile | None = None,
    fps: float | None = None,
    neutral: Neutral | None = None,
) -> Played:
    """Returns a motion as the avatar's own, or as it is where there is no avatar; at another rate if `fps` is given.

    `neutral` is the driver's, where it shall not be found in the motion.
    """
    motion = motion if fps is None else resampled(motion, fps)
    if neutral is None and avatar is not None and options.relative:
        neutral = neutral_of(motion)
    pieces = _pieces(motion) if avatar is None else taken_over(_pieces(motion), avatar, options, neutral)
    return Played(pieces, motion.fps, len(motion), sound)


def of_video(
    source: Path,
    avatar: Avatar | None,
    options: RetargetOptions,
    same_person: bool = False,
    fps: float | None = None,
    progress: Progress = quiet,
) -> Played:
    """Returns what somebody does in a video, with its sound.

    Args:
        source: The video.
        avatar: Who shall do it; None for the driver's motion as it was tracked.
        options: What to take over.
        same_person: The driver is the avatar's person: identity and focal length are known, values are taken over as
            they are.
        fps: Frames a second; by default the video's.
        progress: Called while it works.

    Raises:
        AvatarError: No face in the video, or no avatar for `same_person`.
    """
    if same_person:
        if avatar is None:
            raise AvatarError("the same person as whom? give the avatar")
        options = replace(options, relative=False)
    motion, sound = watched(source, avatar if same_person else None, progress)
    return of_motion(motion, avatar, options, sound, fps)


def watched(source: Path, known: Avatar | None, progress: Progress = quiet) -> tuple[Motion, Sound | None]:
    """Returns what somebody does in a video, as it was tracked and smoothed, and its sound.

    Args:
        source: The video.
        known: The same person's avatar, whose identity and focal length are taken.
        progress: Called while it works.

    Raises:
        AvatarError: No face in the video.
    """
    from avatar3d.capture import CaptureOptions, capture
    from avatar3d.track import track

    clip = capture(source, CaptureOptions(matte=False), progress=stage(progress, "capture"))
    focal = (known.about.get("camera") or {}).get("K", [[None]])[0][0] if known is not None else None
    identity = known.identity if known is not None else None
    solved = track(clip, identity=identity, focal=focal, progress=fraction(progress, "track"))
    motion = smooth(replace(solved.motion, pose=replace(solved.motion.pose, soft=None)))
    return motion, Sound(clip.audio, clip.rate) if clip.audio is not None and clip.rate else None


def of_speech(
    sound: Sound | SoundFile, avatar: Avatar | None, options: SpeechOptions, phones: PhoneTrack | None = None
) -> Played:
    """Returns what a face does that says what is heard; see `drive.speech`."""
    pieces = speech(sound, options, phones)
    if avatar is not None:
        pieces = map(speaker(avatar, options.voice), pieces)
    return Played(pieces, options.fps, math.ceil(sound.seconds * options.fps - 1e-9), sound)


def acted(played: Played, acting: Acting) -> Played:
    """Returns a performance with edits in it. They look at the whole of it, which is held: 40 MB an hour."""
    return replace(played, blocks=_acted(played, acting)) if acting else played


def _acted(played: Played, acting: Acting) -> Iterator[Motion]:
    yield from _pieces(edit_acting(whole(played), acting))


def whole(played: Played) -> Motion:
    """Returns all of a motion at once.

    Raises:
        AvatarError: It has no frames.
    """
    pieces = [piece for piece in played.blocks if len(piece)]
    if not pieces:
        raise AvatarError("the motion has no frames; give a longer one")
    pose = {n: torch.cat([getattr(m.pose, n) for m in pieces]) for n in ("expression", "joints", "root")}
    soft = [m.pose.soft for m in pieces if m.pose.soft is not None]
    return replace(pieces[0], pose=Pose(**pose, soft=torch.cat(soft) if len(soft) == len(pieces) else None))


def taken_over(
    blocks: Iterable[Motion], avatar: Avatar, options: RetargetOptions, neutral: Neutral | None
) -> Iterator[Motion]:
    """Yields pieces of a motion as the avatar's; see `retarget`."""
    transfer = Transfer(avatar, options)
    for block in blocks:
        yield transfer(block, neutral)


def at_origin(avatar: Avatar) -> Avatar:
    """Returns the avatar with its performance moved so that it sits at the origin, where the front camera looks."""
    if avatar.motion is None:
        return avatar
    pose = avatar.motion.pose
    home = geometry.rigid_inverse(rest_of(avatar).root)
    return replace(avatar, motion=replace(avatar.motion, pose=replace(pose, root=home.to(pose.root) @ pose.root)))


def film(avatar: Avatar, played: Played, shot: Shot, output: Path, progress: Progress = quiet) -> dict[str, Any]:
    """Writes a video of the avatar and returns `frames` and `seconds` of work.

    Raises:
        AvatarError: The motion has no frames, or the file cannot be written.
    """
    from avatar3d.render import frames
    from avatar3d.render.video import write_video

    home = geometry.rigid_inverse(rest_of(avatar).root) if shot.at_rest else None

    def pictures() -> Iterator[np.ndarray]:
        done = 0
        for block in played.blocks:
            pose = block.pose if home is None else replace(block.pose, root=home.to(block.pose.root) @ block.pose.root)
            for picture in frames(avatar, pose, shot.camera, shot.background):
                yield picture
                done += 1
                progress("render", done, max(played.frames, done))

    clock = time.perf_counter()
    blocks, rate = sound_blocks(played.sound)
    count = write_video(output, pictures(), played.fps, blocks, rate)
    return {"frames": count, "seconds": time.perf_counter() - clock}


def listened(played: Played, avatar: Avatar) -> Played:
    """Returns a performance that tells what each frame sounds like, where the avatar has a field that listens to it."""
    if avatar.field is None or avatar.field.settings.get("condition") != "audio" or played.sound is None:
        return played
    from avatar3d.speech.heard import heard

    sound = torch.from_numpy(heard(played.sound, played.fps))

    def blocks() -> Iterator[Motion]:
        done = 0
        for block in played.blocks:
            index = torch.arange(done, done + len(block)).clamp(max=len(sound) - 1)
            yield replace(block, pose=replace(block.pose, heard=sound[index]))
            done += len(block)

    return replace(played, blocks=blocks())


def exhausted(played: Played, progress: Progress = quiet) -> dict[str, Any]:
    """Lets a motion pass without a picture and returns `frames` and `seconds` of work."""
    clock, done = time.perf_counter(), 0
    for block in played.blocks:
        done += len(block)
        progress("motion", done, max(played.frames, done))
    return {"frames": done, "seconds": time.perf_counter() - clock}


def noted(played: Played, path: Path | None) -> "contextlib.AbstractContextManager[Played]":
    """Returns a context that gives the same motion, which on its way is also written to a file for other tools."""
    return contextlib.nullcontext(played) if path is None else _noted(played, path)


@contextlib.contextmanager
def _noted(played: Played, path: Path) -> Iterator[Played]:
    with motions.MotionWriter.open(path, played.fps) as writer:

        def written() -> Iterator[Motion]:
            for block in played.blocks:
                writer.add(block)
                yield block

        yield replace(played, blocks=written())


def sound_blocks(sound: Sound | SoundFile | None) -> tuple[Iterator[np.ndarray] | None, int]:
    """Returns sound in blocks at a rate that a film can hold, and that rate."""
    from avatar3d.render.video import SOUND_RATES

    if sound is None:
        return None, 0
    blocks = iter((sound.samples,)) if isinstance(sound, Sound) else sound.blocks()
    if sound.rate in SOUND_RATES:
        return blocks, sound.rate
    return _resampled(blocks, sound.rate, 48000), 48000


def voice_of(
    source: Path, avatar: Avatar, hold_out: float = 0.0, progress: Progress = quiet
) -> tuple[VoiceModel, dict[str, Any]]:
    """Returns how the avatar's person moves their mouth, learnt from a clip of them, and held-out scores.

    Args:
        source: A video with sound of the avatar's person.
        avatar: Whose identity and, for the clip it was fitted to, focal length are known.
        hold_out: Share of the last frames that is not learnt from but scored on; 0 for no scores.
        progress: Called while it works.

    Raises:
        AvatarError: The video has no sound, too few frames, or hardly any speech.
    """
    from avatar3d.capture import CaptureOptions, capture
    from avatar3d.track import track

    clip = capture(source, CaptureOptions(matte=False), progress=stage(progress, "capture"))
    if clip.audio is None or not clip.rate:
        raise AvatarError(f"{source}: no sound in it; a voice is learnt from a video of the person talking")
    known = avatar.about.get("camera") or {}
    same = (known.get("width"), known.get("height")) == (clip.width, clip.height)
    focal = float(known["K"][0][0]) if same else None
    solved = track(clip, identity=avatar.identity, focal=focal, progress=fraction(progress, "track"))
    sound, motion = Sound(np.asarray(clip.audio), clip.rate), solved.motion
    train = np.arange(len(motion)) < training_frames(len(motion), hold_out)
    rest = neutral_of(replace(motion, pose=motion.pose[: int(train.sum())])).expression.double().numpy()
    model = learn(motion, sound, rest, train)
    scores = compare(model, motion, sound, ~train, rest) if hold_out else {}
    about = {**model.about, "clip": source.name, "hold_out": hold_out, **({"scores": scores} if scores else {})}
    return replace(model, about=about), scores


def front(size: int, yaw: float, pitch: float, zoom: float) -> Camera:
    """Returns the camera before a head at rest."""
    from avatar3d.render.path import view

    return view(yaw, pitch, (size, size), zoom)


def _pieces(motion: Motion) -> Iterator[Motion]:
    for start in range(0, len(motion), BLOCK):
        yield replace(motion, pose=motion.pose[start : start + BLOCK])


def _resampled(blocks: Iterator[np.ndarray], rate: int, to: int) -> Iterator[np.ndarray]:
    channels: list[Resampler] = []
    for block in blocks:
        channels = channels or [Resampler(rate, to) for _ in block]
        yield np.stack([change.push(row) for change, row in zip(channels, block, strict=True)])
    if channels:
        yield np.stack([change.flush() for change in channels])
