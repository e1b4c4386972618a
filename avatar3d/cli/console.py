"""What people see while a command works: bars and notes on stderr, one JSON object last on stdout."""

import json
import logging
import math
import sys
import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console as RichConsole
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

_log = logging.getLogger("avatar3d")
_EVERY = 5.0  # seconds between lines where stderr is a file or a pipe: a log should not fill up with bars


class Console:
    """Draws progress and the package's warnings. Use it as a context: leaving it ends the bars."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._rich = RichConsole(stderr=True, highlight=False)
        columns = (TextColumn("{task.description:<9}"), BarColumn(32), MofNCompleteColumn(), TimeElapsedColumn())
        self._bars = Progress(*columns, TextColumn("{task.fields[note]}"), console=self._rich)
        self._tasks: dict[str, TaskID] = {}
        self._said: dict[str, float] = {}
        self._notes = _Notes(self)
        self._live = self._rich.is_terminal and not quiet

    def __enter__(self) -> "Console":
        _log.addHandler(self._notes)
        if self._live:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        _log.removeHandler(self._notes)
        if self._live:
            self._bars.stop()

    def note(self, text: str) -> None:
        """Prints one line for people."""
        if not self._quiet:
            self._rich.print(text, markup=False, soft_wrap=True)

    def progress(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Shows that `done` of `total` parts of a stage are ready; the `Progress` protocol of `pipeline`."""
        if self._live:
            if stage not in self._tasks:
                self._tasks[stage] = self._bars.add_task(stage, total=total, note=note)
            self._bars.update(self._tasks[stage], completed=done, total=total, note=note)
        elif not self._quiet and (done >= total or time.monotonic() - self._said.get(stage, -math.inf) > _EVERY):
            self._said[stage] = time.monotonic() if done < total else math.inf
            self.note(f"{stage} {done}/{total} {note}".rstrip())


class _Notes(logging.Handler):
    """Shows warnings above the bars."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.note(record.getMessage())


def print_json(result: Mapping[str, Any]) -> None:
    """Prints one JSON object on one line."""
    print(json.dumps(_plain(result), allow_nan=False), flush=True)


def fail(reason: str, code: int = 1) -> int:
    """Prints a reason as one line on stderr and returns the exit code."""
    print("avatar3d: " + " ".join(reason.split()), file=sys.stderr, flush=True)
    return code


def _plain(value: Any) -> Any:
    """Returns a JSON-able copy; floats that JSON cannot hold become null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value if isinstance(value, str | int | bool | None) else str(value)
