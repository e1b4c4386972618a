"""What every command is: a dataclass whose fields are its arguments, with a few that all share."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from tyro.conf import arg

from avatar3d.cli.console import Console
from avatar3d.core import AvatarError

Out = Annotated[Path, arg(aliases=["-o"])]


@dataclass(frozen=True)
class Command:
    """What all commands share."""

    interrupted: ClassVar[str] = "interrupted"
    """What Ctrl-C makes it say."""

    json: bool = False
    """Print one JSON object last on stdout."""
    quiet: bool = False
    """Show no progress."""
    threads: int | None = None
    """Threads to use; by default all cores. Results do not depend on it."""

    def run(self, console: Console) -> Mapping[str, Any]:
        """Does the work and returns the result."""
        if self.threads is not None:
            if not 1 <= self.threads <= 256:
                raise AvatarError(f"--threads {self.threads}: give a number from 1 to 256")
            import torch

            torch.set_num_threads(self.threads)
        return self.work(console)

    def work(self, console: Console) -> Mapping[str, Any]:
        """Does what the command is for."""
        raise AssertionError("a command defines `work`")
