"""A live avatar: a microphone or a camera drives it, a page on this machine shows it, and the delay is measured."""

import io
import math
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from avatar3d.core import Avatar, AvatarError, Camera, Motion
from avatar3d.drive.retarget import RetargetOptions, Transfer
from avatar3d.drive.stream import Speech, SpeechOptions, speaker
from avatar3d.live.page import Page
from avatar3d.live.sources import BLOCK, Piece
from avatar3d.motions.neutral import Neutral, neutral_of

_LOOK_AHEAD = 0.05
"""Seconds of future that the mouth may use: in a film it has 0.3, live each costs delay."""
_NEUTRAL = 30
"""Pictures of the driver that their neutral is taken from."""
_QUALITY = 85
_KEPT = 600  # measurements of each stage kept for the figures


@dataclass(frozen=True)
class LiveOptions:
    """How a live avatar is driven and shown."""

    port: int = 8765
    """Of the page, on 127.0.0.1; 0 for any that is free."""
    seconds: float | None = None
    """When to end; None for the source's end."""
    speech: SpeechOptions = field(default_factory=SpeechOptions)
    transfer: RetargetOptions = field(default_factory=RetargetOptions)
    background: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass
class _Shown:
    """What shall be shown next, and since when it could have been."""

    motion: Motion
    """One frame."""
    happened: float
    """When it happened before microphone or camera, by `time.monotonic`."""


class Figures:
    """Milliseconds of each stage, and from event to picture."""

    def __init__(self) -> None:
        self._times: dict[str, deque[float]] = {}
        self._lock = threading.Lock()
        self.pictures = 0
        self._start = time.monotonic()

    def add(self, stage: str, seconds: float) -> None:
        with self._lock:
            self._times.setdefault(stage, deque(maxlen=_KEPT)).append(1e3 * seconds)

    def read(self) -> dict[str, Any]:
        """Returns pictures a second, the median and the 95th percentile of the delay, and each stage's median."""
        with self._lock:
            kept = {name: sorted(values) for name, values in self._times.items()}
        whole = kept.pop("latency", [])
        passed = max(time.monotonic() - self._start, 1e-6)
        return {
            "frames": self.pictures,
            "frames_per_second": round(self.pictures / passed, 1),
            "latency_ms": round(statistics.median(whole)) if whole else None,
            "latency_95_ms": round(whole[min(len(whole) - 1, math.ceil(0.95 * len(whole)))]) if whole else None,
            "stages_ms": {name: round(statistics.median(values), 1) for name, values in kept.items()},
        }


def live(
    avatar: Avatar,
    camera: Camera,
    pieces: Iterator[Piece],
    kind: str,
    options: LiveOptions,
    ready: Callable[[str], None] = lambda address: None,
) -> dict[str, Any]:
    """Shows the avatar until the source ends and returns figures: see `Figures.read`, and `algorithmic_ms`.

    Args:
        avatar: Who.
        camera: Through which the avatar is seen.
        pieces: Of sound or pictures, see `sources`.
        kind: "sound" or "pictures".
        options: How.
        ready: Told the page's address.

    Raises:
        AvatarError: A device is missing or stops.
    """
    figures = Figures()
    follow = _Sound(avatar, options, figures) if kind == "sound" else _Pictures(avatar, options, figures)
    slot: deque[_Shown] = deque(maxlen=64)
    over, woken, failed = threading.Event(), threading.Event(), []
    until = math.inf if options.seconds is None else time.monotonic() + options.seconds

    def take() -> None:
        try:
            for piece in pieces:
                if over.is_set() or time.monotonic() > until:
                    break
                slot.extend(follow(piece))
                woken.set()
        except AvatarError as error:
            failed.append(error)
        finally:
            over.set()
            woken.set()

    with Page(options.port, figures.read) as page:
        ready(page.address)
        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        try:
            while not over.is_set() or slot:
                woken.wait(0.1)
                woken.clear()
                _show(avatar, camera, slot, page, figures, options)
        except KeyboardInterrupt:
            pass  # how a live session ends when nobody set an end
        finally:
            over.set()
        thread.join(1.0)
    if failed:
        raise failed[0]
    return {**figures.read(), "algorithmic_ms": round(1e3 * follow.delay)}


def _show(
    avatar: Avatar, camera: Camera, slot: deque[_Shown], page: Page, figures: Figures, options: LiveOptions
) -> None:
    """Draws the newest pose that is due; what came too late to be seen is left out."""
    from avatar3d.render import frames

    while slot:
        shown = slot.popleft()
        while len(slot) > 1:  # behind: only the newest counts
            shown = slot.popleft()
        start = time.perf_counter()
        picture = next(frames(avatar, shown.motion.pose, camera, options.background))
        drawn = time.perf_counter()
        held = io.BytesIO()
        Image.fromarray(picture).save(held, "jpeg", quality=_QUALITY)
        page.show(held.getvalue())
        figures.pictures += 1
        figures.add("render", drawn - start)
        figures.add("encode", time.perf_counter() - drawn)
        figures.add("latency", time.monotonic() - shown.happened)


class _Sound:
    """Sound to poses."""

    def __init__(self, avatar: Avatar, options: LiveOptions, figures: Figures):
        mouth = replace(options.speech.mouth, look_ahead=min(_LOOK_AHEAD, options.speech.mouth.look_ahead))
        self._options = replace(options.speech, mouth=mouth)
        self._speech = Speech(self._options)
        self._speaker, self._figures = speaker(avatar, options.speech.voice), figures
        self._start: float | None = None
        self._given = 0
        self.delay = self._speech.delay + BLOCK

    def __call__(self, piece: Piece) -> list[_Shown]:
        if self._start is None:
            self._start = piece.taken - BLOCK
        begin = time.perf_counter()
        self._figures.add("waiting", time.monotonic() - piece.taken)
        motion = self._speech.push(piece.data)
        if not len(motion):
            return []
        own = self._speaker(motion)
        self._figures.add("listening", time.perf_counter() - begin)
        out = []
        for i in range(len(own)):
            happened = self._start + (self._given + i) / self._options.fps
            out.append(_Shown(replace(own, pose=own.pose[i : i + 1]), happened))
        self._given += len(own)
        return out


class _Pictures:
    """Pictures to poses; the first second is taken for the driver's neutral."""

    delay = 0.0

    def __init__(self, avatar: Avatar, options: LiveOptions, figures: Figures):
        from avatar3d.live.faces import CameraFace

        self._face, self._transfer, self._figures = CameraFace(), Transfer(avatar, options.transfer), figures
        self._first: list[Motion] = []
        self._neutral: Neutral | None = None

    def __call__(self, piece: Piece) -> list[_Shown]:
        begin = time.perf_counter()
        self._figures.add("waiting", time.monotonic() - piece.taken)
        motion = self._face(piece.data)
        self._figures.add("tracking", time.perf_counter() - begin)
        if motion is None:
            return []
        if len(self._first) < _NEUTRAL:
            self._first.append(motion)
            poses = [m.pose for m in self._first]
            whole = {n: torch.cat([getattr(p, n) for p in poses]) for n in ("expression", "joints", "root")}
            self._neutral = neutral_of(replace(motion, pose=replace(motion.pose, **whole)))
        return [_Shown(self._transfer(motion, self._neutral), piece.taken)]


def opened(source: str) -> tuple[Iterator[Piece], str]:
    """Returns pieces and their kind of `mic`, `camera`, or a file that stands in for one of them.

    Raises:
        AvatarError: Neither, or a file with neither pictures nor sound.
    """
    from avatar3d.live import sources

    if source == "mic":
        return sources.microphone(), "sound"
    if source == "camera":
        return sources.camera(), "pictures"
    path = Path(source)
    if not path.is_file():
        raise AvatarError(f"--live {source}: give mic, camera, or a sound or video file that stands in for them")
    try:
        from avatar3d.capture.video import open_video

        open_video(path, None, 0.0, None)
    except AvatarError:
        return sources.sound_file(path), "sound"
    return sources.video_file(path), "pictures"
