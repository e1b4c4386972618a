"""The fit of a field: a generator of steps, as that of splats, which it begins with."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

from avatar3d import heads, store
from avatar3d.core import Avatar, AvatarError, Clip, Track
from avatar3d.fit import field_start, state
from avatar3d.fit.field_options import FieldOptions
from avatar3d.fit.field_sound import listened
from avatar3d.fit.field_steps import Fitting, Given, fresh
from avatar3d.fit.options import FitOptions
from avatar3d.fit.train import Step, steps
from avatar3d.fit.views import load


def fit_field(
    clip: Clip,
    track: Track,
    options: FieldOptions | None = None,
    checkpoint: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Avatar:
    """Returns an avatar whose body is a field, or (a hybrid) splats with hair of a field.

    Args:
        clip: From `capture`.
        track: From `track` on that clip.
        options: Settings.
        checkpoint: File to resume from if it exists and to keep while fitting; removed at the end.
        progress: Called after each step with (steps done, steps in all).

    Raises:
        AvatarError: The track is not of this clip, no frame shows a face, or an option is out of range.
    """
    last = None
    for last in field_steps(clip, track, options, checkpoint):
        if progress is not None:
            progress(last.index, last.total)
    if last is None:
        raise AvatarError("the fit had no steps left to do: delete its checkpoint to start anew")
    avatar = last.avatar()
    if checkpoint is not None:
        drop(checkpoint)
    return avatar


def drop(checkpoint: Path) -> None:
    """Removes a checkpoint of a field's fit."""
    for path in (checkpoint, _beside(checkpoint)):
        path.unlink(missing_ok=True)


def field_steps(
    clip: Clip, track: Track, options: FieldOptions | None = None, checkpoint: Path | None = None
) -> Iterator[Step]:
    """Yields after each step of a fit; stop consuming it to interrupt.

    A quick fit of splats comes first: whole pictures correct the tracked poses much sooner than rays of a field do. A
    resumed fit continues with the same bits as one that was never interrupted.
    """
    options = options or FieldOptions()
    options.check()
    began = time.perf_counter()
    head = heads.load(track.head)
    asked = {"options": asdict(options), "source": str(clip.source), "frames": len(clip)}
    print_of = state.fingerprint(**asked, identity=track.identity.sum().item())
    track = listened(clip, track, options.settings)
    views = load(clip, track, options.hold_out, options.max_frames)
    first = options.scaffold if len(views) > 1 else 0
    total, splats = first + options.steps, None
    if first:
        splats = _kept(checkpoint, print_of)
        if splats is None:
            for step in steps(clip, track, _quick(options)):
                yield replace(step, total=total, seconds=time.perf_counter() - began)
                splats = step.avatar if step.index == step.total else None
            splats = splats() if splats is not None else None
            _keep(splats, checkpoint, print_of)
    given = Given(clip, track, views, splats)
    whole = field_start.begin(head, given.corrected(head), options.settings, options.seed, track.identity, splats)
    run = fresh(whole, head, given)
    if checkpoint is not None and checkpoint.exists():
        state.resume(run, checkpoint, print_of)
    fitting = Fitting(head, given, run, options, whole)
    while run.step < options.steps:
        value, psnr = fitting.step()
        if checkpoint is not None and run.step % options.checkpoint_every == 0 and run.step < options.steps:
            state.save(run, checkpoint, print_of)
        elapsed = time.perf_counter() - began
        yield Step(first + run.step, total, value, psnr, elapsed, lambda: fitting.avatar(began))


def _quick(options: FieldOptions) -> FitOptions:
    same = {name: getattr(options, name) for name in ("splats", "hold_out", "max_frames", "seed")}
    return FitOptions(steps=options.scaffold, **same)


def _beside(checkpoint: Path) -> Path:
    return checkpoint.with_name(checkpoint.name + "-splats")


def _kept(checkpoint: Path | None, print_of: str) -> Avatar | None:
    """Returns the splats that an interrupted fit began with."""
    if checkpoint is None or not _beside(checkpoint).exists():
        return None
    avatar = store.load(_beside(checkpoint))
    return avatar if avatar.about.get("for") == print_of else None


def _keep(avatar: Avatar | None, checkpoint: Path | None, print_of: str) -> None:
    if avatar is not None and checkpoint is not None:
        store.save(replace(avatar, about={**avatar.about, "for": print_of}), _beside(checkpoint))
