"""One fit of a field at work."""

import math
import time
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from avatar3d import fields
from avatar3d.core import Avatar, Binding, Camera, Clip, Field, Gaussians, HeadModel, Motion, Pose, Track
from avatar3d.fields import occupancy, parts, picture
from avatar3d.fit import corrections, field_aside, field_start, state
from avatar3d.fit.corrections import Corrector, over_time
from avatar3d.fit.field_options import FieldOptions
from avatar3d.fit.field_rays import Drawn, pixels
from avatar3d.fit.follow import with_soft
from avatar3d.fit.views import Views, draw
from avatar3d.ops import field as ops
from avatar3d.ops import splat
from avatar3d.ops.optim import Adam
from avatar3d.rig import pose as pose_splats

RATES = {"table": 1e-2, "network": 3e-3, "condition": 2e-3, "view": 0.03, "drift": 0.03}
"""Learning rates; those of the features and the network are Instant-NGP's, or near them."""
_FINAL = 0.05
"""Share of their rates that the last step is done with."""
_MATTE = 0.05  # weight of alpha against the matte
_CLOSE = 0.04  # sRGB: errors below it count by their square
_LISTENS_FROM, _CORRECTS_FROM = 0.05, 0.15  # shares of the fit: first the average face
_DEEP = 32  # samples of a ray at most: what lies farther behind the first cell is hardly ever seen
_MOVES = 2  # of so many steps one corrects its pose, too: that costs a third of the others
_ASIDE = 8  # of so many steps one looks at what no frame shows
_CROWD_EVERY, _CROWD_FROM = 24, 72  # steps
_FORGETS = 0.8  # of how much of a cell showed, from one look to the next
_UNSEEN = 0.03  # of cells nobody has looked into
_EMPTY = 0.008  # share of a ray's light: a cell of which less shows is dropped


@dataclass(frozen=True)
class Given:
    """What a fit begins with."""

    clip: Clip
    track: Track
    views: Views
    splats: Avatar | None
    """As a quick fit of them found the person."""

    def poses(self, head: HeadModel) -> Pose:
        """Returns the poses of all time steps, as well as they are known."""
        known = None if self.splats is None else self.splats.motion
        pose = with_soft(self.track.motion.pose if known is None else known.pose, head)
        return replace(pose, heard=self.track.motion.pose.heard)

    def corrected(self, head: HeadModel) -> Views:
        """Returns the views with those poses."""
        return replace(self.views, pose=self.poses(head)[self.views.step])


def fresh(whole: Field, head: HeadModel, given: Given) -> state.State:
    """Returns what the fit changes, before the first step."""
    values = {"table": whole.table}
    values |= {f"network.{i}": x for i, x in enumerate(whole.network)}
    values |= {f"condition.{i}": x for i, x in enumerate(whole.condition)}
    values |= corrections.begin(len(given.views.moments), Corrector(head, given.track.identity).width)
    values = {name: x.clone().requires_grad_() for name, x in values.items()}
    values["crowd"] = torch.where(whole.occupied, _UNSEEN, 0.0)
    return state.State(values, Adam(values, dict.fromkeys(values, 0.0), betas=(0.9, 0.99)))


class Fitting:
    """A fit: what it learns is in `run`, `body` has the cells that are occupied now."""

    def __init__(self, head: HeadModel, given: Given, run: state.State, options: FieldOptions, whole: Field) -> None:
        self.head, self.given, self.run, self.options, self.whole = head, given, run, options, whole
        self.identity, self.views = given.track.identity, given.corrected(head)
        self.corrector = Corrector(head, self.identity)
        self.pixels = pixels(head, self.identity, self.views, options.features)
        self.listening = parts.listening(head, options.settings)
        bald = options.settings.covers == "hair" and given.splats is not None
        self.skin = field_start.bald(given.splats, head) if bald and given.splats is not None else None
        self.body = self._occupied()

    def step(self) -> tuple[float, float]:
        """Does a step on rays of one view; returns its loss and PSNR."""
        run, options = self.run, self.options
        share, seed = run.step / options.steps, options.seed * 1_000_003 + run.step
        rows, _ = draw(run.step, 1, len(self.views), options.seed)
        row, moment = int(rows), self.views.moment(rows)
        change, tracked = corrections.at(run.parameters, moment), self.views.pose[rows]
        unseen = self.given.splats is not None and self.skin is None and run.step % _ASIDE == _ASIDE - 1
        moving = options.refine_pose and share >= _CORRECTS_FROM and self.skin is None and run.step % _MOVES == 0
        with torch.set_grad_enabled(moving):
            pose = replace(self.corrector.apply(tracked, change), heard=tracked.heard)[0]
        camera = self.views.camera.at(row)
        if unseen and self.given.splats is not None:
            pose = field_aside.aside(pose, seed)
            drawn = field_aside.shown(self.given.splats, self.head, pose, camera, options.rays, seed)
        else:
            drawn = self.pixels.draw(row, options.rays, seed)
        posed = fields.pose_field(self._learnt(), self.head, self.identity, pose)
        rays = picture.camera_rays(camera, drawn.places)
        jitter = torch.rand(len(drawn.matte), generator=torch.Generator().manual_seed(seed + 500_009))
        samples = ops.march(rays, posed.cells, options.settings.step, jitter, limit=_DEEP)
        found = picture.seen(posed, rays, samples, self._layer(pose, row, drawn))
        shown = found.rgb + (1 - found.alpha)[:, None] * drawn.background
        value = torch.nn.functional.smooth_l1_loss(shown, drawn.target, beta=_CLOSE)
        value = value + _MATTE * (found.alpha - drawn.matte).abs().mean()
        if moving:
            value = value + self.corrector.pull(change)
        value.backward()
        self._advance(share, moment, moving)
        self._look(found)
        error = (shown.detach() - drawn.target).square().mean().item()
        return value.item(), -10 * math.log10(max(error, 1e-10))

    @torch.no_grad()
    def _layer(self, pose: Pose, row: int, drawn: Drawn) -> picture.Layer | None:
        """Returns what the splats of a hybrid show at some pixels."""
        if self.skin is None:
            return None
        camera = self.views.camera.at(row)
        vertices = self.head.vertices(self.identity, pose)
        splats = pose_splats(self.skin.gaussians, self.skin.binding, self.skin.basis, vertices, self.head.faces, pose)
        return picture.Layer.of(splat.rasterize(splats, camera)).map(lambda x: x[drawn.index(camera.width)])

    def _learnt(self) -> fields.Prepared:
        """Returns the field as it is now."""
        p = self.run.parameters
        network = tuple(p[f"network.{i}"] for i in range(len(self.whole.network)))
        first, *others = (p[f"condition.{i}"] for i in range(len(self.whole.condition)))
        condition = (first * self.listening[:, None], *others)
        field = replace(self.body.field, table=p["table"], network=network, condition=condition)
        return replace(self.body, field=field)

    def _occupied(self) -> fields.Prepared:
        """Returns the field's shape with the cells that may hold something."""
        crowd = self.run.parameters["crowd"]
        kept = self.whole.occupied & occupancy.dilated(crowd > _EMPTY)
        return fields.prepared(replace(self.whole, occupied=kept), self.head)

    @torch.no_grad()
    def _look(self, found: picture.Seen) -> None:
        """Notes how much of each cell showed, and drops those that have long been empty or hidden."""
        step, crowd = self.run.step, self.run.parameters["crowd"]
        crowd.view(-1).scatter_reduce_(0, found.cell, found.weights, "amax")
        if step >= _CROWD_FROM and step % _CROWD_EVERY == 0:
            crowd *= _FORGETS
            self.body = self._occupied()

    def _advance(self, share: float, moment: Tensor, moving: bool) -> None:
        """Does one step of the optimiser."""
        run = self.run
        still = set() if share >= _LISTENS_FROM else {"condition"}
        still |= set() if moving else set(state.CORRECTED)
        for name in run.parameters:
            run.optimiser.rates[name] = RATES.get(name.split(".")[0], 0.0) * _FINAL**share
        held = [name for name in run.parameters if name.split(".")[0] in still]
        run.optimiser.step(held, corrections.still(run.parameters, moment))
        run.optimiser.zero_grad()
        run.step += 1

    @torch.no_grad()
    def avatar(self, began: float) -> Avatar:
        """Returns the avatar as it is now."""
        given, options = self.given, self.options
        camera: Camera = self.views.camera.at(0)
        about = {
            "source": given.clip.source.name,
            "body": "field" if self.skin is None else "hybrid",
            "frames": len(given.clip),
            "hold_out": options.hold_out,
            "fitted": len(self.views),
            "steps": self.run.step,
            "camera": {"K": camera.K.tolist(), "width": camera.width, "height": camera.height},
            "seconds": {"fit": round(time.perf_counter() - began, 2)},
        }
        field = self._learnt().field.map(lambda x: x.detach().clone())
        track = given.track
        gaussians, binding = no_splats() if self.skin is None else (self.skin.gaussians, self.skin.binding)
        basis = None if self.skin is None else self.skin.basis
        motion = self._motion()
        return Avatar(track.head, track.identity, gaussians, binding, basis, about=about, motion=motion, field=field)

    def _motion(self) -> Motion:
        """Returns the clip's motion with what the fit learnt of it."""
        moments, motion = self.views.moments, self.given.track.motion
        change = corrections.at(self.run.parameters, torch.arange(len(moments)))
        pose = self.given.poses(self.head)
        moved = self.corrector.apply(pose, over_time(change, moments, len(motion)))
        return replace(motion, pose=replace(moved, heard=pose.heard))


def no_splats() -> tuple[Gaussians, Binding]:
    """Returns what an avatar has in place of splats when its body is a field alone."""
    empty = Gaussians(*(torch.zeros(0, *shape) for shape in ((3,), (4,), (3,), (), (1, 3))))
    return empty, Binding(torch.zeros(0, dtype=torch.long), torch.zeros(0, 3))
