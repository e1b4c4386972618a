"""`avatar3d edit`: change an avatar by name, by words or by a list of edits."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, UseAppendAction, arg

from avatar3d.cli.command import Command
from avatar3d.cli.console import Console
from avatar3d.cli.look_flags import LookFlags

Output = Annotated[Path | None, arg(aliases=["-o"])]


@dataclass(frozen=True, kw_only=True)
class Edit(LookFlags, Command):
    """Change an avatar: expression, pose, shape, appearance. Edits are kept in the file and can be undone.

    Without edits and without an output, shows what was done to the avatar. docs/editing.md says what there is.
    """

    avatar: Positional[Path | None] = None
    """Avatar file; not needed for `--list`."""
    output: Output = None
    """`.a3d` to write."""
    set: UseAppendAction[tuple[str, ...]] = ()
    """Numbers by name: `--set jawOpen=.3`, `--set AU12=C`, `--set nose_width=+0.5`, or with commas; `--list` shows the
    names."""
    hold: UseAppendAction[tuple[str, ...]] = ()
    """Expression and pose that stand instead of what a motion says: `--hold eyeBlinkLeft=1`."""
    gain: UseAppendAction[tuple[str, ...]] = ()
    """How strongly expressions of a motion are shown: `--gain mouth=.5`."""
    mix: UseAppendAction[tuple[str, ...]] = ()
    """Go towards another avatar's shape: `--mix other.a3d=.5`; `--mix other.a3d=1:nose,lips` takes some regions."""
    say: UseAppendAction[tuple[str, ...]] = ()
    """In English words: `--say "older, wider smile, green eyes, thinner nose, a bit angry"`. Left and right are the
    person's. Says what it understood and what not; without `-o`, only that."""
    do: UseAppendAction[tuple[str, ...]] = ()
    """Any edit: its JSON object, or a file that holds one or a list of them."""
    undo: int | None = None
    """First take back that many of the last edits."""
    final: bool = False
    """Make the edits final: the file gets smaller, and they cannot be undone."""
    list: bool = False
    """Show all names with their ranges, and all kinds of edits."""

    def work(self, console: Console) -> Mapping[str, Any]:
        from avatar3d.cli.edit_work import run_edit

        return run_edit(self, console)


EDIT_COMMANDS: dict[str, type[Command]] = {"edit": Edit}
