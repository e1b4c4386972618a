"""Trains baselines in the harness of our own fits: the same frames, mattes, poses, backgrounds and corrections."""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from time import perf_counter
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from avatar3d import heads
from avatar3d.core import AvatarError, Clip, Gaussians, Motion, Pose, Track, first_of
from avatar3d.fit import corrections
from avatar3d.fit.corrections import Corrector, over_time
from avatar3d.fit.density import Evidence, densify
from avatar3d.fit.options import FOLDERS
from avatar3d.fit.recipes.flash_avatar import FlashAvatar
from avatar3d.fit.recipes.gaussian_avatars import GaussianAvatars
from avatar3d.fit.recipes.gaussian_blendshapes import GaussianBlendshapes
from avatar3d.fit.recipes.recipe import Body, Recipe
from avatar3d.fit.recipes.rgb_avatar import RgbAvatar
from avatar3d.fit.recipes.splatting_avatar import SplattingAvatar
from avatar3d.fit.state import RATES
from avatar3d.fit.views import Views, batch, draw, load
from avatar3d.ops import splat
from avatar3d.ops.optim import Adam

RECIPES: dict[str, type[Recipe]] = {
    "gaussian-avatars": GaussianAvatars,
    "flash-avatar": FlashAvatar,
    "splatting-avatar": SplattingAvatar,
    "gaussian-blendshapes": GaussianBlendshapes,
    "rgb-avatar": RgbAvatar,
}
"""The baselines by the name of their preset."""
_CORRECTED_FROM = 0.12  # share of the training, as in our own fits


@dataclass(frozen=True)
class RecipeOptions:
    """How a baseline is trained."""

    recipe: str = "gaussian-avatars"
    """Which one."""
    steps: int = 900
    """Optimisation steps, where no time is given."""
    seconds: float = 0.0
    """Time to train for: as many steps as fit in, the schedule spread over it. 0 for a fixed number of steps."""
    batch: int = 4
    """Frames a step."""
    splats: int = 30000
    """About how many splats to begin with, where the recipe lets one choose."""
    most_splats: int = 80000
    """Most splats that densification may make."""
    pace: float = 1.0
    """Multiplies the published learning rates, which are made for 30 000 to 600 000 steps."""
    coarse: float = 0.4
    """Share of the training done at half resolution."""
    refine_pose: bool = True
    """Correct the tracked poses a little while training, as our own fits do."""
    max_frames: int = 400
    """Most frames kept in memory."""
    seed: int = 0
    """Seed of everything random."""

    def check(self) -> None:
        """Raises an `AvatarError` that names the first setting out of range."""
        first_of(tuple(RECIPES), self.recipe)
        for name in ("steps", "batch", "splats", "most_splats", "max_frames"):
            if getattr(self, name) < 1:
                raise AvatarError(f"recipe option {name} is {getattr(self, name)}: give 1 or more")
        if not 0 <= self.coarse <= 1 or self.seconds < 0 or self.pace <= 0:
            raise AvatarError("recipe options: coarse is in [0, 1], seconds not negative, pace positive")


def recipe_preset(name: str, **changes: Any) -> RecipeOptions:
    """Returns the options of a baseline by the name of its preset (`configs/baselines/NAME.toml`).

    Raises:
        AvatarError: No such preset, or a key that is not an option.
    """
    first_of(tuple(RECIPES), name)
    path = next((p for f in FOLDERS if (p := f / "baselines" / f"{name}.toml").is_file()), None)
    values: dict[str, Any] = {"recipe": name}
    if path is not None:
        values |= tomllib.loads(path.read_text(encoding="utf-8"))
    known = [f.name for f in fields(RecipeOptions)]
    for key in values | changes:
        if key not in known:
            raise AvatarError(f"{path or name}: unknown option '{key}'; there are: {', '.join(known)}")
    options = replace(RecipeOptions(), **(values | changes))
    options.check()
    return options


@dataclass(frozen=True)
class Trained:
    """A trained baseline; `follow` and the benchmark pose it as they pose an avatar."""

    head: str
    identity: Float[Tensor, " s"]
    recipe: Recipe
    motion: Motion
    """The clip's, with the corrections of the training."""
    steps: int
    seconds: float

    def __len__(self) -> int:
        return len(self.recipe)

    def posed(self, vertices: Float[Tensor, "b v 3"], pose: Pose) -> Gaussians:
        return self.recipe.posed(vertices, pose)


def train(
    clip: Clip, track: Track, options: RecipeOptions, progress: Callable[[int, int], None] | None = None
) -> Trained:
    """Returns a baseline trained on a tracked clip.

    The number of steps depends on the machine where `options.seconds` is given; otherwise the result has the same bits
    everywhere.

    Args:
        clip: The training frames.
        track: Their poses.
        options: Settings, from `recipe_preset`.
        progress: Called with (percent done, 100).

    Raises:
        AvatarError: The track is not of this clip, no frame shows a face, or an option is out of range.
    """
    options.check()
    began = perf_counter()
    head = heads.load(track.head)
    views = load(clip, track, limit=options.max_frames)
    body = Body.of(head, track.identity, options.seed)
    recipe = RECIPES[options.recipe].begin(body, views, options.splats, options.pace)
    trainer = _Trainer(recipe, views, Corrector(head, track.identity), options)
    step, share = 0, 0.0
    while share < 1:
        trainer.step(step, share)
        step += 1
        share = (perf_counter() - began) / options.seconds if options.seconds > 0 else step / options.steps
        if progress is not None:
            progress(min(100, round(100 * share)), 100)
    recipe.share = 1.0
    for name, value in recipe.values.items():
        recipe.optimiser.values[name] = value.detach()
    return Trained(track.head, track.identity, recipe, trainer.motion(track.motion), step, perf_counter() - began)


class _Trainer:
    """One step after the other; holds the evidence for densification and the corrections of poses."""

    def __init__(self, recipe: Recipe, views: Views, corrector: Corrector, options: RecipeOptions) -> None:
        self.recipe, self.views, self.corrector, self.options = recipe, views, corrector, options
        self.change = corrections.begin(len(views.moments), corrector.width)
        for value in self.change.values():
            value.requires_grad_()
        self.optimiser = Adam(self.change, {name: RATES[name] for name in self.change}, betas=(0.9, 0.99))
        self.moves = options.refine_pose and len(views) > 1
        self.evidence, self.round = Evidence(len(recipe)), 0

    def step(self, step: int, share: float) -> None:
        recipe, body = self.recipe, self.recipe.body
        rows, background = draw(step, min(self.options.batch, len(self.views)), len(self.views), self.options.seed)
        now = batch(self.views, rows, background, shrink=2 if share < self.options.coarse else 1)
        pose, moment = self.views.pose[rows], self.views.moment(rows)
        moves = self.moves and share >= _CORRECTED_FROM
        if moves:
            pose = self.corrector.apply(pose, corrections.at(self.change, moment))
        vertices = body.head.vertices(body.identity.expand(len(rows), -1), pose)
        posed = recipe.posed(vertices, pose)
        watched = recipe.DENSITY is not None and share < recipe.DENSITY.last
        if watched:
            posed.means.retain_grad()
        render = splat.rasterize(posed, now.camera, background=background)
        loss = recipe.loss(render, now, vertices)
        if moves:
            loss = loss + self.corrector.pull(corrections.at(self.change, moment))
        loss.backward()
        if watched and posed.means.grad is not None:
            self.evidence.add(posed.means.detach(), posed.means.grad, now.camera)
        recipe.step(share)
        if moves:
            self.optimiser.rates.update({name: RATES[name] * 0.1**share for name in self.change})
            # The others stand still: Adam's momentum would carry them along.
            self.optimiser.step(skip=corrections.still(self.change, moment))
            self.optimiser.zero_grad()
        recipe.settle(step + 1)
        self._densify(posed, share)

    @torch.no_grad()
    def motion(self, tracked: Motion) -> Motion:
        """Returns the clip's motion with what the training learnt of it."""
        if not self.moves:
            return tracked
        moments = self.views.moments
        change = over_time(corrections.at(self.change, torch.arange(len(moments))), moments, len(tracked))
        return replace(tracked, pose=self.corrector.apply(tracked.pose, change))

    @torch.no_grad()
    def _densify(self, posed: Gaussians, share: float) -> None:
        plan = self.recipe.DENSITY
        if plan is None or self.round > plan.rounds:
            return
        due = plan.first + (plan.last - plan.first) * self.round / plan.rounds
        if share < due:
            return
        self.round += 1
        if self.round == 1:  # the first moment only starts the count
            self.evidence = Evidence(len(self.recipe))
            return
        change = densify(
            self.evidence.mean,
            posed.scales.detach().amax(-1).mean(0),
            posed.opacities.detach().mean(0),
            self.recipe.binding.face,
            plan.rule,
            (self.options.most_splats, self.options.seed + self.round),
        )
        self.recipe.change(change)
        self.evidence = Evidence(len(self.recipe))
