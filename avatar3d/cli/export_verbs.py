"""`avatar3d export` and `avatar3d import`: files of other tools."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from tyro.conf import Positional, UseAppendAction

from avatar3d.cli.command import Command, Out
from avatar3d.cli.console import Console
from avatar3d.core import Avatar, AvatarError, Pose


@dataclass(frozen=True, kw_only=True)
class Export(Command):
    """Write an avatar as a file of another tool: splats, glTF, a web page, USD, video.

    Formats (docs/formats.md): ply, compressed-ply, splat, spz, sog, glb, mesh-glb, usd, baked, lam, html, mp4, webm,
    png.
    """

    avatar: Positional[Path]
    """Avatar, or any file that `avatar3d import` reads."""
    output: Out
    """File to write."""
    to: str | None = None
    """Format; by default the one that the output's ending names."""
    set: UseAppendAction[tuple[str, ...]] = ()
    """Pose, where the format holds one: `--set jawOpen=0.6,headYaw=-20`, as in `avatar3d render`."""
    at: int | None = None
    """Pose: this frame of the performance that the avatar was fitted to, counted from 0, without the camera's view."""
    frame: Literal["auto", "y-up", "y-down"] = "auto"
    """Axes of splat files: by default what the format's readers show upright."""
    version: int | None = None
    """Of the format, where there are several: spz 3 (default) or 4."""
    size: int | None = None
    """Side of a texture (1024) or of pictures (512), pixels."""
    frames: int | None = None
    """Most frames of the performance, where the format holds one."""

    def work(self, console: Console) -> Mapping[str, Any]:
        from avatar3d.export import FORMATS, ExportOptions, export, format_of, import_avatar
        from avatar3d.files import check_writable

        to = self.to or format_of(self.output)
        if to in FORMATS and FORMATS[to].suffixes:
            check_writable(self.output)
        avatar = import_avatar(self.avatar)
        if self.size is not None and not 16 <= self.size <= 8192:
            raise AvatarError(f"--size {self.size}: give 16 to 8192 pixels")
        options = ExportOptions(self._pose(avatar), self.frame, self.version, self.size, self.frames, console.progress)
        made = export(avatar, self.output, to, options)
        told = ", ".join(
            f"{made[name]:,} {name}" for name in ("splats", "triangles", "frames", "bytes") if name in made
        )
        console.note(f"{self.output}: {to}, {told}")
        return made

    def _pose(self, avatar: Avatar) -> Pose | None:
        import torch

        from avatar3d.render.path import parse_settings, posed

        pose = None
        if self.at is not None:
            count = 0 if avatar.motion is None else len(avatar.motion)
            if avatar.motion is None or not 0 <= self.at < count:
                raise AvatarError(f"--at {self.at}: the avatar's performance has {count} frames, counted from 0")
            pose = replace(avatar.motion.pose[self.at], root=torch.eye(4))
        if self.set:
            given = posed(avatar.head, parse_settings(self.set))
            if pose is None:
                return given
            expression = (pose.expression + given.expression).clamp(0, 1)
            return replace(pose, expression=expression, joints=pose.joints + given.joints)
        return pose


@dataclass(frozen=True, kw_only=True)
class Import(Command):
    """Read splats of other tools (any scene), or an avatar of another program, into an `.a3d` file."""

    source: Positional[Path]
    """.ply (also compressed), .splat, .spz, .sog, .glb with splats, .usd with splats, a LAM .zip, or .a3d."""
    output: Out
    """`.a3d` to write."""

    def work(self, console: Console) -> Mapping[str, Any]:
        from avatar3d import store
        from avatar3d.cli.work import check_output
        from avatar3d.export import import_avatar

        check_output(self.output, ".a3d")
        avatar = import_avatar(self.source)
        store.save(avatar, self.output)
        console.note(f"{self.output}: {len(avatar.gaussians):,} splats on '{avatar.head}'")
        return {"output": str(self.output), "head": avatar.head, "splats": len(avatar.gaussians)}


EXPORT_COMMANDS: dict[str, type[Command]] = {"export": Export, "import": Import}
