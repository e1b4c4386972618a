"""Pictures to everyone who looks: quick and coarse while something moves, sharp when it rests."""

import logging
import math
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import UInt8

from avatar3d.core import AvatarError
from avatar3d.studio.cameras import Eye
from avatar3d.studio.document import Document
from avatar3d.studio.pictures import Look, picture

_log = logging.getLogger(__name__)

_REST = 0.25
"""Seconds without change after which a sharp picture is made."""
_COARSEST = 0.12
"""Smallest share of the full size that a moving picture may shrink to."""
_QUALITY = (72, 92)
"""JPEG quality of a moving and of a resting picture."""


@dataclass
class Visitor:
    """One who looks: where from, how, and what they were sent."""

    send: Callable[[UInt8[np.ndarray, "h w 3"], int], None]
    """Sends a picture in a JPEG quality."""
    look: Look = field(default_factory=Look)
    eye: Eye | None = None
    size: tuple[int, int] = (0, 0)
    """Of their canvas, pixels; 0 until they tell."""
    turn: int = 0
    """Changes with every move of camera, size or look."""
    coarse: float = 0.5
    """Share of the full size of a moving picture, learnt from how long they take."""
    shown: tuple[int, int] = (-1, -1)
    """Version of the document and turn that they see."""
    sharp: bool = False
    changed: float = 0.0
    failed: str = ""
    """Why the last picture could not be made."""
    times: "deque[float]" = field(default_factory=lambda: deque(maxlen=60))
    """When the last pictures were sent, by `time.monotonic`."""

    @property
    def rate(self) -> float:
        """Pictures a second lately."""
        if len(self.times) < 2 or time.monotonic() - self.times[-1] > 1.5:
            return 0.0
        recent = [t for t in self.times if self.times[-1] - t < 3.0]
        return (len(recent) - 1) / max(recent[-1] - recent[0], 1e-6) if len(recent) > 1 else 0.0


class Stream:
    """Draws for all visitors in one thread, each in turn."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._visitors: dict[int, Visitor] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="studio-stream", daemon=True)
        self.last: Visitor | None = None
        """The last one who left: the next takes up their look."""
        self.pictures = 0

    def start(self) -> None:
        """Begins to draw."""
        self._thread.start()

    def close(self) -> None:
        """Ends."""
        self._over.set()
        self._wake()
        self._thread.join(10.0)

    def join(self, name: int, send: Callable[[Any, int], None]) -> Visitor:
        """Adds a visitor, who begins with the look of the last one who left."""
        visitor = Visitor(send, look=self.last.look if self.last is not None else Look())
        with self._document.lock:
            self._visitors[name] = visitor
        self._wake()
        return visitor

    def leave(self, name: int) -> None:
        """Forgets a visitor."""
        with self._document.lock:
            gone = self._visitors.pop(name, None)
            self.last = gone or self.last

    def visitor(self, name: int) -> Visitor | None:
        """Returns a visitor who is here."""
        return self._visitors.get(name)

    @property
    def visitors(self) -> tuple[Visitor, ...]:
        """Who is here."""
        with self._document.lock:
            return tuple(self._visitors.values())

    def move(self, name: int, eye: Eye, size: tuple[int, int]) -> None:
        """Told of a visitor's camera and canvas."""
        visitor = self._visitors.get(name)
        if visitor is not None and (visitor.eye != eye or visitor.size != size):
            visitor.eye, visitor.size = eye, size
            self._turn(visitor)

    def restyle(self, name: int, **changes: Any) -> None:
        """Changes a visitor's look."""
        visitor = self._visitors.get(name)
        if visitor is not None:
            visitor.look = replace(visitor.look, **changes)
            self._turn(visitor)

    def _turn(self, visitor: Visitor) -> None:
        visitor.turn += 1
        self._wake()

    def _wake(self) -> None:
        with self._document.changed:
            self._document.changed.notify_all()

    def _run(self) -> None:
        last = time.monotonic()
        while not self._over.is_set():
            now = time.monotonic()
            self._document.tick(now - last)
            last = now
            if not self._round():
                with self._document.changed:
                    self._document.changed.wait(0.04 if self._busy() else 0.3)

    def _busy(self) -> bool:
        timeline = self._document.timeline
        return (timeline.playing and self._document.performing) or any(not v.sharp for v in self._visitors.values())

    def _round(self) -> bool:
        """Draws what is due, once for each visitor; returns whether anything was."""
        drawn = False
        for visitor in self.visitors:
            if visitor.eye is None or min(visitor.size) < 2:
                continue
            state = (self._document.version, visitor.turn)
            now = time.monotonic()
            if state != visitor.shown:
                visitor.changed = now
            elif visitor.sharp or now - visitor.changed < _REST:
                continue
            self._draw(visitor, state, sharp=state == visitor.shown)
            drawn = True
        return drawn

    def _draw(self, visitor: Visitor, state: tuple[int, int], sharp: bool) -> None:
        scene, look, eye = self._document.scene(), visitor.look, visitor.eye
        visitor.shown, visitor.sharp = state, sharp
        if scene is None or eye is None:
            visitor.sharp = True
            return
        width, height = visitor.size
        whole = min(1.0, look.resolution / max(width, height))
        share = whole if sharp else max(whole * visitor.coarse, _COARSEST * whole)
        size = (max(8, round(width * share)), max(8, round(height * share)))
        clock = time.monotonic()
        try:
            image = picture(scene, eye.camera(*size), look, self._document.camera())
            visitor.send(image, _QUALITY[sharp])
            visitor.failed = ""
        except AvatarError as error:
            visitor.failed, visitor.sharp = str(error), True
        except Exception as error:  # one picture that fails must not end all others
            if not visitor.failed:
                _log.warning("a picture failed: %s", traceback.format_exc())
            visitor.failed, visitor.sharp = f"{type(error).__name__}: {error}", True
        spent = 1e3 * (time.monotonic() - clock)
        visitor.times.append(time.monotonic())
        self.pictures += 1
        if not sharp and share:
            ideal = visitor.coarse * math.sqrt(look.moving / max(spent, 1.0))
            visitor.coarse = min(1.0, max(_COARSEST, 0.7 * visitor.coarse + 0.3 * ideal))
