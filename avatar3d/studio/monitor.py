"""A fit that is watched: its curves, its avatar now and then, pause and stop, and nothing lost where it fails."""

import itertools
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from avatar3d import geometry, pipeline, store
from avatar3d.core import Clip, Track
from avatar3d.drive.retarget import rest_of
from avatar3d.fit import Step
from avatar3d.studio.document import Document
from avatar3d.studio.jobs import Jobs
from avatar3d.studio.source import Source, beside

_POINTS = 400
"""Of a curve that is shown."""
_SHARE = 9.0
"""The avatar of a running fit is made at most once in so many times as long as that takes: a tenth of the time."""
_PAUSE = 2.0
"""Seconds between such avatars at least."""


@dataclass(frozen=True)
class FitRequest:
    """What shall be fitted, and where the avatar goes."""

    source: Path
    output: Path
    preset: str = "fast"
    hold_out: float = 0.0
    about: dict[str, Any] = field(default_factory=dict)
    body: Any = None
    """A `fit.FieldOptions` for a field; None for splats."""

    @property
    def checkpoint(self) -> Path:
        """Where the fit can be continued from."""
        return self.output.with_suffix(".fit-checkpoint")

    @property
    def unfinished(self) -> Path:
        """Where the avatar of a fit that failed or was stopped goes."""
        return self.output.with_name(f"{self.output.stem}.unfinished.a3d")


class Monitor:
    """Watches one fit at a time. It is told of each step in the fit's own thread, and waits there while paused."""

    def __init__(self, document: Document, jobs: Jobs) -> None:
        self._document, self._jobs = document, jobs
        self._going = threading.Event()
        self._going.set()
        self._curve: deque[tuple[int, float, float]] = deque(maxlen=100_000)
        self._lock = threading.Lock()
        self.request: FitRequest | None = None
        self.step: Step | None = None
        self.frames: tuple[Clip, Track] | None = None
        """The clip that is fitted to and its track, from the first step on."""
        self._made_at, self._cost = 0.0, 0.0
        self._first = True

    @property
    def paused(self) -> bool:
        """Whether the fit waits."""
        return not self._going.is_set()

    def pause(self, on: bool) -> None:
        """Lets the fit wait after its step, or go on."""
        (self._going.clear if on else self._going.set)()

    def stop(self) -> None:
        """Ends the fit after its step; the avatar as it is then is kept."""
        self._jobs.stop()
        self._going.set()

    def start(self, request: FitRequest) -> None:
        """Begins a fit.

        Raises:
            AvatarError: Other work is running, or the output could not be written.
        """
        from avatar3d.files import check_writable
        from avatar3d.fit import preset

        preset(request.preset)  # said before the long work
        check_writable(request.output)
        self._jobs.start(f"fit of {request.source.name}", lambda jobs: self._work(request, jobs))

    def curves(self) -> tuple[Float[np.ndarray, " t"], Float[np.ndarray, " t"], Float[np.ndarray, " t"]]:
        """Returns steps, losses and PSNR (dB), thinned to what a small plot can show; each the mean of its stretch."""
        with self._lock:
            points = np.array(self._curve, dtype=np.float64).reshape(-1, 3)
        if len(points) > _POINTS:
            cuts = np.linspace(0, len(points), _POINTS + 1).astype(int)
            points = np.stack([points[a:b].mean(0) for a, b in itertools.pairwise(cuts)])
        return points[:, 0], points[:, 1], points[:, 2]

    def watch(self, step: Step, clip: Clip, track: Track) -> bool:
        """Told of each step; returns whether the fit goes on."""
        with self._lock:
            self._curve.append((step.index, step.loss, step.psnr))
        self.step, self.frames = step, (clip, track)
        if self._first or time.monotonic() - self._made_at > max(_PAUSE, _SHARE * self._cost):
            self._show(step)
        if self.paused:
            self._show(step)
            self._going.wait()
        return not self._jobs.stopping

    def _work(self, request: FitRequest, jobs: Jobs) -> str:
        with self._lock:
            self._curve.clear()
        self.request, self.step, self.frames, self._first, self._cost = request, None, None, True, 0.0
        self._going.set()
        more = {} if request.body is None else {"body": request.body}
        try:
            made = pipeline.make(
                request.source,
                request.preset,
                request.hold_out,
                request.about,
                request.checkpoint,
                jobs.progress,
                self.watch,
                **more,
            )
        except BaseException:
            self._keep(request)
            raise
        home = geometry.rigid_inverse(rest_of(made.avatar).root)
        if jobs.stopping:
            store.save(made.avatar, request.unfinished)
            self._document.grow(made.avatar, self._source(home), self._first)
            return f"stopped after {self.step.index if self.step else 0} steps; kept as {request.unfinished.name}"
        store.save(made.avatar, request.output)
        request.checkpoint.unlink(missing_ok=True)
        self._document.grow(made.avatar, self._source(home), self._first)
        with self._document.lock:
            self._document.path, self._document.unsaved = request.output, False
        return f"{request.output.name}: {len(made.avatar.gaussians)} splats"

    def _show(self, step: Step) -> None:
        """Puts the avatar as it is now into the document."""
        began = time.monotonic()
        avatar = step.avatar()
        source = self._source(geometry.rigid_inverse(rest_of(avatar).root))
        self._document.grow(avatar, source, self._first)
        self._first = False
        self._made_at = time.monotonic()
        self._cost = self._made_at - began

    def _keep(self, request: FitRequest) -> None:
        """Writes the last avatar that a broken fit had, if it came so far."""
        document = self._document
        with document.lock:
            avatar = None if self._first else document.avatar
        if avatar is not None:
            store.save(avatar, request.unfinished)

    def _source(self, home: Any) -> Source | None:
        if self.frames is None:
            return None
        clip, track = self.frames
        return beside(clip, track.camera, home)
