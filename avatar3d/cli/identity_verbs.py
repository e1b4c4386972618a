"""`avatar3d score identity`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tyro.conf import Positional

from avatar3d.cli.command import Command
from avatar3d.cli.console import Console


@dataclass(frozen=True, kw_only=True)
class ScoreIdentity(Command):
    """Say whether two faces are one person's, by the distance of a face-recognition network."""

    one: Positional[Path]
    """Avatar (.a3d) or picture."""
    other: Positional[Path]
    """Avatar (.a3d) or picture."""

    def work(self, console: Console) -> Mapping[str, Any]:
        from avatar3d.identity_scores import score_identity

        score = score_identity(self.one, self.other)
        verdict = "one person" if score.distance < score.same else "two people"
        console.note(f"distance {score.distance:.3f}: {verdict} (below {score.same:g} counts as one)")
        return score.as_json()


IDENTITY_COMMANDS: dict[str, type[Command]] = {"score-identity": ScoreIdentity}
