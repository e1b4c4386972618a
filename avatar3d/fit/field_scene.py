"""The fit of a field to a scene that stands still, seen by calibrated cameras: a static NeRF, no head in it."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from avatar3d import heads
from avatar3d.core import Avatar, AvatarError, Binding, Camera, Clip, Field, Gaussians, Pose
from avatar3d.fields import FieldSettings
from avatar3d.fields.network import added, fresh_condition, fresh_network, fresh_table, matter
from avatar3d.fields.occupancy import dilated
from avatar3d.fit import state
from avatar3d.fit.scene_space import Space, grown_mask, moved, space
from avatar3d.fit.train import Step
from avatar3d.ops import field as ops
from avatar3d.ops.field import Occupancy, Rays, Samples
from avatar3d.ops.optim import Adam

RATES = {"table": 1e-2, "network": 2e-3}
"""Learning rates; Instant-NGP's, or near them."""
_FINAL = 0.03  # share of their rates that the last step is done with
_MATTE = 0.1  # weight of alpha against the masks
_BEYOND = 0.2  # share of rays that may hit anything; the others hit what masks show, or its surroundings
_EDGE = 0.05  # of the picture's side, around masks
_WARM = 100  # steps in which rates rise
_LOOK_EVERY, _FORGETS = 16, 0.8  # steps; share of a cell's density that is left after a look
_UNSEEN, _EMPTY = 20.0, 3.0  # 1/metre: of a cell nobody has looked into; below it a cell counts as empty
_HIDDEN = 14.0  # optical depth in the cells' eyes behind which samples are left out: a millionth of the light
_NEAR = 0.02  # metres
_COARSE, _COARSE_UNTIL = 2.0, 0.1  # steps are longer in the first tenth, when nothing fine is known
_FOG, _CLEAR = -1.0, -2.0  # before softplus: the density to begin with


PRESETS = {"fast": 1500, "quality": 6000}
"""Steps by name."""


@dataclass(frozen=True)
class SceneOptions:
    """How a field is fitted to a scene."""

    steps: int = PRESETS["fast"]
    """Optimisation steps."""
    rays: int = 4096
    """Rays of a step, of all views."""
    max_views: int = 300
    """Most pictures kept in memory."""
    seed: int = 0
    """Seed of everything random."""
    checkpoint_every: int = 500
    """Steps between checkpoints, where a checkpoint file is asked for."""
    settings: FieldSettings = field(
        default_factory=lambda: FieldSettings(log2_rows=17, growth=1.6, step=0.002, condition="none")
    )
    """How the field is made."""

    def check(self) -> None:
        """Raises an `AvatarError` that names the first setting out of range."""
        for name in ("steps", "rays", "max_views", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise AvatarError(f"fit option {name} is {getattr(self, name)}: give 1 or more")
        if self.settings.condition != "none" or self.settings.covers != "all":
            raise AvatarError("a scene has no face to listen to: give condition 'none' and covers 'all'")


def fit_scene(
    clip: Clip,
    options: SceneOptions | None = None,
    checkpoint: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Avatar:
    """Returns a scene as an avatar without a head (`heads.load("scene")`) whose body is a field.

    Args:
        clip: From `capture.scene`: what it sets aside (`clip.held`) is not looked at.
        options: Settings.
        checkpoint: File to resume from if it exists and to keep while fitting; removed at the end.
        progress: Called after each step with (steps done, steps in all).

    Raises:
        AvatarError: See `capture.scene` and `scene_space.space`, or an option is out of range.
    """
    last = None
    for last in scene_steps(clip, options, checkpoint):
        if progress is not None:
            progress(last.index, last.total)
    if last is None:
        raise AvatarError("the fit had no steps left to do: delete its checkpoint to start anew")
    avatar = last.avatar()
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return avatar


def scene_steps(clip: Clip, options: SceneOptions | None = None, checkpoint: Path | None = None) -> Iterator[Step]:
    """Yields after each step of a fit; stop consuming it to interrupt. A resumed fit continues with the same bits."""
    options = options or SceneOptions()
    options.check()
    began = time.perf_counter()
    print_of = state.fingerprint(options=asdict(options), source=str(clip.source), frames=len(clip))
    fitting = _Fitting(clip, options)
    if checkpoint is not None and checkpoint.exists():
        state.resume(fitting.run, checkpoint, print_of)
        fitting.take_occupied()
    run = fitting.run
    while run.step < options.steps:
        value, psnr = fitting.step()
        if checkpoint is not None and run.step % options.checkpoint_every == 0 and run.step < options.steps:
            state.save(run, checkpoint, print_of)
        elapsed = time.perf_counter() - began
        yield Step(run.step, options.steps, value, psnr, elapsed, lambda: fitting.avatar(began))


@dataclass(frozen=True)
class Pictures:
    """Views of a scene in its own world, and which of their pixels are looked at."""

    images: UInt8[Tensor, "m h w 3"]
    masks: UInt8[Tensor, "m h w"] | None
    camera: Camera
    to_world: Float[Tensor, "m 3 3"]
    """From pixels (x, y, 1) to directions."""
    wanted: Int[Tensor, " p"]
    """Pixels of all views, counted through, that most rays go through."""

    def draw(self, count: int, seed: int) -> tuple[Rays, Tensor, Tensor | None]:
        """Returns rays, their colours and their masks; depends on the arguments alone."""
        random = torch.Generator().manual_seed(seed)
        far = round(count * _BEYOND) if len(self.wanted) else count
        near = torch.randint(max(1, len(self.wanted)), (count - far,), generator=random)
        every = torch.randint(self.images[..., 0].numel(), (far,), generator=random)
        index = torch.cat([self.wanted[near].long(), every]).sort().values
        h, w = self.images.shape[1:3]
        view, place = index // (h * w), index % (h * w)
        pixels = torch.stack([place % w + 0.5, place // w + 0.5, torch.ones(count)], -1)
        directions = torch.nn.functional.normalize((self.to_world[view] @ pixels[..., None])[..., 0], dim=-1)
        near_plane = torch.full((count,), _NEAR)
        rays = Rays(self.camera.position[view], directions, near_plane, torch.full_like(near_plane, 1e4))
        colour = self.images.reshape(-1, 3)[index].float() / 255
        return rays, colour, None if self.masks is None else self.masks.reshape(-1)[index].float() / 255


def pictures(clip: Clip, limit: int) -> tuple[Pictures, Space]:
    """Returns the training views of a scene, and its space."""
    assert clip.camera is not None
    use = [i for i in range(len(clip)) if clip.held is None or not clip.held[i]]
    if len(use) < 2:
        raise AvatarError(f"{clip.source}: {len(use)} views to fit to; a scene needs two or more")
    if len(use) > limit:
        use = [use[i] for i in np.linspace(0, len(use) - 1, limit).round().astype(int)]
    images = torch.from_numpy(np.stack([clip.frames[i] for i in use]))
    masks = None if clip.masks is None else torch.from_numpy(np.stack([clip.masks[i] for i in use]))
    given = clip.camera.at(use)
    found = space(given, masks)
    camera = moved(given, found.world)
    to_world = camera.w2c[:, :3, :3].mT @ torch.linalg.inv(camera.K)
    wanted = torch.zeros(0, dtype=torch.int32)
    if masks is not None:
        near = torch.stack([grown_mask(mask, _EDGE * max(masks.shape[1:])) for mask in masks])
        wanted = near.reshape(-1).nonzero()[:, 0].int()
    return Pictures(images, masks, camera, to_world, wanted), found


class _Fitting:
    """One fit at work."""

    def __init__(self, clip: Clip, options: SceneOptions) -> None:
        self.clip, self.options = clip, options
        still = Pose(torch.zeros(0), torch.zeros(0, 3), torch.eye(4))
        self.corners = heads.load("scene").vertices(torch.zeros(0), still)
        self.seen, self.space = pictures(clip, options.max_views)
        settings, random = options.settings, torch.Generator().manual_seed(options.seed)
        self.network = fresh_network(settings, random)
        # Within masks there is something; without them cameras must see through the box at first.
        self.network[-1][0] = _CLEAR if self.seen.masks is None else _FOG
        self.condition = fresh_condition(settings, 1, 0, random)
        values = {"table": fresh_table(settings, random)} | {f"network.{i}": x for i, x in enumerate(self.network)}
        learnt = {name: x.clone().requires_grad_() for name, x in values.items()}
        learnt["crowd"] = torch.where(self.space.occupied, _UNSEEN, 0.0)
        self.run = state.State(learnt, Adam(learnt, dict.fromkeys(learnt, 0.0), betas=(0.9, 0.99)))
        self.extra = added(self.condition, torch.zeros(0))
        self.take_occupied()

    def field(self) -> Field:
        """Returns the field as it is now."""
        p = self.run.parameters
        return Field(
            canonical=self.corners,
            parts=torch.ones(3, 1),
            box=self.space.box,
            occupied=self.occupancy.cells,
            table=p["table"],
            network=tuple(p[f"network.{i}"] for i in range(len(self.network))),
            condition=self.condition,
            settings=self.options.settings.as_json(),
        )

    def step(self) -> tuple[float, float]:
        """Does a step on rays of all views; returns its loss and PSNR."""
        run, options = self.run, self.options
        seed = options.seed * 1_000_003 + run.step
        rays, colour, matte = self.seen.draw(options.rays, seed)
        random = torch.Generator().manual_seed(seed + 500_009)
        step = options.settings.step * (_COARSE if run.step < _COARSE_UNTIL * options.steps else 1)
        samples = ops.march(rays, self.occupancy, step, torch.rand(options.rays, generator=random))
        samples = self._visible(rays, samples)
        points = rays.points(samples)
        shares, sight = torch.ones(len(points), 1), None
        if options.settings.view:
            sight = rays.directions.index_select(0, samples.ray)
        what = matter(self.field(), options.settings, points, shares, self.extra, sight)
        light = ops.composite(what.density, what.colour, samples)
        behind, target = torch.rand(options.rays, 3, generator=random), colour  # what is not known must be painted
        if matte is not None:
            target = colour * matte[:, None] + behind * (1 - matte[:, None])
        shown = light.rgb + (1 - light.alpha)[:, None] * behind
        value = (shown - target).square().mean()
        if matte is not None:
            value = value + _MATTE * (light.alpha - matte).square().mean()
        value.backward()
        self._advance()
        error = (shown.detach() - target).square().mean().item()
        return value.item(), -10 * math.log10(max(error, 1e-10))

    def _visible(self, rays: Rays, samples: Samples) -> Samples:
        """Returns the samples that the cells, as they were last looked into, do not hide."""
        places = self._cell(rays.points(samples))
        depth = (self.run.parameters["crowd"].reshape(-1)[places] * samples.dt).cumsum(0)
        before = torch.nn.functional.pad(depth, (1, 0))
        ahead = before[:-1] - before[samples.offsets[:-1]].index_select(0, samples.ray)
        return samples.kept(ahead < _HIDDEN)

    def _cell(self, points: Float[Tensor, "m 3"]) -> Int[Tensor, " m"]:
        """Returns the numbers of the cells that points lie in."""
        low, high = self.space.box
        nz, ny, nx = self.space.occupied.shape
        sizes = torch.tensor([nx, ny, nz])
        cell = ((points - low) * (sizes / (high - low))).long().clamp(min=torch.zeros_like(sizes), max=sizes - 1)
        return (cell[:, 2] * ny + cell[:, 1]) * nx + cell[:, 0]

    def _advance(self) -> None:
        """Does one step of the optimiser, and looks into the cells when it is time."""
        run = self.run
        warm = min(1.0, (run.step + 1) / min(_WARM, 1 + self.options.steps // 10))
        for name in run.parameters:
            rate = RATES.get(name.split(".")[0], 0.0)
            run.optimiser.rates[name] = rate * warm * _FINAL ** (run.step / self.options.steps)
        run.optimiser.step()
        run.optimiser.zero_grad()
        run.step += 1
        if run.step % _LOOK_EVERY == 0 and run.step >= 4 * _LOOK_EVERY:
            self._look_around()

    @torch.no_grad()
    def _look_around(self) -> None:
        """Looks into the cells at a point of each, and drops those that have long been empty."""
        index = self.occupancy.cells.nonzero()
        crowd, cells = self.run.parameters["crowd"], self.occupancy.cells
        random = torch.Generator().manual_seed(self.run.step)
        low, high = self.space.box
        size = (high - low) / torch.tensor(cells.shape[::-1])
        points = low + (index.flip(1) + torch.rand(len(index), 3, generator=random)) * size
        sight = None
        if self.options.settings.view:
            sight = torch.nn.functional.normalize(torch.randn(len(index), 3, generator=random), dim=-1)
        found = matter(self.field(), self.options.settings, points, torch.ones(len(points), 1), self.extra, sight)
        crowd[cells] = torch.maximum(crowd[cells] * _FORGETS, found.density)
        self.take_occupied()

    def take_occupied(self) -> None:
        """Takes the cells that hold something, and those that touch them, for the occupied ones."""
        cells = self.space.occupied & dilated(self.run.parameters["crowd"] > _EMPTY)
        self.occupancy = Occupancy(cells, self.space.box)

    @torch.no_grad()
    def avatar(self, began: float) -> Avatar:
        """Returns the scene as it is now."""
        first = self.seen.camera.at(0)
        about = {
            "source": self.clip.source.name,
            "body": "field",
            "frames": len(self.clip),
            "fitted": len(self.seen.images),
            "steps": self.run.step,
            "world": self.space.world.tolist(),
            "camera": {
                "K": first.K.tolist(),
                "w2c": first.w2c.tolist(),
                "width": first.width,
                "height": first.height,
            },
            "seconds": {"fit": round(time.perf_counter() - began, 2)},
        }
        empty = Gaussians(*(torch.zeros(0, *shape) for shape in ((3,), (4,), (3,), (), (1, 3))))
        binding = Binding(torch.zeros(0, dtype=torch.long), torch.zeros(0, 3))
        made = self.field().map(lambda x: x.detach().clone())
        return Avatar("scene", torch.zeros(0), empty, binding, about=about, field=made)
