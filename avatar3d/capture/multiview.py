"""A folder of calibrated pictures as a `Clip`: several views of each moment, every one with its own camera."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image

from avatar3d.capture import cameras, pictures
from avatar3d.capture.cameras import Lens, Shot
from avatar3d.capture.landmarks import COEFFICIENTS, LANDMARKS, Box, Landmarker, following
from avatar3d.capture.measure import Measured, Person, measure
from avatar3d.core import AvatarError, Camera, Clip, Frames

_log = logging.getLogger(__name__)

_SMALLEST = 64  # pixels of the shorter side
_FLIP = np.diag([1.0, -1.0, -1.0, 1.0])


class NoFaceError(AvatarError):
    """Calibrated pictures show no face: they may be of something else."""


@dataclass(frozen=True)
class Asked:
    """What of a folder is wanted; see `CaptureOptions`."""

    size: int | None
    matte: bool
    first: int
    """Time steps before this one are left out."""
    last: int | None
    """And from this one on."""


def open_shots(calibration: Path, asked: Asked) -> list[Shot]:
    """Returns the shots of a calibrated folder, their lenses filled in, after looking at every picture's header.

    Raises:
        AvatarError: A picture or mask is missing or has another size than its camera or the others, or the calibration
            is wrong (see `cameras.read`).
    """
    shots = cameras.read(calibration)
    last = asked.last if asked.last is not None else shots[-1].step + 1
    shots = [replace(s, step=s.step - asked.first) for s in shots if asked.first <= s.step < last]
    if not shots:
        raise AvatarError(f"{calibration}: no time step between start and end")
    opened, width, height = [], 0, 0
    for shot in shots:
        where = f"{calibration}: '{shot.image.name}'"
        for path, what in ((shot.image, "picture"), (shot.mask, "mask")):
            if path is not None and not path.is_file():
                raise AvatarError(f"{calibration}: {what} {path} is missing; put it there or take it off the list")
        width, height = pictures.size_of(shot.image)
        if shot.mask is not None and pictures.size_of(shot.mask) != (width, height):
            raise AvatarError(f"{shot.mask}: size {pictures.size_of(shot.mask)} for a picture of {(width, height)}")
        opened.append(replace(shot, lens=cameras.sized(shot.lens, width, height, where)))
    sizes = {(s.lens.width, s.lens.height) for s in opened}
    if len(sizes) > 1:
        raise AvatarError(f"{calibration}: pictures of several sizes {sorted(sizes)}; bring them to one")
    if min(width, height) < _SMALLEST:
        raise AvatarError(f"{calibration}: {width}x{height} pixels are too few; the shorter side needs {_SMALLEST}")
    return opened


def take(
    source: Path, calibration: Path, asked: Asked, fps: float, progress: Callable[[int, int], None] | None = None
) -> Clip:
    """Returns the clip of a calibrated folder: frames by time step, then by camera.

    Landmarks are looked for camera by camera, in order of time. A camera that sees no face, such as one behind the
    head, stays: its frames have no landmarks.

    Args:
        source: The folder.
        calibration: Its file, from `cameras.find`.
        asked: What is wanted.
        fps: Time steps a second.
        progress: Called with (frames done, frames in all).

    Raises:
        AvatarError: See `open_shots`; or no camera sees a face.
    """
    shots = open_shots(calibration, asked)
    frames = Posed(shots, asked.size)
    masks = PosedMasks(frames) if all(s.mask is not None or transparent(s.image) for s in shots) else None
    landmarks = np.full((len(shots), LANDMARKS, 3), np.nan, np.float32)
    blendshapes = np.full((len(shots), COEFFICIENTS), np.nan, np.float32)
    found: dict[int, tuple[Frames, int]] = {}
    landmarker, done = Landmarker(), 0
    for name in dict.fromkeys(s.camera for s in shots):
        index = [i for i, s in enumerate(shots) if s.camera == name]
        here = _Rows(frames, index)

        def tell(count: int, total: int, done: int = done) -> None:
            if progress is not None:
                progress(done + count, len(shots))

        taken = _measured(here, landmarker, masks is None and asked.matte, tell)
        done += len(index)
        landmarks[index], blendshapes[index] = taken.landmarks, taken.blendshapes
        if taken.masks is not None:
            found |= {i: (taken.masks, row) for row, i in enumerate(index)}
    if np.isnan(landmarks).all():
        raise NoFaceError(
            f"{source}: no face found in any of {len(shots)} pictures; one view has to show it,"
            " or fit a scene without a head: --body field --head none"
        )
    own = _Gathered([found[i] for i in range(len(shots))]) if found else None
    camera, times = cameras_of(frames)
    return Clip(
        source=source,
        width=frames.size[0],
        height=frames.size[1],
        fps=fps,
        frames=frames,
        masks=masks if masks is not None else own,
        landmarks=landmarks,
        blendshapes=blendshapes,
        camera=camera,
        times=times,
        held=np.array([s.held for s in shots]) if any(s.held for s in shots) else None,
    )


class Posed:
    """Pictures without their lens's distortion, shrunk to a size."""

    def __init__(self, shots: Sequence[Shot], limit: int | None):
        self.shots = shots
        lens = shots[0].lens
        scale = min(1.0, (limit or max(lens.width, lens.height)) / max(lens.width, lens.height))
        even = lambda side: max(2, round(side * scale / 2) * 2) if scale < 1 else side  # noqa: E731
        self.size = (even(lens.width), even(lens.height))
        """Width and height given."""

    def __len__(self) -> int:
        return len(self.shots)

    def __getitem__(self, index: int, /) -> UInt8[np.ndarray, "h w 3"]:
        shot = self.shots[index]
        return self.fitted(np.asarray(pictures.straight(shot.image)[..., :3]), shot.lens)

    def __iter__(self) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
        return (self[i] for i in range(len(self)))

    def fitted(self, image: np.ndarray, lens: Lens) -> np.ndarray:
        """Returns a picture (or mask) of a lens undistorted and shrunk."""
        if lens.distorted:
            image = cv2.undistort(image, _corner_centred(lens.K), np.array(lens.distortion))
        if image.shape[1::-1] != self.size:
            image = cv2.resize(image, self.size, interpolation=cv2.INTER_AREA)
        return np.ascontiguousarray(image)

    def intrinsics(self, index: int) -> Float[np.ndarray, "3 3"]:
        """Returns K in the pixels given."""
        lens = self.shots[index].lens
        return np.diag([self.size[0] / lens.width, self.size[1] / lens.height, 1.0]) @ lens.K


class PosedMasks:
    """The masks that come with posed pictures, or those pictures' transparency."""

    def __init__(self, frames: Posed):
        self._frames = frames

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int, /) -> UInt8[np.ndarray, "h w"]:
        shot = self._frames.shots[index]
        mask = pictures.Mattes([shot.mask])[0] if shot.mask is not None else pictures.straight(shot.image)[..., 3]
        return self._frames.fitted(mask, shot.lens)

    def __iter__(self) -> Iterator[UInt8[np.ndarray, "h w"]]:
        return (self[i] for i in range(len(self)))


class _Rows:
    """Some of the posed pictures."""

    def __init__(self, frames: Posed, index: Sequence[int]):
        self._frames, self._index = frames, index

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, index: int, /) -> np.ndarray:
        return self._frames[self._index[index]]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self._frames[i] for i in self._index)


class _Gathered:
    """Pictures from several sequences."""

    def __init__(self, places: Sequence[tuple[Frames, int]]):
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int, /) -> np.ndarray:
        frames, row = self._places[index]
        return frames[row]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (frames[row] for frames, row in self._places)


def _measured(frames: Frames, landmarker: Landmarker, matte: bool, tell: Callable[[int, int], None]) -> Measured:
    """Returns what is seen in the pictures of one camera, in order of time."""
    if matte:  # whom to follow is not asked: one person stands in the middle of all cameras
        height, width = frames[0].shape[:2]
        whole = Box(width / 2, height / 2, float(max(width, height)))
        person = Person(whole, (0.0, 0.0, float(width), float(height)))
        return measure(frames, landmarker, person, None, True, 0, tell)
    landmarks = np.full((len(frames), LANDMARKS, 3), np.nan, np.float32)
    blendshapes = np.full((len(frames), COEFFICIENTS), np.nan, np.float32)
    face = None
    for row, image in enumerate(frames):
        face = None if face is None else landmarker.measure(image, following(face))
        if face is None:  # one look: a camera behind the head has none to find
            face = next(iter(landmarker.find(image, thorough=False)), None)
        if face is not None:
            landmarks[row], blendshapes[row] = face.landmarks, face.blendshapes
        tell(row + 1, len(frames))
    return Measured(landmarks, blendshapes, None, None)


def cameras_of(frames: Posed) -> tuple[Camera, Int[np.ndarray, " t"] | None]:
    """Returns a camera for each frame, and the frames' time steps; of one camera that stands still, just that one."""
    shots = frames.shots
    w2c = np.stack([s.w2c for s in shots])
    K = np.stack([frames.intrinsics(i) for i in range(len(shots))])
    times = np.array([s.step for s in shots])
    width, height = frames.size
    still = np.abs(w2c - w2c[0]).max() < 1e-9 and np.abs(K - K[0]).max() < 1e-9
    if still and len(np.unique(times)) == len(times):
        # Where a lone camera stands says nothing: the world is its own, as for any video.
        return Camera(torch.from_numpy(_FLIP).float(), torch.from_numpy(K[0]).float(), width, height), None
    return Camera(torch.from_numpy(w2c).float(), torch.from_numpy(K).float(), width, height), times


def _corner_centred(K: np.ndarray) -> np.ndarray:
    """Returns K as OpenCV counts pixels: their centres at whole numbers."""
    moved = K.copy()
    moved[:2, 2] -= 0.5
    return moved


def transparent(path: Path) -> bool:
    """Returns whether a picture has an alpha channel, from its header alone."""
    with Image.open(path) as image:
        return image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
