"""`avatar3d edit --say`: words to edits, with a line for each thing that was or was not understood."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from avatar3d import edit as editing
from avatar3d.cli.console import Console
from avatar3d.core import AvatarError


@dataclass(frozen=True)
class Said:
    """What became of `--say`."""

    edits: list[editing.Edit]
    report: dict[str, Any]
    """For `--json`."""


def said(texts: Sequence[str], console: Console) -> Said:
    """Returns the edits that texts ask for, and prints what was understood and what was not.

    Raises:
        AvatarError: Nothing was understood, or the sentence encoder is needed and cannot be had.
    """
    from avatar3d.edit.words import understand

    edits, understood, missed = [], [], []
    for text in texts:
        heard = understand(text)
        for line in heard.lines():
            console.note(line)
        edits += [editing.from_json(one, f"--say '{text}'") for one in heard.edits]
        understood += [
            {"text": u.text, "means": u.means, "edit": dict(u.edit), "taken_for": u.how, "ignored": list(u.ignored)}
            for u in heard.understood
        ]
        missed += [{"text": m.text, "why": m.why, "nearest": list(m.nearest)} for m in heard.missed]
        if not heard.understood and not heard.kept:
            why = "; ".join(f"'{m.text}': {m.why}" for m in heard.missed) or "there are no words"
            raise AvatarError(f"--say '{text}': nothing was understood ({why}); docs/words.md lists what can be said")
    return Said(edits, {"understood": understood, "not_understood": missed})
