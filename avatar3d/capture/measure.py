"""One pass over the frames: landmarks in order, mattes beside them on the other core, memory bounded."""

import logging
import math
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue

import cv2
import numpy as np
from jaxtyping import Float

from avatar3d.capture import matte
from avatar3d.capture.backdrop import find_backdrop
from avatar3d.capture.landmarks import COEFFICIENTS, LANDMARKS, Box, Face, Landmarker, following, overlap
from avatar3d.capture.segment import Segmenter
from avatar3d.capture.spool import Held, Spool
from avatar3d.core import AvatarError, Frames

_log = logging.getLogger(__name__)

_PROBES = 8
_WORKERS = 2
_AHEAD = 6  # frames in flight between the landmarks and the finished mattes
_AGAIN = 10  # frames without a face between thorough searches
_LYING = math.radians(50)  # roll of the face beyond which a rotation flag must be missing
_JUMP = 0.1  # least overlap of a face with itself one frame later


@dataclass(frozen=True)
class Person:
    """Whom to follow: the face in a few frames spread over the clip."""

    face: Box
    """The square around the face, median over those frames."""
    reach: tuple[float, float, float, float]
    """Left, top, right and bottom of all those faces together."""

    def surroundings(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Returns left, top, width and height of the part of the frame with the head, its hair and shoulders."""
        side, (left, top, right, bottom) = self.face.side, self.reach
        x0, x1 = left - 0.9 * side, right + 0.9 * side
        y0, y1 = top - 0.8 * side, bottom + 1.1 * side
        extent = max(x1 - x0, y1 - y0)  # a square, the face above its middle
        x0, x1 = (x0 + x1 - extent) / 2, (x0 + x1 + extent) / 2
        y1 = y0 + extent
        cut_x0, cut_y0 = max(0, round(x0)), max(0, round(y0))
        cut_x1, cut_y1 = min(width, round(x1)), min(height, round(y1))
        return cut_x0, cut_y0, cut_x1 - cut_x0, cut_y1 - cut_y0

    def moved(self, x: int, y: int, scale: float) -> "Person":
        """Returns the same person in the pixels of a window at (x, y), shrunk by `scale`."""
        face = replace(self.face, x=(self.face.x - x) * scale, y=(self.face.y - y) * scale, side=self.face.side * scale)
        left, top, right, bottom = self.reach
        return Person(face, ((left - x) * scale, (top - y) * scale, (right - x) * scale, (bottom - y) * scale))


@dataclass(frozen=True)
class Measured:
    """What one pass gives."""

    landmarks: Float[np.ndarray, "t l 3"]
    blendshapes: Float[np.ndarray, "t e"]
    masks: Spool | None
    frames: Held | None
    """The frames themselves, when they fit the memory allowed."""


def probe(frames: Frames, landmarker: Landmarker, source: Path) -> Person:
    """Looks at a few frames and returns whom to follow: the face that is largest on the whole.

    Raises:
        AvatarError: No face in any of them, or in a denser second look.
    """
    seen: list[Face] = []
    several = 0
    spread = np.unique(np.linspace(0, len(frames) - 1, _PROBES).round().astype(int))
    denser = np.unique(np.linspace(0, len(frames) - 1, 5 * _PROBES).round().astype(int))
    for indices in (spread, np.setdiff1d(denser, spread)):
        for index in indices:
            try:
                found = landmarker.find(frames[int(index)])
            except AvatarError:  # damaged towards its end
                break
            several += len(found) > 1
            if found:
                near = [
                    f
                    for f in found
                    if seen and overlap(f.box, seen[-1].box) > _JUMP and f.box.side > 0.6 * found[0].box.side
                ]
                seen.append((near or found)[0])
        if seen:
            break
    if not seen:
        raise AvatarError(f"{source}: no face found; use pictures that show one face, from the front, well lit")
    if several:
        _log.warning("%s: more than one face; following the largest", source)
    if abs(float(np.median([following(face).angle for face in seen]))) > _LYING:
        _log.warning("%s: the face does not stand upright; turn the pictures first", source)
    boxes = np.array([(f.box.x, f.box.y, f.box.side) for f in seen])
    x, y, side = np.median(boxes, 0)
    low, high = boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2
    left, top, right, bottom = (float(v) for v in (*low.min(0), *high.max(0)))
    return Person(Box(float(x), float(y), float(side)), (left, top, right, bottom))


def measure(
    frames: Frames,
    landmarker: Landmarker,
    person: Person,
    given: Frames | None,
    want_matte: bool,
    memory: int,
    progress: Callable[[int, int], None] | None = None,
) -> Measured:
    """Returns landmarks, coefficients and masks of every frame that can be decoded.

    Args:
        frames: The frames.
        landmarker: The face networks.
        person: Whom to follow.
        given: The user's masks; None to find them.
        want_matte: Whether to find masks.
        memory: Bytes of decoded frames that may be kept.
        progress: Called with (frames done, frames in all).
    """
    total = len(frames)
    points: list[np.ndarray] = []
    coefficients: list[np.ndarray] = []
    kept: list[np.ndarray] | None = []
    follower = Follower(landmarker, person)
    mattes = _Mattes(frames) if want_matte and given is None else None
    own = Spool() if given is not None else None
    masks = iter(given) if given is not None else None
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # the cores are busy with whole frames: threads inside one only wait for each other
    try:
        for image in frames:
            face = follower(image)
            points.append(face.landmarks if face else np.full((LANDMARKS, 3), np.nan, np.float32))
            coefficients.append(face.blendshapes if face else np.full(COEFFICIENTS, np.nan, np.float32))
            if kept is not None:
                kept = kept if image.nbytes * total <= memory else None
            if kept is not None:
                kept.append(image)
            if mattes is not None:
                mattes.add(image, face)
            if own is not None and masks is not None:
                own.append(next(masks))
            if progress is not None:
                progress(len(points), total)
        spool = mattes.finish() if mattes is not None else own
    finally:
        cv2.setNumThreads(threads)
        if mattes is not None:
            mattes.close()
    return Measured(np.stack(points), np.stack(coefficients), spool, Held(kept) if kept else None)


class Follower:
    """Follows one face from frame to frame."""

    def __init__(self, landmarker: Landmarker, person: Person):
        self._landmarker = landmarker
        self._last = person.face
        self._box: Box | None = None
        self._missed = 0

    def __call__(self, image: np.ndarray) -> Face | None:
        """Returns the face in the next frame, or None."""
        face = None if self._box is None else self._landmarker.measure(image, self._box)
        if face is not None and overlap(face.box, self._last) < _JUMP:
            face = None  # the crop slid off to something else
        if face is None:
            face = self._search(image)
        if face is None:
            self._missed, self._box = self._missed + 1, None
            return None
        self._missed, self._box, self._last = 0, following(face), face.box
        return face

    def _search(self, image: np.ndarray) -> Face | None:
        faces = self._landmarker.find(image, thorough=self._missed % _AGAIN == 0)
        if not faces:
            return None
        near = [face for face in faces if overlap(face.box, self._last) > _JUMP]
        return max(near or faces, key=lambda face: face.box.side)


class _Mattes:
    """Mattes of frames in order: network and edge on worker threads, steadied and stored on the caller's."""

    def __init__(self, frames: Frames):
        self._segmenters: SimpleQueue[Segmenter] = SimpleQueue()
        for _ in range(_WORKERS):
            self._segmenters.put(Segmenter())
        first = self._segmenters.get()
        self._backdrop = find_backdrop(frames, first)
        self._segmenters.put(first)
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="matte")
        self._waiting: deque[Future] = deque()
        self._last: tuple[np.ndarray, np.ndarray] | None = None
        self._spool = Spool()

    def add(self, image: np.ndarray, face: Face | None) -> None:
        self._waiting.append(self._pool.submit(self._work, image, face))
        while len(self._waiting) > _AHEAD:
            self._store()

    def finish(self) -> Spool:
        while self._waiting:
            self._store()
        return self._spool

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _work(self, image: np.ndarray, face: Face | None) -> tuple[np.ndarray, np.ndarray]:
        height, width = image.shape[:2]
        head = matte.head_square(face.landmarks, width, height) if face is not None else None
        segmenter = self._segmenters.get()
        alpha = matte.coarse(segmenter, image, head)
        self._segmenters.put(segmenter)
        colours = image.astype(np.float32) / 255
        alpha = matte.refine(colours, alpha)
        return colours, alpha if self._backdrop is None else self._backdrop.correct(colours, alpha)

    def _store(self) -> None:
        image, alpha = self._waiting.popleft().result()
        if self._last is not None:
            alpha = matte.steady(image, alpha, self._last)
        self._last = image, alpha
        self._spool.append((np.clip(alpha, 0, 1) * 255 + 0.5).astype(np.uint8))
