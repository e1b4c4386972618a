"""What a live avatar hears or sees, piece by piece with the time it was taken: devices, or files in their place."""

import queue
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avatar3d.core import AvatarError
from avatar3d.speech.sound import RATE, Resampler, open_sound

BLOCK = 0.02
"""Seconds of sound in a piece."""
_WAITING = 200  # pieces that may wait for a slow machine before old ones are dropped: four seconds


@dataclass(frozen=True)
class Piece:
    """A block of sound (mono, 16 kHz, [-1, 1]) or a picture (RGB uint8)."""

    data: np.ndarray
    taken: float
    """When its last sample, or the picture, was taken: seconds of `time.monotonic`."""


def microphone() -> Iterator[Piece]:
    """Yields what the default microphone hears.

    Raises:
        AvatarError: The package `sounddevice` or a microphone is missing.
    """
    try:
        import sounddevice  # type: ignore[import-not-found]
    except (ImportError, OSError) as error:
        raise AvatarError(f"the microphone needs a package: pip install 'avatar3d[live]' ({error})") from error
    waiting: queue.Queue[Piece] = queue.Queue(_WAITING)

    def heard(samples, count, clock, status) -> None:
        if not waiting.full():
            waiting.put(Piece(samples[:, 0].copy(), time.monotonic()))

    try:
        stream = sounddevice.InputStream(RATE, round(BLOCK * RATE), None, 1, "float32", callback=heard)
    except (sounddevice.PortAudioError, ValueError) as error:
        raise AvatarError(f"no microphone can be opened ({error}); check the system's sound settings") from error
    with stream:
        while True:
            yield waiting.get()


def camera(number: int = 0) -> Iterator[Piece]:
    """Yields what a camera sees, the newest picture each time.

    Raises:
        AvatarError: There is no such camera.
    """
    import cv2

    device = cv2.VideoCapture(number)
    if not device.isOpened():
        raise AvatarError(f"no camera {number} can be opened; connect one, or give a video file to --live")
    device.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    try:
        while True:
            good, picture = device.read()
            if not good:
                raise AvatarError("the camera stopped giving pictures")
            yield Piece(np.ascontiguousarray(picture[..., ::-1]), time.monotonic())
    finally:
        device.release()


def sound_file(path: Path) -> Iterator[Piece]:
    """Yields a file's sound in real time, as a microphone would."""
    sound = open_sound(path)
    change, size = Resampler(sound.rate, RATE), round(BLOCK * RATE)
    held, start, sent = np.zeros(0, np.float32), time.monotonic(), 0
    for block in sound.blocks():
        held = np.concatenate([held, change.push(block.mean(0, dtype=np.float32))])
        while len(held) >= size:
            sent += size
            due = start + sent / RATE
            time.sleep(max(0.0, due - time.monotonic()))
            yield Piece(held[:size], due)
            held = held[size:]


def video_file(path: Path) -> Iterator[Piece]:
    """Yields a file's pictures in real time, as a camera would; pictures that are late already are left out."""
    from avatar3d.capture.video import open_video

    frames = open_video(path, None, 0.0, None)
    start = time.monotonic()
    for i, picture in enumerate(frames):
        due = start + i / frames.timing.fps
        now = time.monotonic()
        if now > due + 1 / frames.timing.fps:
            continue
        time.sleep(max(0.0, due - now))
        yield Piece(picture, due)
