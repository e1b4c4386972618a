"""The verb: a source on disk becomes a `Clip`."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from avatar3d.capture import cameras, multiview, pictures, video
from avatar3d.capture.landmarks import Landmarker
from avatar3d.capture.measure import Measured, Person, measure, probe
from avatar3d.capture.spool import Chosen, Window, sound_store
from avatar3d.core import AvatarError, Clip, Frames

_log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]

_SMALLEST = 64  # pixels of the shorter side
_FACE = 24  # pixels of a face's box; the landmark network resolves less below


@dataclass(frozen=True)
class CaptureOptions:
    """What to take of a video, a folder of pictures or a photo."""

    size: int | None = 512
    """Longest side of the frames of a video or folder in pixels; larger ones are cut to the head's surroundings where
    that keeps more of the face, and shrunk. None keeps the file's size."""
    photo_size: int = 768
    """Longest side of a single photo after it was cut to head and shoulders."""
    crop: bool = True
    """Whether frames that have to be shrunk, and photos, may be cut to the head's surroundings."""
    fps: float | None = None
    """Frames a second; None keeps the file's, and 25 for a folder."""
    start: float = 0.0
    """Where to begin, seconds."""
    end: float | None = None
    """Where to end, seconds; None for the end of the file."""
    matte: bool = True
    """Whether to cut the person out of the background."""
    masks: Path | None = None
    """Masks of your own, white where the person is: a folder of pictures, a video or a picture with as many frames."""
    cache_mb: int = 256
    """Frames are kept decoded up to this many megabytes; longer clips are decoded again when needed."""


def capture(source: Path | str, options: CaptureOptions = CaptureOptions(), progress: Progress | None = None) -> Clip:
    """Returns the frames of a video, a folder of pictures or a photo with the face and the person's outline found.

    A folder with a calibration (transforms.json, COLMAP's text files, an OpenCV yml; docs/captures.md) becomes a clip
    whose frames have a camera each.

    Args:
        source: The file or folder.
        options: What to take of it.
        progress: Called with (frames done, frames in all).

    Raises:
        AvatarError: The source cannot be used; the line says why and what to do.

    Example:
        clip = avatar3d.capture("me.mp4")
        clip.frames[0], clip.landmarks.shape  # the first frame (h w 3); (frames, 478, 3)
    """
    source = Path(source)
    _check(options)
    if source.is_dir() and (calibration := cameras.find(source)) is not None:
        fps = options.fps or 25.0
        last = None if options.end is None else math.ceil(options.end * fps)
        asked = multiview.Asked(options.size, options.matte, math.floor(options.start * fps), last)
        return multiview.take(source, calibration, asked, fps, progress)
    frames, fps, alone = _open(source, options)
    first = frames[0]
    height, width = first.shape[:2]
    if min(height, width) < _SMALLEST:
        raise AvatarError(f"{source}: {width}x{height} pixels are too few; the shorter side needs {_SMALLEST} or more")
    landmarker = Landmarker()
    person = probe(frames, landmarker, source)
    window = _window(width, height, person, options, alone)
    given = _given_masks(source, frames, options, alone)
    if window is not None:
        frames = Window(frames, *window)
        scale = window[1][0] / window[0][2]
        if person.face.side * scale < _FACE:
            raise AvatarError(
                f"{source}: the face is {person.face.side * scale:.0f} pixels wide; come closer or set size"
            )
        person = person.moved(window[0][0], window[0][1], scale)
        if given is not None and len(given) and given[0].shape == (height, width):
            given = Window(given, *window)
    size = window[1] if window is not None else (width, height)
    if given is not None and given[0].shape[1::-1] != size:
        raise AvatarError(f"{options.masks}: masks of {given[0].shape[1::-1]} pixels for frames of {(width, height)}")
    taken = measure(frames, landmarker, person, given, options.matte, options.cache_mb << 20, progress)
    return _clip(source, frames, fps, taken, size)


def select(clip: Clip, indices: Sequence[int]) -> Clip:
    """Returns a clip of some of the frames, without copying pictures; sound stays only for one unbroken run.

    Time steps are counted anew where frames share them.
    """
    length = len(clip)
    indices = [range(length)[int(i)] for i in indices]
    if not indices:
        raise AvatarError(f"{clip.source}: no frames selected; choose some of 0 to {length - 1}")
    audio = None
    if clip.audio is not None and indices == list(range(indices[0], indices[0] + len(indices))):
        low, high = (round(i / clip.fps * clip.rate) for i in (indices[0], indices[-1] + 1))
        audio = clip.audio[:, low:high]
    return replace(
        clip,
        frames=Chosen(clip.frames, indices),
        masks=None if clip.masks is None else Chosen(clip.masks, indices),
        landmarks=None if clip.landmarks is None else clip.landmarks[indices],
        blendshapes=None if clip.blendshapes is None else clip.blendshapes[indices],
        audio=audio,
        rate=clip.rate if audio is not None else 0,
        camera=None if clip.camera is None else clip.camera.at(indices),
        times=None if clip.times is None else np.unique(clip.times[indices], return_inverse=True)[1],
        held=None if clip.held is None else clip.held[indices],
    )


def _check(options: CaptureOptions) -> None:
    for name, least in (("size", 32), ("photo_size", 32), ("fps", 0.01), ("start", 0), ("cache_mb", 0)):
        value = getattr(options, name)
        if value is not None and not value >= least:
            raise AvatarError(f"{name} is {value}; it must be {least} or more")
    if options.end is not None and not options.end > options.start:
        raise AvatarError(f"end is {options.end} s; it must be later than start, {options.start} s")


def _open(source: Path, options: CaptureOptions) -> tuple[Frames, float, bool]:
    """Returns the frames as they are, their rate, and whether it is a single photo."""
    if not source.exists():
        raise AvatarError(f"{source}: no such file or folder; check the path")
    if source.is_dir():
        paths = pictures.list_pictures(source)
        return pictures.Pictures(paths), options.fps or 25.0, len(paths) == 1
    if source.stat().st_size == 0:
        raise AvatarError(f"{source}: the file is empty; get it again")
    if pictures.is_picture(source):
        return pictures.Pictures([source]), options.fps or 25.0, True
    if source.suffix.lower() in pictures.SUFFIXES:
        raise AvatarError(f"{source}: not a picture that can be read; save it again as PNG or JPEG")
    frames = video.open_video(source, options.fps, options.start, options.end)
    return frames, frames.timing.fps, False


def _given_masks(source: Path, frames: Frames, options: CaptureOptions, alone: bool) -> Frames | None:
    """Returns the user's own masks, or the transparency of the pictures themselves."""
    if options.masks is None:
        if isinstance(frames, pictures.Pictures) and pictures.has_alpha(frames.paths[0]):
            return pictures.Mattes(frames.paths)
        return None
    if not options.masks.exists():
        raise AvatarError(f"{options.masks}: no such file or folder of masks; check the path")
    if options.masks.is_dir():
        masks: Frames = pictures.Mattes(pictures.list_pictures(options.masks))
    elif pictures.is_picture(options.masks):
        masks = pictures.Mattes([options.masks])
    else:
        masks = _Grey(video.open_video(options.masks, options.fps, options.start, options.end))
    if len(masks) != len(frames):
        raise AvatarError(
            f"{options.masks}: {len(masks)} masks for {len(frames)} frames of {source}; give one for each"
        )
    return masks


class _Grey:
    """The red channel of a black-and-white video."""

    def __init__(self, frames: Frames):
        self._frames = frames

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int, /) -> np.ndarray:
        return self._frames[index][..., 0]

    def __iter__(self):
        return (image[..., 0] for image in self._frames)


def _window(
    width: int, height: int, person: Person, options: CaptureOptions, alone: bool
) -> tuple[tuple[int, int, int, int], tuple[int, int]] | None:
    """Returns the rectangle to take (left, top, width, height) and the size to give it; None to leave frames alone."""
    limit = options.photo_size if alone else options.size
    box = (0, 0, width, height)
    if options.crop and limit is not None and (alone or max(width, height) > limit):
        box = person.surroundings(width, height)
    if limit is None:
        limit = max(box[2:])
    scale = min(1.0, limit / max(box[2:]))
    # Even sizes: video encoders of 4:2:0 pictures want them.
    size = (max(2, int(box[2] * scale / 2 + 1e-6) * 2), max(2, int(box[3] * scale / 2 + 1e-6) * 2))
    if scale == 1 and box == (0, 0, width, height):
        return None
    return (box[0], box[1], size[0], size[1]) if scale == 1 else box, (size[0], size[1])


def _clip(source: Path, frames: Frames, fps: float, taken: Measured, size: tuple[int, int]) -> Clip:
    missing = int(np.isnan(taken.landmarks[:, 0, 0]).sum())
    count = len(taken.landmarks)
    if missing == count:
        raise AvatarError(
            f"{source}: no face found in any of {count} frames; use pictures that show the face from the front"
        )
    if missing:
        _log.warning("%s: no face in %d of %d frames; they are marked", source, missing, count)
    if count < len(frames):
        _log.warning(
            "%s: cut off or damaged after frame %d of %d; what came before is used", source, count, len(frames)
        )
    audio, rate = None, 0
    base = frames._frames if isinstance(frames, Window) else frames
    if isinstance(base, video.VideoFrames):
        try:
            audio, rate = video.read_audio(base.path, base.timing.start, count / fps, sound_store)
        except (OSError, ValueError) as error:
            _log.warning("%s: the sound cannot be read (%s); going on without", source, error)
    stored = taken.frames if taken.frames is not None else Chosen(frames, range(count))
    return Clip(
        source=source,
        width=size[0],
        height=size[1],
        fps=float(fps) if math.isfinite(fps) and fps > 0 else 25.0,
        frames=stored,
        masks=taken.masks,
        landmarks=taken.landmarks,
        blendshapes=taken.blendshapes,
        audio=audio,
        rate=rate,
    )
