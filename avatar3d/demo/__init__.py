"""`avatar3d demo`: a public-domain portrait and, if given, a clip of your own, as heads on one page."""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avatar3d import assets, pipeline, store
from avatar3d.core import AvatarError
from avatar3d.demo import page, pictures
from avatar3d.files import check_writable, write_text
from avatar3d.render.video import write_png, write_video

_ORBIT_DEGREES, _ORBIT_SECONDS, _FPS = 60.0, 4.0, 25.0
_PUBLIC_DOMAIN = {
    "consent": "NASA portrait of Eileen Collins; public domain",
    "licence": "public domain portrait; the avatar may be used freely",
}


@dataclass(frozen=True)
class _Source:
    """One input of the demo."""

    name: str
    """Start of the names of its files."""
    title: str
    path: Path
    hold_out: float
    about: Mapping[str, Any]


def demo(
    output: Path | str = Path("out/demo"),
    clip: Path | str | None = None,
    preset: str = "fast",
    progress: pipeline.Progress = pipeline.quiet,
) -> dict[str, Any]:
    """Fits the portrait and the clip and writes avatars, pictures, videos and `index.html` into a folder.

    Args:
        output: The folder.
        clip: A video or photo of your own.
        preset: Name of a fit preset, or a TOML file.
        progress: Called while it works.

    Returns:
        The path of the page and the numbers of each head: splats, seconds, and scores.

    Raises:
        AvatarError: The clip cannot be used, or the folder not be written.
    """
    output = Path(output)
    if output.exists() and not output.is_dir():
        raise AvatarError(f"{output}: is a file; give the name of a folder")
    check_writable(output / "index.html")
    sources = [_Source("portrait", "One photo", portrait(), 0.0, _PUBLIC_DOMAIN)]
    if clip is not None:
        if not Path(clip).exists():
            raise AvatarError(f"{clip}: no such file or folder; check the path")
        sources.append(_Source("clip", "Your clip", Path(clip), 0.2, {}))
    heads = [_one(source, output, preset, progress) for source in sources]
    write_text(output / "index.html", page.html(heads))
    return {"page": str(output / "index.html"), "heads": [head.numbers for head in heads]}


def portrait() -> Path:
    """Returns the public-domain portrait that scikit-image carries: of an installed copy, or fetched once."""
    found = importlib.util.find_spec("skimage")
    if found is not None and found.origin:
        installed = Path(found.origin).parent / "data" / "astronaut.png"
        if installed.is_file():
            return installed
    return assets.path("astronaut")


def _one(source: _Source, output: Path, preset: str, progress: pipeline.Progress) -> page.Shown:
    """Fits one source and writes its files."""

    def report(stage: str, done: int, total: int, note: str = "") -> None:
        progress(f"{source.name} {stage}", done, total, note)

    made = pipeline.make(source.path, preset, source.hold_out, dict(source.about), progress=report)
    avatar, clip = made.avatar, made.clip
    names = {kind: f"{source.name}_{kind}" for kind in ("orbit.mp4", "strip.png")}
    store.save(avatar, output / f"{source.name}.a3d")
    orbit = pictures.orbit(avatar, _ORBIT_DEGREES, round(_ORBIT_SECONDS * _FPS))
    count = round(_ORBIT_SECONDS * _FPS)
    write_video(output / names["orbit.mp4"], pictures.counted(orbit, count, lambda i: report("orbit", i, count)), _FPS)
    write_png(output / names["strip.png"], pictures.strip(avatar, clip))
    numbers: dict[str, Any] = {
        "name": source.name,
        "source": source.path.name,
        "frames": len(clip),
        "splats": len(avatar.gaussians),
        "megabytes": round((output / f"{source.name}.a3d").stat().st_size / 1e6, 1),
        "seconds": avatar.about["seconds"],
    }
    if len(clip) == 1:
        side = f"{source.name}_side.png"
        write_png(output / side, next(pictures.side_by_side(avatar, clip, made.track)))
        numbers["fitted_psnr"] = round(pictures.fitted_psnr(avatar, clip, made.track), 2)
    else:
        side = f"{source.name}_side.mp4"
        from avatar3d.capture import divide

        division = divide(clip, source.hold_out)
        solved = pipeline.retrack(avatar, clip, division.steps, report)
        pairs = pictures.side_by_side(avatar, clip, solved)
        pairs = pictures.counted(pairs, len(clip), lambda i: report("side by side", i, len(clip)))
        write_video(output / side, pairs, clip.fps, clip.audio, clip.rate)
        if division.held:
            numbers["score"] = pipeline.score_tracked(avatar, clip, solved, progress=report).as_json()
    return page.Shown(source.title, source.name, side, names["orbit.mp4"], names["strip.png"], numbers)
