"""What is compared: an avatar of our own or a trained baseline, posed and drawn by the same calls."""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from jaxtyping import UInt8

from avatar3d import heads, store
from avatar3d.core import Avatar, AvatarError, Camera, Clip, Gaussians, Pose, Track
from avatar3d.files import write_bytes
from avatar3d.fit import fit, preset
from avatar3d.fit.recipes import RECIPES, Trained, recipe_preset, train
from avatar3d.ops import splat
from avatar3d.render.image import quantise, world_splats

_TIMED = 30  # frames drawn to measure the speed


@dataclass(frozen=True)
class Model:
    """A fitted preset."""

    what: Avatar | Trained
    steps: int
    seconds: float

    @property
    def splats(self) -> int:
        return len(self.what.gaussians) if isinstance(self.what, Avatar) else len(self.what)


def is_baseline(name: str) -> bool:
    """Returns whether a preset is one of the published recipes."""
    return name in RECIPES


def check_presets(names: tuple[str, ...]) -> None:
    """Raises an `AvatarError` if a preset does not exist, before any long work."""
    if not names:
        raise AvatarError("bench fit: no presets; give --presets quality,fast,gaussian-avatars")
    for name in names:
        if is_baseline(name):
            recipe_preset(name)
            continue
        try:
            preset(name)
        except AvatarError as error:
            raise AvatarError(f"{error}, {', '.join(RECIPES)}") from error


def fitted(
    name: str, clip: Clip, track: Track, budget: tuple[float, float], progress: Callable[[int, int], None]
) -> Model:
    """Returns a preset fitted to a tracked clip.

    Args:
        name: Of one of our presets or of a baseline.
        clip: Training frames.
        track: Their poses.
        budget: The share of its steps that one of our own presets does, and the seconds that a baseline may take.
        progress: Called with (done, total).
    """
    share, seconds = budget
    if is_baseline(name):
        trained = train(clip, track, recipe_preset(name, seconds=seconds), progress)
        return Model(trained, trained.steps, trained.seconds)
    began = time.perf_counter()
    options = preset(name)
    options = replace(options, steps=max(1, round(options.steps * share)))
    avatar = fit(clip, track, options, progress=progress)
    return Model(avatar, options.steps, time.perf_counter() - began)


def write(model: Model, folder: Path) -> int:
    """Writes a model and returns its size in bytes."""
    if isinstance(model.what, Avatar):
        path = folder / "model.a3d"
        # As it is shipped, but without the motion, which baselines do not carry either.
        store.save(replace(model.what, motion=None), path)
    else:
        path = folder / "model.safetensors"
        tensors = {name: x.contiguous() for name, x in model.what.recipe.tensors().items()}
        write_bytes(path, safetensors.torch.save(tensors))
    return path.stat().st_size


@torch.no_grad()
def splats(model: Model, pose: Pose) -> Gaussians:
    """Returns the splats in the world for each pose of a batch."""
    what = model.what
    if isinstance(what, Avatar):
        return world_splats(what, pose)
    identity = what.identity.expand(len(pose.expression), -1)
    return what.posed(heads.load(what.head).vertices(identity, pose), pose)


def pictures(model: Model, pose: Pose, camera: Camera) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Yields a sequence on white, one camera for all frames or one for each."""
    white = torch.ones(3)
    for i in range(len(pose.expression)):
        one = splats(model, pose[i : i + 1]).map(lambda x: x[0])
        with torch.no_grad():
            yield quantise(splat.rasterize(one, camera.at(i), white).rgb)


def frames_per_second(model: Model, pose: Pose, camera: Camera) -> float:
    """Returns how many frames a second are posed and drawn, by the median of thirty."""
    times, white = [], torch.ones(3)
    for i in range(_TIMED + 3):
        began = time.perf_counter()
        row = i % len(pose.expression)
        one = splats(model, pose[row : row + 1]).map(lambda x: x[0])
        with torch.no_grad():
            splat.rasterize(one, camera.at(row), white)
        times.append(time.perf_counter() - began)
    return 1 / statistics.median(times[3:])
