"""The commands. Each is a dataclass whose fields are its arguments and whose `run` returns what `--json` prints."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import tyro
from tyro.conf import FlagCreatePairsOff, Positional, UseAppendAction

from avatar3d.cli.command import Command, Out
from avatar3d.cli.console import Console
from avatar3d.cli.drive_verbs import DRIVE_COMMANDS
from avatar3d.cli.edit_verbs import EDIT_COMMANDS
from avatar3d.cli.export_verbs import EXPORT_COMMANDS
from avatar3d.cli.fit_verbs import FIT_COMMANDS
from avatar3d.cli.fit_verbs import Fit as Fit
from avatar3d.cli.identity_verbs import IDENTITY_COMMANDS
from avatar3d.cli.sample_verbs import SAMPLE_COMMANDS
from avatar3d.cli.score_verbs import SCORE_COMMANDS
from avatar3d.cli.view_verbs import VIEW_COMMANDS


@dataclass(frozen=True, kw_only=True)
class Capture(Command):
    """Read a video, a folder of images or a photo, and report what was found: frames, faces, matte, sound."""

    source: Positional[Path]
    """Video, image, or folder of images, also with calibrated cameras (docs/captures.md)."""
    matte: Path | None = None
    """Write the person on white as a video, to look at the matte."""

    def work(self, console: Console) -> Mapping[str, Any]:
        from avatar3d.cli.work import run_capture

        return run_capture(self.source, self.matte, console)


@dataclass(frozen=True, kw_only=True)
class CaptureSynthetic(Command):
    """Photograph a textured mesh from known cameras: a capture with known truth, which `fit` and `score` accept."""

    mesh: str
    """`anny` (the default head), `lps`, `facecap`, `ict` (read from the folder in AVATAR3D_DATA), an .obj or a .glb."""
    output: Out
    """Folder to make."""
    views: int = 16
    """Cameras to fit to; a few more, to score on, stand between them."""
    arc: float | None = None
    """Put the cameras on a frontal arc of that many degrees to each side, not on a ring; scored at 45 and 60."""
    elevation: float = 18.0
    """How far cameras rise above the eyes, degrees."""
    cameras: Path | None = None
    """Take the cameras of this file instead: transforms.json, COLMAP's images.txt, OpenCV yml."""
    motion: str | None = None
    """ARKit weights: .json, .csv, a track, `random:STEPS[:SEED]` or `each:STEPS[:SEED]`, one expression after another;
    without it, one moment at rest."""
    seed: int | None = None
    """Of a random identity (`anny`, `ict`)."""
    size: int = 512
    """Side of the pictures in pixels."""

    def work(self, console: Console) -> Mapping[str, Any]:
        from avatar3d.capture.synthetic import SyntheticOptions
        from avatar3d.cli.work import run_synthetic

        names = ("views", "arc", "elevation", "cameras", "motion", "seed", "size")
        options = SyntheticOptions(**{name: getattr(self, name) for name in names})
        return run_synthetic(self.mesh, self.output, options, console)


@dataclass(frozen=True, kw_only=True)
class Track(Command):
    """Follow head, gaze and expression through a clip."""

    source: Positional[Path]
    """Video, image, or folder of images."""
    output: Out
    """Track file to write, `.a3d`."""
    overlay: Path | None = None
    """Also write a video of the head model over the frames."""
    identity: Path | None = None
    """Avatar whose identity and focal length to keep: for a video that will drive it."""

    def work(self, console: Console) -> Mapping[str, Any]:
        from avatar3d.cli.work import run_track

        return run_track(self.source, self.output, self.overlay, self.identity, console)


@dataclass(frozen=True, kw_only=True)
class Render(Command):
    """Make a picture (.png) or a video (.mp4) of an avatar.

    A picture shows the pose of `--set` from `--yaw` and `--pitch`. A video moves the camera (`--orbit`), replays the
    performance that the avatar was fitted to (`--replay`), or plays a file (`--motion`).
    """

    avatar: Positional[Path]
    """Avatar file."""
    output: Out
    """`.png` or `.mp4` to write."""
    set: UseAppendAction[tuple[str, ...]] = ()
    """Values by name: `--set jawOpen=0.6 --set headYaw=-20`, or with commas. ARKit weights in [0, 1]; headYaw,
    headPitch, headRoll, gazeYaw, gazePitch in degrees."""
    yaw: float = 0.0
    """Camera, degrees around the head; positive shows the head's left side."""
    pitch: float = 0.0
    """Camera, degrees above eye level."""
    orbit: float | None = None
    """Video: swing the camera that many degrees to each side; 360 turns all around."""
    replay: bool = False
    """Video: the performance that the avatar was fitted to, through the camera that saw it."""
    motion: Path | None = None
    """Video: play a motion: Live Link Face's CSV, ARKit JSON, a track or an avatar (docs/driving.md)."""
    audio: Path | None = None
    """Video: take the sound of this file."""
    seconds: float = 4.0
    """Length of an orbit."""
    fps: float = 25.0
    """Frames a second of an orbit."""
    size: int = 512
    """Side of the picture in pixels."""
    zoom: float = 1.0
    """2 shows everything twice as large."""
    background: Literal["white", "black", "grey", "green", "none"] | None = None
    """Colour behind the head; by default none (transparent) for a picture and white for a video."""

    def work(self, console: Console) -> Mapping[str, Any]:
        from avatar3d.cli.show import run_render

        return run_render(self, console)


@dataclass(frozen=True, kw_only=True)
class ScoreFit(Command):
    """Compare an avatar with the held-out frames of its clip: PSNR, SSIM, LPIPS."""

    avatar: Positional[Path]
    """Avatar file, fitted with `--hold-out`."""
    clip: Positional[Path]
    """The clip it was fitted to."""
    hold_out: float | None = None
    """Share of the last frames; by default the one the avatar was fitted with."""
    dump: Path | None = None
    """Folder for truth, render and matte of each frame as PNG."""
    landmarks_only: bool = False
    """Take the held-out poses from landmarks alone, without refining them by the avatar's picture."""

    def work(self, console: Console) -> Mapping[str, Any]:
        from avatar3d.cli.work import run_score

        return run_score(self.avatar, self.clip, self.hold_out, self.dump, not self.landmarks_only, console)


@dataclass(frozen=True, kw_only=True)
class Demo(Command):
    """Fit a public-domain portrait (and your clip) and write a page that shows the result."""

    clip: Path | None = None
    """A video or photo of your own."""
    output: Out = Path("out/demo")
    """Folder to write."""
    preset: str = "fast"
    """`fast`, `quality`, or a TOML file."""

    def work(self, console: Console) -> Mapping[str, Any]:
        from avatar3d.demo import demo

        result = demo(self.output, self.clip, self.preset, console.progress)
        console.note(f"Open {result['page']} in a browser.")
        return result


@dataclass(frozen=True, kw_only=True)
class Doctor(Command):
    """Say what works on this machine, and what to do about what does not."""

    cuda: bool = False
    """Put the CUDA kernels through a device: compare with stored answers, time each, and print a block to paste."""

    def work(self, console: Console) -> Mapping[str, Any]:
        from avatar3d.cli.work import run_doctor

        return run_doctor(self.cuda, console)


@dataclass(frozen=True, kw_only=True)
class BenchRaster(Command):
    """Time the splat rasterizer, forward and forward + backward."""

    repeat: int = 15
    """Runs of each row; the median counts."""

    def work(self, console: Console) -> Mapping[str, Any]:
        from avatar3d.cli.work import run_bench

        return run_bench(self.repeat, console)


@dataclass(frozen=True, kw_only=True)
class BenchRender(Command):
    """Time an avatar's frames from pose to picture: frames a second, and the milliseconds of each stage."""

    avatar: Positional[Path]
    """The avatar file."""
    size: int = 512
    """Side of the square picture, pixels."""
    frames: int = 64
    """Frames of a run: the avatar's own motion, repeated."""
    repeat: int = 5
    """Runs; the median counts."""

    def work(self, console: Console) -> Mapping[str, Any]:
        from avatar3d.cli.work import run_bench_render

        return run_bench_render(self.avatar, self.size, self.frames, self.repeat, console)


@dataclass(frozen=True, kw_only=True)
class BenchField(Command):
    """Time radiance fields: a training step of 4096 rays and pictures, beside the same in plain PyTorch."""

    repeat: int = 9
    """Runs of each row; the median counts."""

    def work(self, console: Console) -> Mapping[str, Any]:
        from avatar3d.cli.work import run_bench_field

        return run_bench_field(self.repeat, console)


@dataclass(frozen=True, kw_only=True)
class BenchFit(Command):
    """Fit presets and published recipes to the same clips, and write a table and a page that compare them."""

    interrupted: ClassVar[str] = "interrupted; the same command goes on with what is not done yet"

    clips: tuple[Path, ...]
    """Videos, or folders of them."""
    presets: str = "quality,fast,gaussian-avatars,flash-avatar,splatting-avatar,gaussian-blendshapes,rgb-avatar"
    """Names with commas between them, or TOML files; the last five are the recipes."""
    out: Path = Path("out/bench")
    """Folder for results, captures, models and pictures; what is there already is not done again."""
    hold_out: float = 0.2
    """Share of each clip's last frames that neither track nor fit sees."""
    share: float = 1.0
    """Part of their steps that our presets do, for a quicker run; recipes then get as much less time."""
    seconds: float = 0.0
    """Training time of each recipe; 0 for as long as the slowest of our presets took on that clip."""
    frames: int = 0
    """Most held-out frames scored, spread evenly; 0 for all."""

    def work(self, console: Console) -> Mapping[str, Any]:
        from avatar3d.cli.work import run_bench_fit

        return run_bench_fit(self, console)


COMMANDS: dict[str, type[Command]] = {
    "capture": Capture,
    "capture-synthetic": CaptureSynthetic,
    "track": Track,
    **FIT_COMMANDS,
    "render": Render,
    "score-fit": ScoreFit,
    "demo": Demo,
    "doctor": Doctor,
    "bench-raster": BenchRaster,
    "bench-render": BenchRender,
    "bench-field": BenchField,
    "bench-fit": BenchFit,
    **DRIVE_COMMANDS,
    **EDIT_COMMANDS,
    **EXPORT_COMMANDS,
    **IDENTITY_COMMANDS,
    **SAMPLE_COMMANDS,
    **SCORE_COMMANDS,
    **VIEW_COMMANDS,
}
"""By name on the command line; `score fit` may be written for `score-fit`."""


def parse(arguments: Sequence[str]) -> Command:
    """Returns the command that the arguments ask for; exits with help, or with what does not parse."""
    arguments = list(arguments)
    if "-".join(arguments[:2]) in COMMANDS:
        arguments = ["-".join(arguments[:2]), *arguments[2:]]
    return tyro.extras.subcommand_cli_from_dict(
        COMMANDS,
        prog="avatar3d",
        description="A personal 3D Gaussian head from a video or a photo.",
        args=arguments,
        config=(FlagCreatePairsOff,),
    )
