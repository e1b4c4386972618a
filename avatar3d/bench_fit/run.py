"""Runs the benchmark: each clip is captured and tracked once, each preset fitted and scored on frames nobody saw."""

import json
import logging
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avatar3d import __version__, heads
from avatar3d.bench_fit import models, page
from avatar3d.bench_fit.kept import kept_clip, kept_track, read_json
from avatar3d.core import Avatar, AvatarError, Camera, Clip, Motion, Pose, Track
from avatar3d.files import check_writable, write_text
from avatar3d.geometry import orbit
from avatar3d.pipeline import Progress, quiet, retrack, stage, training_frames
from avatar3d.render.video import write_png
from avatar3d.score import ms_ssim, score_frames
from avatar3d.score.fit import Truth

_log = logging.getLogger(__name__)

_MEDIA = (".mp4", ".mov", ".webm", ".mkv", ".avi", ".m4v")
_SIDES = (-60.0, -30.0, 0.0, 30.0, 60.0)
"""Degrees around the head at rest that the page shows."""
_SHOWN = 3
"""Held-out frames that the page shows."""
_SIDE = 320


@dataclass(frozen=True)
class BenchOptions:
    """How the benchmark is run."""

    hold_out: float = 0.2
    """Share of each clip's last frames that neither track nor fit sees."""
    share: float = 1.0
    """Part of their steps that our own presets do: 0.3 for a quick run, which is then as fair but lower."""
    seconds: float = 0.0
    """Training time of each baseline; 0 for as long as the slowest of our own presets took on that clip."""
    frames: int = 0
    """Most held-out frames scored, spread evenly; 0 for all."""

    def check(self) -> None:
        """Raises an `AvatarError` that names the first setting out of range."""
        training_frames(2, self.hold_out)
        if self.hold_out <= 0:
            raise AvatarError("--hold-out 0: without held-out frames there is nothing to score; give 0.2")
        if not 0 < self.share <= 1:
            raise AvatarError(
                f"--share {self.share:g}: give the part of our presets' steps to do, above 0 and at most 1"
            )
        if self.seconds < 0 or self.frames < 0:
            raise AvatarError("--seconds and --frames must not be negative")


@dataclass(frozen=True)
class _Clip:
    """A clip ready to be fitted to and scored on."""

    name: str
    whole: Clip
    train: Clip
    track: Track
    """Of the training frames."""
    all: Track
    """Of all frames by landmarks, with the identity and focal length of the training frames."""
    held: tuple[int, ...]
    """Held-out frames that are scored."""
    views: bool
    """Whether they are other views of moments that are fitted to: then their poses are known."""
    folder: Path


def bench_fit(
    clips: Sequence[Path],
    presets: Sequence[str],
    out: Path,
    options: BenchOptions = BenchOptions(),
    progress: Progress = quiet,
) -> dict[str, Any]:
    """Fits each preset to each clip, scores them and writes `results.json`, `table.md` and `index.html`.

    What is done already is taken from `out`: an interrupted run goes on when it is called again. A preset that fails on
    a clip becomes a line that says why, and is tried again the next time. Our own presets come first: their time is
    what baselines get.

    Args:
        clips: Media files, or folders of them.
        presets: Names of our presets, TOML files of one's own, and baselines (`avatar3d.fit.recipes.RECIPES`).
        out: Folder for results, captures, models and pictures.
        options: Settings.
        progress: Called while it works.

    Raises:
        AvatarError: A preset or clip does not exist, or `out` cannot be written.
    """
    options.check()
    names = tuple(sorted(dict.fromkeys(presets), key=models.is_baseline))
    models.check_presets(names)
    sources = _sources(clips)
    check_writable(out / "results.json")
    results: dict[str, dict[str, Any]] = {}
    for source, name in zip(sources, _unique(sources), strict=True):
        results[name] = {}
        try:
            ready = _prepared(source, name, out / name, options, progress)
        except Exception as error:
            results[name] = {Path(preset).name: _failure(error, name) for preset in names}
            continue
        for preset in names:
            budget = options.share, options.seconds or _own_time(results[name])
            results[name][Path(preset).name] = _result(ready, preset, budget, progress)
            _write(out, results, options)
    return _write(out, results, options)


def _prepared(source: Path, name: str, folder: Path, options: BenchOptions, progress: Progress) -> _Clip:
    from avatar3d.capture import divide, select

    clip = kept_clip(source, folder, progress)
    if clip.masks is None or clip.landmarks is None:
        raise AvatarError(f"{source}: captured without matte or landmarks; both are needed to score")
    aside = clip.held is not None and bool(clip.held.any())
    division = divide(clip, 0.0 if aside else options.hold_out)
    first, last = np.array(division.train), np.array(division.held)
    mark = "aside" if aside else f"{len(first)}"
    if not len(last):
        raise AvatarError(f"{source}: no held-out frames; give a longer clip")
    train = select(clip, first.tolist())
    track = kept_track(train, folder / f"train-{mark}.a3d", None, progress)
    every = kept_track(clip, folder / f"all-{mark}.a3d", track, progress)
    if options.frames and len(last) > options.frames:
        last = last[np.linspace(0, len(last) - 1, options.frames).round().astype(int)]
    views = set(clip.steps[first].tolist()) == set(clip.steps.tolist())
    return _Clip(name, clip, train, track, every, tuple(last.tolist()), views, folder)


def _result(clip: _Clip, name: str, budget: tuple[float, float], progress: Progress) -> dict[str, Any]:
    """Returns the figures of a preset on a clip: those of an earlier run that asked for the same, or new ones."""
    folder = clip.folder / Path(name).name  # a preset may be a TOML file
    asked = {"version": __version__, "share": budget[0], "held": list(clip.held)}
    if models.is_baseline(name):
        asked |= {"seconds": round(budget[1], 1), "share": None}
    known = read_json(folder / "result.json")
    if known is not None and known.get("asked") == asked:
        return known
    try:
        model = models.fitted(name, clip.train, clip.track, budget, stage(progress, f"{clip.name} {name}"))
        result = {"asked": asked, **_scored(clip, model, folder, progress)}
    except Exception as error:
        return _failure(error, f"{clip.name}, {name}")
    text = json.dumps(result, indent=1)
    write_text(folder / "result.json", text)
    return json.loads(text)  # the same value as when it is read again


def _failure(error: Exception, where: str) -> dict[str, Any]:
    """Returns the line of what failed. Bugs are kept apart from the other presets too, with their traceback logged."""
    said = str(error) if isinstance(error, AvatarError) else f"{type(error).__name__}: {error}"
    _log.warning("%s failed: %s", where, said)
    if not isinstance(error, AvatarError):
        _log.info("%s", traceback.format_exc())
    return {"error": " ".join(said.split())}


def _scored(clip: _Clip, model: models.Model, folder: Path, progress: Progress) -> dict[str, Any]:
    """Returns the figures of a model and writes its pictures.

    Poses of the held-out frames come from landmarks, then from the model's own picture, found alike for all; where
    other views of the same moments were fitted to, they are those that the fit found.
    """
    from avatar3d.capture import select
    from avatar3d.fit import follow

    track = clip.all
    if isinstance(model.what, Avatar) and not torch.equal(model.what.identity, clip.track.identity):
        track = retrack(model.what, clip.whole, len(clip.whole), progress)
    part, chosen = select(clip.whole, list(clip.held)), _chosen(clip, track)
    if clip.views:
        found = _chosen(clip, replace(track, motion=model.what.motion or track.motion))
    else:
        found = follow(model.what, part, chosen, progress=stage(progress, "follow"))
    picture = _score(clip, model, found, folder)
    landmarks = _score(clip, model, chosen, None)
    poses = chosen.motion.pose
    steps = torch.from_numpy(part.steps)
    _sides(model, folder)
    return {
        **picture,
        "landmarks": {key: landmarks[key] for key in ("psnr", "ssim", "lpips", "face")},
        "splats": model.splats,
        "megabytes": models.write(model, folder) / 1e6,
        "seconds": model.seconds,
        "steps": model.steps,
        "steps_per_second": model.steps / model.seconds,
        "fps": models.frames_per_second(model, poses[steps], chosen.camera),
    }


def _chosen(clip: _Clip, track: Track) -> Track:
    """Returns the track of the held-out frames alone."""
    rows = torch.tensor(clip.held)
    steps = torch.from_numpy(clip.whole.steps[list(clip.held)])
    moments = steps.unique()
    motion = Motion(track.motion.pose[moments], track.motion.fps, track.motion.names)
    return replace(track, motion=motion, camera=track.camera.at(rows), quality=track.quality[moments])


def _score(clip: _Clip, model: models.Model, track: Track, folder: Path | None) -> dict[str, Any]:
    """Returns the scores of a model on the held-out frames, and writes some of its pictures into `folder`."""
    multi: list[float] = []
    steps = clip.whole.steps[list(clip.held)]
    poses = track.motion.pose[torch.from_numpy(np.unique(steps, return_inverse=True)[1])]
    shown = set(np.linspace(0, len(clip.held) - 1, _SHOWN).round().astype(int).tolist())
    masks, landmarks = clip.whole.masks, clip.whole.landmarks
    assert masks is not None and landmarks is not None

    def pairs() -> Iterator[tuple[Truth, np.ndarray]]:
        for nth, picture in enumerate(models.pictures(model, poses, track.camera)):
            frame = clip.held[nth]
            truth = Truth(np.asarray(clip.whole.frames[frame]), np.asarray(masks[frame]), landmarks[frame])
            if min(picture.shape[:2]) >= 11 * 16:
                multi.append(
                    ms_ssim(*(torch.from_numpy(x.astype(np.float32)) / 255 for x in (picture, truth.on_white)))
                )
            if folder is not None and nth in shown:
                write_png(folder / f"{frame:05d}.png", picture)
                write_png(clip.folder / "truth" / f"{frame:05d}.png", truth.on_white)
            yield truth, picture

    score = score_frames(pairs()).as_json()
    score.pop("seconds")
    return {
        **score,
        "ms_ssim": float(np.mean(multi)) if multi else None,
        "shown": sorted(clip.held[nth] for nth in shown),
    }


def _sides(model: models.Model, folder: Path) -> None:
    """Writes pictures of the head at rest from the front and both sides."""
    head = heads.load(model.what.head)
    count = len(_SIDES)
    pose = Pose(
        torch.zeros(count, len(head.expressions)),
        torch.zeros(count, len(head.joints), 3),
        torch.eye(4).expand(count, 4, 4),
    )
    camera: Camera = orbit(torch.deg2rad(torch.tensor(_SIDES)), distance=0.9, size=(_SIDE, _SIDE))
    for yaw, picture in zip(_SIDES, models.pictures(model, pose, camera), strict=True):
        write_png(folder / f"side_{yaw:+03.0f}.png", picture)


def _own_time(results: Mapping[str, Any]) -> float:
    """Returns the longest training of one of our presets on this clip; a minute where none was run."""
    own = [r["seconds"] for name, r in results.items() if not models.is_baseline(name) and "seconds" in r]
    return max(own, default=60.0)


def _write(out: Path, results: Mapping[str, Mapping[str, Any]], options: BenchOptions) -> dict[str, Any]:
    """Writes what is known so far, and returns it."""
    summary = {
        "made_with": f"avatar3d {__version__}",
        "options": vars(options),
        "clips": results,
        "means": page.means(results),
        "table": str(out / "table.md"),
        "page": str(out / "index.html"),
    }
    write_text(out / "results.json", json.dumps(summary, indent=1))
    write_text(out / "table.md", page.markdown(results))
    write_text(out / "index.html", page.html(results, out))
    return summary


def _sources(clips: Sequence[Path]) -> list[Path]:
    """Returns the media files named, and those in the folders named."""
    found: list[Path] = []
    for path in clips:
        if not path.exists():
            raise AvatarError(f"{path}: no such file or folder; give clips, or a folder of them")
        inside = sorted(p for p in path.iterdir() if p.suffix.lower() in _MEDIA) if path.is_dir() else []
        # A folder without media is a capture of its own: pictures, or calibrated views.
        found += inside or [path]
    if not found:
        raise AvatarError("bench fit: no clips; give --clips FILE or FOLDER")
    return found


def _unique(sources: Sequence[Path]) -> list[str]:
    """Returns a name for each source, numbered where two are alike."""
    names: list[str] = []
    for source in sources:
        name = source.stem if source.is_file() else source.name
        again = sum(n == name or n.startswith(f"{name}~") for n in names)
        names.append(f"{name}~{again + 1}" if again else name)
    return names
