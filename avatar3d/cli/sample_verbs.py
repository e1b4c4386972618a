"""`avatar3d sample`: heads of people who do not exist."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import UseAppendAction, arg

from avatar3d.cli.command import Command
from avatar3d.cli.console import Console


@dataclass(frozen=True, kw_only=True)
class Sample(Command):
    """Make a head from nothing: nobody's, complete, animatable. The same seed and words give the same head.

    `-o` writes an avatar (.a3d), or with `--sheet` a picture of many (.png). docs/sampling.md says what there is.
    """

    output: Annotated[Path, arg(aliases=["-o"])]
    """`.a3d`; `.png` with `--sheet`."""
    seed: int = 0
    """Whole number from 0 on; a sheet begins with it."""
    age: float | None = None
    """Years, 14 to 90; by default the seed's."""
    label: str | None = None
    """In English words: "young woman, red hair, freckles". What is not said is the seed's."""
    set: UseAppendAction[tuple[str, ...]] = ()
    """Traits by name: `--set hair=bob --set freckles=.8`, or with commas; docs/sampling.md lists them."""
    between: tuple[Path, Path] | None = None
    """Two sampled heads to make the one between."""
    amount: float = 0.5
    """Of the way from the first to the second."""
    sheet: int | None = None
    """Draw so many heads side by side instead."""
    yaw: float = 0.0
    """From where a sheet shows them, degrees around the head."""
    picture: Path | None = None
    """Also draw the head, `.png`."""

    def work(self, console: Console) -> Mapping[str, Any]:
        from avatar3d.cli.sample_work import run_sample

        return run_sample(self, console)


SAMPLE_COMMANDS: dict[str, type[Command]] = {"sample": Sample}
