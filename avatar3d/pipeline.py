"""The verbs joined: from a file of media to an avatar, and from an avatar and its clip to a score."""

import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import torch

from avatar3d import __version__
from avatar3d.core import Avatar, AvatarError, Clip, Motion, Pose, Track
from avatar3d.score import FitScore, score_frames
from avatar3d.score.fit import Truth

if TYPE_CHECKING:
    from avatar3d.fit import FieldOptions

_log = logging.getLogger(__name__)


@runtime_checkable
class Progress(Protocol):
    """Receives how far a stage has come. The command line draws a bar, a notebook may print, `quiet` does nothing."""

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None: ...


@runtime_checkable
class Watch(Protocol):
    """Sees each step of a fit (a `fit.Step`), and says whether it goes on."""

    def __call__(self, step: Any, clip: Clip, track: Track, /) -> bool: ...


def quiet(stage: str, done: int, total: int, note: str = "") -> None:
    """Shows nothing."""


@dataclass(frozen=True)
class Made:
    """What became of a source: the avatar, and what led to it."""

    avatar: Avatar
    clip: Clip
    """The whole clip, held-out frames included."""
    track: Track
    """Of the frames that were fitted to."""


def stage(progress: Progress, name: str) -> Callable[[int, int], None]:
    """Returns the callback (done, total) that a verb takes, reporting under `name`."""

    def report(done: int, total: int) -> None:
        progress(name, done, total)

    return report


def fraction(progress: Progress, name: str) -> Callable[[str, float], None]:
    """Returns the callback (part, share done) that `track` takes."""

    def report(part: str, done: float) -> None:
        progress(name, round(100 * done), 100, part)

    return report


def training_frames(count: int, hold_out: float) -> int:
    """Returns how many of the first frames of a clip are fitted to; a photo is never held out.

    Raises:
        AvatarError: `hold_out` is not in [0, 0.9].
    """
    if not 0 <= hold_out <= 0.9:
        raise AvatarError(f"--hold-out {hold_out:g}: give the share of frames to keep back, from 0 to 0.9")
    return count if count == 1 else max(1, count - math.floor(count * hold_out + 1e-9))


def make(
    source: Path | str,
    preset: str = "fast",
    hold_out: float = 0.0,
    about: dict[str, Any] | None = None,
    checkpoint: Path | None = None,
    progress: Progress = quiet,
    watch: Watch | None = None,
    body: "FieldOptions | None" = None,
) -> Made:
    """Returns the avatar of a video, a folder of images or one photo: capture, track and fit in one call.

    Args:
        source: A video file, an image file, or a folder of images.
        preset: Name of a fit preset, or a TOML file.
        hold_out: Share of the last frames that neither track nor fit looks at, to score on.
        about: Facts to store in the avatar, such as `consent` and `licence`.
        checkpoint: File to resume an interrupted fit from and to write on the way; one of another fit is replaced.
        progress: Called while it works.
        watch: Called after each step of the fit with it, the clip fitted to and its track; where it returns False, the
            fit ends with the avatar as it is then, and its checkpoint stays.
        body: Makes a field, or a hybrid, of these settings; then the preset only names them.

    Raises:
        AvatarError: Bad input, said in one line.
    """
    from avatar3d.capture import capture, divide, select
    from avatar3d.fit.options import preset as fit_preset
    from avatar3d.fit.state import StaleCheckpoint
    from avatar3d.track import track

    options = fit_preset(preset) if body is None else body
    training_frames(2, hold_out)  # a bad share is said before the long work
    clock = _Clock()
    clip = capture(source, progress=stage(progress, "capture"))
    seconds = {"capture": clock.lap()}
    frames = divide(clip, hold_out).train
    train = clip if len(frames) == len(clip) else select(clip, frames)
    solved = track(train, progress=fraction(progress, "track"))
    seconds["track"] = clock.lap()
    try:
        avatar = _fitted(train, solved, options, checkpoint, progress, watch)
    except StaleCheckpoint as stale:
        if checkpoint is None:
            raise
        _log.warning("starting the fit anew: %s", str(stale).removesuffix("; delete it to start anew"))
        checkpoint.unlink()
        avatar = _fitted(train, solved, options, checkpoint, progress, watch)
    seconds["fit"] = clock.lap()
    facts = {
        **avatar.about,
        "made_with": f"avatar3d {__version__}",
        "source": Path(source).name,
        "frames": len(clip),
        "hold_out": hold_out,
        "preset": preset,
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        **_seen_by(solved, train),
        **(about or {}),
    }
    return Made(replace(avatar, about=facts), clip, solved)


def _fitted(
    clip: Clip,
    solved: Track,
    options: Any,
    checkpoint: Path | None,
    progress: Progress,
    watch: Watch | None,
) -> Avatar:
    """Returns the avatar of a tracked clip, fitted before eyes that may end it."""
    from avatar3d.fit import FieldOptions, drop, field_steps, fit, fit_field, steps

    field = isinstance(options, FieldOptions)
    whole, parts = (fit_field, field_steps) if field else (fit, steps)
    if watch is None:
        return whole(clip, solved, options, checkpoint=checkpoint, progress=stage(progress, "fit"))
    last = None
    for last in parts(clip, solved, options, checkpoint):
        if not watch(last, clip, solved):
            return last.avatar()
        progress("fit", last.index, last.total)
    if last is None:
        raise AvatarError("the fit had no steps left to do: delete its checkpoint to start anew")
    avatar = last.avatar()
    if checkpoint is not None:
        drop(checkpoint)
    return avatar


def score_fit(
    avatar: Avatar,
    source: Path | str,
    dump: Path | None = None,
    hold_out: float | None = None,
    follow: bool = True,
    progress: Progress = quiet,
) -> FitScore:
    """Returns how well an avatar shows the frames of its clip that it was not fitted to.

    The whole clip is tracked anew with the avatar's identity and focal length held fixed: by landmarks, then (`follow`)
    the held-out poses until the avatar's own picture matches the frame, as photometric trackers do. The avatar stays as
    it is; only poses move. Those poses then drive it.

    Args:
        avatar: As fitted with a hold-out.
        source: The clip it was fitted to.
        dump: Folder for truth, render and matte of each frame as PNG.
        hold_out: Share of the last frames; by default the one the avatar was fitted with.
        follow: Whether to refine the held-out poses by the picture; without it they are those of the landmarks.
        progress: Called while it works.

    Raises:
        AvatarError: The avatar was fitted to all frames, or the clip is not the one it was fitted to.
    """
    from avatar3d.capture import capture, divide

    clip = capture(source, progress=stage(progress, "capture"))
    held_out(avatar, clip, hold_out)  # said before the work
    share = float(avatar.about.get("hold_out", 0.0)) if hold_out is None else hold_out
    steps = divide(clip, share).steps
    solved = retrack(avatar, clip, steps if follow else len(clip), progress)
    return score_tracked(avatar, clip, solved, dump, hold_out, progress)


def retrack(avatar: Avatar, clip: Clip, follow_from: int, progress: Progress = quiet) -> Track:
    """Returns the track of a whole clip with the avatar's identity and focal length held fixed.

    Of several views of a moment, the time steps that were fitted to keep the poses that the fit found: what is asked of
    them is another view.

    Args:
        avatar: Whose identity is known.
        clip: The clip it was fitted to.
        follow_from: First time step (frame, unless several show the same moment) whose pose is refined by the avatar's
            picture.
        progress: Called while it works.

    Raises:
        AvatarError: The clip has another size than the one the avatar was fitted to.
    """
    from avatar3d.fields import settings_of
    from avatar3d.fit import follow, listened
    from avatar3d.track import track

    known = avatar.about.get("camera") or {}
    if known and (known.get("width"), known.get("height")) != (clip.width, clip.height):
        size = f"{known.get('width')}x{known.get('height')}"
        raise AvatarError(
            f"{clip.source}: {clip.width}x{clip.height} pixels, the avatar was fitted to a clip of {size}"
        )
    focal = float(known["K"][0][0]) if known else None
    fixed: dict[str, Any] = {"identity": avatar.identity, "focal": focal}
    if clip.times is not None and "world" in avatar.about:
        fixed["world"] = torch.tensor(avatar.about["world"])
    solved = track(clip, progress=fraction(progress, "track"), **fixed)
    if "world" in fixed and avatar.motion is not None:
        solved = _as_fitted(solved, avatar.motion)
    if avatar.field is not None:
        solved = listened(clip, solved, settings_of(avatar.field.settings))
    if follow_from >= len(solved.motion):
        return solved
    return follow(avatar, clip, solved, follow_from, progress=stage(progress, "follow"))


def score_tracked(
    avatar: Avatar,
    clip: Clip,
    solved: Track,
    dump: Path | None = None,
    hold_out: float | None = None,
    progress: Progress = quiet,
) -> FitScore:
    """As `score_fit`, for a clip that is already captured and tracked with the avatar's identity."""
    frames = held_frames(avatar, clip, hold_out)
    total = len(frames)
    return score_frames(
        _pairs(avatar, clip, solved, frames),
        seconds=avatar.about.get("seconds"),
        dump=dump,
        progress=lambda done: progress("score", done, total),
    )


def held_out(avatar: Avatar, clip: Clip, hold_out: float | None) -> int:
    """Returns the index of the first held-out frame."""
    return held_frames(avatar, clip, hold_out)[0]


def held_frames(avatar: Avatar, clip: Clip, hold_out: float | None) -> list[int]:
    """Returns the frames to score on; see `capture.divide`."""
    from avatar3d.capture import divide

    share = float(avatar.about.get("hold_out", 0.0)) if hold_out is None else hold_out
    frames = divide(clip, share).held
    if not frames:
        raise AvatarError("score: no held-out frames; fit with --hold-out 0.2, or give --hold-out here")
    return frames


def _as_fitted(solved: Track, motion: Motion) -> Track:
    """Returns the track with its first time steps as they were fitted."""
    count = min(len(motion), len(solved.motion))
    old, new = solved.motion.pose, motion.pose

    def joined(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.cat([b[:count], a[count:]])

    soft = new.soft
    if soft is not None:
        soft = joined(soft.new_zeros(len(solved.motion), *soft.shape[1:]) if old.soft is None else old.soft, soft)
    moved = (joined(old.expression, new.expression), joined(old.joints, new.joints), joined(old.root, new.root))
    pose = Pose(*moved, soft)
    return replace(solved, motion=replace(solved.motion, pose=pose))


def _seen_by(solved: Track, clip: Clip) -> dict[str, Any]:
    """Returns the camera that saw the avatar, of several the one before the face, and the way to their world."""
    camera, root = solved.camera, solved.motion.pose.root
    facts = {}
    if camera.w2c.dim() > 2:
        facing = (camera.w2c[:, :3, :3] @ root[torch.from_numpy(clip.steps)][:, :3, 2:3])[:, 2, 0]
        camera = camera.at(int(facing.argmin()))
    if solved.world is not None:
        facts = {"world": solved.world.tolist()}
    size = {"width": camera.width, "height": camera.height}
    return {"camera": {"K": camera.K.tolist(), "w2c": camera.w2c.tolist(), **size}, **facts}


def _pairs(avatar: Avatar, clip: Clip, solved: Track, held: list[int]) -> Iterator[tuple[Truth, np.ndarray]]:
    """Yields truth and render on white of frames."""
    from avatar3d.render import frames

    if clip.masks is None or clip.landmarks is None:
        raise AvatarError(f"{clip.source}: captured without matte or landmarks; both are needed to score")
    index = torch.tensor(held)
    pose = solved.motion.pose[torch.from_numpy(clip.steps)[index]]
    for i, picture in zip(held, frames(avatar, pose, solved.camera.at(index)), strict=True):
        yield Truth(clip.frames[i], clip.masks[i], clip.landmarks[i]), picture


class _Clock:
    """Seconds between laps."""

    def __init__(self) -> None:
        self._last = time.perf_counter()

    def lap(self) -> float:
        now = time.perf_counter()
        passed, self._last = now - self._last, now
        return passed
