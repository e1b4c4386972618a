"""`avatar3d score lips`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avatar3d.cli.command import Command
from avatar3d.cli.console import Console


@dataclass(frozen=True, kw_only=True)
class ScoreLips(Command):
    """Say how well lips speak: closures on p, b, m, contact on f, v, offset to the sound, jitter, blinks.

    Give a motion with `--phones` or `--audio`, or a video, with its own sound or beside a `--reference` video.
    """

    motion: Path | None = None
    """Live Link Face's .csv, ARKit .json, a track or an avatar (.a3d)."""
    video: Path | None = None
    """A video that shows a face."""
    reference: Path | None = None
    """What the mouth should do: another video, or another motion."""
    phones: Path | None = None
    """What is said when: .TextGrid or .json."""
    audio: Path | None = None
    """The sound, if it is not the video's own."""
    syncnet: Path | None = None
    """Weights of SyncNet as .safetensors (docs/scores.md), for LSE-C and LSE-D of a video."""
    page: Path | None = None
    """Write a page of the curves over the waveform and the phones, as one .html."""

    def work(self, console: Console) -> Mapping[str, Any]:
        from avatar3d.cli.work import check_output
        from avatar3d.files import write_text
        from avatar3d.lip_scores import LipSources, score_lips

        if self.page is not None:
            check_output(self.page, ".html")
        sources = LipSources(self.motion, self.video, self.reference, self.phones, self.audio, self.syncnet)
        scored = score_lips(sources, console.progress)
        result = scored.score.as_json()
        for name, value in result.items():
            if name != "notes":
                shown = f"{value:.4g}" if isinstance(value, float) else "-" if value is None else str(value)
                console.note(f"{name.replace('_', ' '):<22}{shown}")
        for note in scored.score.notes:
            console.note(note)
        if self.page is not None:
            from avatar3d.score.lips_page import lips_page

            name = (self.motion or self.video or Path("lips")).name
            page = lips_page(name, scored.mouth, scored.score, scored.motion, scored.phones, scored.sound)
            write_text(self.page, page)
            result["page"] = str(self.page)
        return result


SCORE_COMMANDS: dict[str, type[Command]] = {"score-lips": ScoreLips}
