"""Long work beside the window: one piece at a time, its progress, its end, and its failure as one line."""

import logging
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from avatar3d.core import AvatarError

_log = logging.getLogger(__name__)

State = Literal["idle", "running", "done", "failed", "stopped"]


@dataclass(frozen=True)
class Report:
    """How a piece of work stands."""

    name: str = ""
    state: State = "idle"
    stage: str = ""
    done: int = 0
    total: int = 0
    note: str = ""
    """What came out, or why it failed."""

    @property
    def share(self) -> float:
        """Of the stage, in [0, 1]."""
        return self.done / self.total if self.total else 0.0


class Stopped(Exception):
    """Raised within work that was asked to stop."""


class Jobs:
    """Runs one piece of work at a time in a thread of its own. What fails leaves everything else as it was."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._report = Report()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def report(self) -> Report:
        """How it stands now."""
        return self._report

    @property
    def running(self) -> bool:
        """Whether something is being done."""
        return self._report.state == "running"

    def start(self, name: str, work: Callable[["Jobs"], str]) -> None:
        """Begins a piece of work.

        Args:
            name: For people.
            work: Calls `progress` now and then, and returns what came out, for people.

        Raises:
            AvatarError: Another one is running.
        """
        with self._lock:
            if self.running:
                raise AvatarError(f"{self._report.name} is still running; wait for it, or stop it")
            self._stop.clear()
            self._report = Report(name, "running")
            self._thread = threading.Thread(target=self._run, args=(work,), name=f"studio-{name}", daemon=True)
            self._thread.start()

    def progress(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Told by the work how far it is; the `Progress` of `pipeline`. Raises `Stopped` where it shall end."""
        self._report = replace(self._report, stage=stage, done=done, total=total, note=note)
        self.check()

    def check(self) -> None:
        """Raises `Stopped` where the work shall end."""
        if self._stop.is_set():
            raise Stopped

    @property
    def stopping(self) -> bool:
        """Whether the work was asked to end."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Asks the work to end."""
        self._stop.set()

    def wait(self, seconds: float | int | None = None) -> bool:
        """Waits for the end; returns whether it came."""
        thread = self._thread
        if thread is not None:
            thread.join(seconds)
        return not self.running

    def _run(self, work: Callable[["Jobs"], str]) -> None:
        try:
            note = work(self)
            self._report = replace(self._report, state="stopped" if self.stopping else "done", note=note)
        except Stopped:
            self._report = replace(self._report, state="stopped", note="stopped")
        except AvatarError as error:
            self._report = replace(self._report, state="failed", note=str(error))
        except Exception as error:  # a bug in one piece of work must not take the others' work along
            _log.error("%s", traceback.format_exc())
            self._report = replace(self._report, state="failed", note=f"{type(error).__name__}: {error}")
