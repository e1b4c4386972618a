"""`avatar3d fit` and `avatar3d distil`: from media to an avatar, from a field to splats."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from tyro.conf import Positional

from avatar3d.cli.command import Command, Out
from avatar3d.cli.console import Console
from avatar3d.core import AvatarError


@dataclass(frozen=True, kw_only=True)
class Fit(Command):
    """Make an avatar from a video or a photo."""

    interrupted: ClassVar[str] = "interrupted; the fit continues where it stopped when the same command is given again"

    source: Positional[Path]
    """Video, image, or folder of images."""
    output: Out
    """Avatar file to write, `.a3d`."""
    preset: str = "fast"
    """`fast`, `quality`, or (splats) a TOML file."""
    body: Literal["splats", "field", "hybrid"] = "splats"
    """What it is made of: splats, a radiance field, or splats with hair of a field (docs/fields.md)."""
    condition: Literal["expression", "audio"] = "expression"
    """Field: what moves the look of its mouth, expression weights or the clip's sound."""
    encoding: Literal["hash", "planes"] = "hash"
    """Field: a hash grid, or three planes."""
    head: Literal["anny", "none"] = "anny"
    """Field: the head model it rides on, or `none` for posed pictures of anything, as where they show no face."""
    steps: int | None = None
    """Field: optimisation steps; by default the preset's."""
    hold_out: float = 0.0
    """Share of the clip's last frames to keep back for `avatar3d score fit`, such as 0.2."""
    consent: str = ""
    """How the person agreed; stored in the avatar."""
    licence: str = ""
    """Terms under which the avatar may be used; stored in it."""
    studio: bool = False
    """Watch it in the studio, which stays open until Ctrl-C (needs the extra `studio`; docs/studio.md)."""
    port: int = 0
    """Of the studio; 0 takes a free one."""
    no_browser: bool = False
    """Print the studio's address, and open nothing."""

    def work(self, console: Console) -> Mapping[str, Any]:
        about = {name: value for name in ("consent", "licence") if (value := getattr(self, name))}
        if self.studio:
            from avatar3d.cli.studio_work import run_watched_fit

            return run_watched_fit(self, about, console)
        from avatar3d.capture import NoFaceError
        from avatar3d.cli.scene_work import run_scene
        from avatar3d.cli.work import run_fit

        if self.head == "none":
            return run_scene(self, about, console)
        try:
            return run_fit(self, about, console)
        except NoFaceError:
            if self.body != "field":
                raise
            console.note(f"{self.source}: no picture shows a face; fitting a scene without a head")
            return run_scene(self, about, console)

    def field(self) -> Any:
        """Returns the options of a field, or None for splats.

        Raises:
            AvatarError: Options of fields for splats, or a preset that is not one of fields.
        """
        if self.body == "splats":
            if (self.condition, self.encoding, self.steps) != ("expression", "hash", None):
                raise AvatarError("--condition, --encoding and --steps are of fields: give --body field too")
            return None
        from avatar3d.fit import field_preset

        options = field_preset(self.preset, self.body, self.condition, self.encoding)
        options = options if self.steps is None else replace(options, steps=self.steps)
        options.check()
        return options


@dataclass(frozen=True, kw_only=True)
class Distil(Command):
    """Turn an avatar whose body is a field, or a hybrid, into splats: they run in the player and export everywhere."""

    avatar: Positional[Path]
    """Avatar file with a field."""
    output: Out
    """Avatar file to write, `.a3d`."""
    pictures: int = 160
    """Pictures of the field that the splats are fitted to: its own performance, from its camera and from around it."""
    steps: int = 700
    """Optimisation steps."""
    size: int | None = None
    """Side of the pictures; by default that of the clip the field was fitted to, at most 384 pixels."""

    def work(self, console: Console) -> Mapping[str, Any]:
        from avatar3d.cli.work import run_distil

        return run_distil(self, console)


FIT_COMMANDS: dict[str, type[Command]] = {"fit": Fit, "distil": Distil}
