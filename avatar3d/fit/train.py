"""The fit itself: a generator of steps that the command line, viewers and tests consume."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from avatar3d import heads
from avatar3d.core import Avatar, AvatarError, Basis, Clip, Gaussians, HeadModel, Motion, Pose, Track
from avatar3d.fit import corrections, loss, state, unseen
from avatar3d.fit.corrections import Corrector, over_time
from avatar3d.fit.limits import Limits, limits
from avatar3d.fit.options import FitOptions
from avatar3d.fit.start import SH0, Start, beside, cosine, rest_pose, seen_in, spread, start
from avatar3d.fit.views import Views, batch, draw, load
from avatar3d.ops import splat
from avatar3d.rig import pose as pose_splats
from avatar3d.rig.steady import steady

_BASIS_BEGINS = 0.12  # share of the fit after which blendshapes and pose corrections join: first the average face
_PERCEIVED_FROM = 0.6  # share of the fit after which crops are compared by LPIPS: first everything finds its place
_SHOWS, _ROUNDS = 0.5, 3  # pixels' worth of a splat that was put back which a view must not show; looks at most


@dataclass(frozen=True)
class Step:
    """One step of a fit."""

    index: int
    """Steps done, this one included."""
    total: int
    loss: float
    psnr: float
    """Of this step's frames, dB."""
    seconds: float
    """Since the fit began (since it resumed, when it was)."""
    avatar: Callable[[], Avatar]
    """Makes the avatar as it is now."""


def fit(
    clip: Clip,
    track: Track,
    options: FitOptions | None = None,
    checkpoint: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Avatar:
    """Returns the avatar of the person in a tracked clip or photo.

    Args:
        clip: From `capture`.
        track: From `track` on that clip.
        options: Settings; see `FitOptions` and `preset`.
        checkpoint: File to resume from if it exists and to keep while fitting; removed at the end.
        progress: Called after each step with (steps done, steps in all).

    Raises:
        AvatarError: The track is not of this clip, no frame shows a face, or an option is out of range.
    """
    last = None
    for last in steps(clip, track, options, checkpoint):
        if progress is not None:
            progress(last.index, last.total)
    if last is None:
        raise AvatarError("the fit had no steps left to do: delete its checkpoint to start anew")
    avatar = last.avatar()
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return avatar


def steps(
    clip: Clip, track: Track, options: FitOptions | None = None, checkpoint: Path | None = None
) -> Iterator[Step]:
    """Yields after each step of a fit; stop consuming it to interrupt.

    A resumed fit continues with the same bits as one that was never interrupted. Arguments as for `fit`.
    """
    options = options or FitOptions()
    options.check()
    began = time.perf_counter()
    head = heads.load(track.head)
    views = load(clip, track, options.hold_out, options.max_frames)
    photo = len(views) == 1
    total = options.photo_steps if photo else options.steps
    size = min(options.batch, len(views))
    blendshapes = 0 if photo else options.blendshapes
    moving = options.refine_pose and not photo
    print_of = state.fingerprint(
        options=asdict(options), source=str(clip.source), frames=len(clip), identity=track.identity.sum().item()
    )
    if options.perceptual and not photo:
        loss.check_perceived()
    first = start(head, track.identity, views, options.splats, options.seed)
    corrector = Corrector(head, track.identity)
    corrected = (len(views.moments), corrector.width) if moving else None
    run = state.begin(first.gaussians, head, blendshapes, corrected, options.seed)
    if checkpoint is not None and checkpoint.exists():
        state.resume(run, checkpoint, print_of)
    fitting = _Fitting(
        head, track, views, corrector, first, limits(first, photo), run, options, loss.feature_vertices(head), total
    )
    while run.step < total:
        rows, background = draw(run.step, size, len(views), options.seed)
        value, psnr = fitting.step(rows, background)
        if checkpoint is not None and (run.step % options.checkpoint_every == 0) and run.step < total:
            state.save(run, checkpoint, print_of)
        elapsed = time.perf_counter() - began
        yield Step(run.step, total, value, psnr, elapsed, lambda: fitting.avatar(clip, began))


@dataclass(frozen=True)
class _Fitting:
    """Everything one fit needs at hand. Only `run` changes."""

    head: HeadModel
    track: Track
    views: Views
    corrector: Corrector
    first: Start
    limits: Limits
    run: state.State
    options: FitOptions
    features: list[Tensor]
    """Vertex ids of the mouth and the eyes."""
    total: int

    def step(self, rows: Tensor, background: Tensor) -> tuple[float, float]:
        """Does a step on views over backgrounds; returns its loss and PSNR."""
        run, share = self.run, self.run.step / self.total
        warm = share >= _BASIS_BEGINS
        now = batch(self.views, rows, background, shrink=2 if share < self.options.coarse else 1)
        moment = self.views.moment(rows)
        pose = self._pose(rows) if warm else self.views.pose[rows]
        moving = warm and "view" in run.parameters
        with torch.set_grad_enabled(moving):
            vertices = self.head.vertices(self.track.identity.expand(len(rows), -1), pose)
        basis = run.basis if warm else None
        posed = pose_splats(run.gaussians, self.first.binding, basis, vertices, self.head.faces, pose)
        render = splat.rasterize(posed, now.camera, background=background)
        weight = loss.feature_weights(vertices.detach(), self.features, now.camera, self.options.features)
        value = loss.picture(render, now, weight, self.options.ssim)
        begun = self.first.gaussians
        anchor = loss.Anchor(begun.means, begun.log_scales, begun.sh)
        value = value + loss.regularise(run.gaussians, anchor)
        if moving:
            value = value + self.corrector.pull(corrections.at(run.parameters, moment))
        if self.options.perceptual and share >= _PERCEIVED_FROM and len(self.views) > 1:
            value = value + self.options.perceptual * loss.perceived(render, now, run.step)
        value.backward()
        self._still()
        held = frozenset() if warm else frozenset({"basis", "network", *state.CORRECTED})
        run.advance(share, moment, held, self.options.pace if len(self.views) > 1 else 1.0)
        with torch.no_grad():
            self.limits.hold(run.parameters)
            error = (render.rgb.clamp(0, 1) - now.target).square().mean()
        return value.item(), -10 * math.log10(max(error.item(), 1e-10))

    def _still(self) -> None:
        """Leaves clothes out of the blendshapes: what follows a smile by chance falls apart in the next pose."""
        clothes = torch.nonzero(self.first.part == unseen.CLOTHES)[:, 0]
        for name, x in self.run.parameters.items():
            if name.startswith("basis.") and x.grad is not None:
                x.grad.index_fill_(1, clothes, 0.0)

    def _pose(self, rows: Tensor) -> Pose:
        """Returns the tracked poses with their corrections."""
        tracked = self.views.pose[rows]
        if "view" not in self.run.parameters:
            return tracked
        return self.corrector.apply(tracked, corrections.at(self.run.parameters, self.views.moment(rows)))

    def _motion(self) -> Motion:
        """Returns the clip's motion with what the fit learnt of it."""
        motion, moments = self.track.motion, self.views.moments
        if "view" not in self.run.parameters:
            return motion
        change = corrections.at(self.run.parameters, torch.arange(len(moments)))
        pose = self.corrector.apply(motion.pose, over_time(change, moments, len(motion)))
        return replace(motion, pose=pose)

    @torch.no_grad()
    def avatar(self, clip: Clip, began: float) -> Avatar:
        """Returns the avatar as it is now, with what no frame showed made up."""
        gaussians, basis = self._completed()
        motion = self._motion()
        about = {
            "source": clip.source.name,
            "frames": len(clip),
            "hold_out": self.options.hold_out,
            "fitted": len(self.views),
            "steps": self.run.step,
            "camera": {
                "K": self.views.camera.at(0).K.tolist(),
                "width": self.views.camera.width,
                "height": self.views.camera.height,
            },
            "seconds": {"fit": round(time.perf_counter() - began, 2)},
        }
        return Avatar(
            self.track.head,
            self.track.identity,
            gaussians,
            self.first.binding,
            None if basis is None else steady(basis, motion.pose),
            about=about,
            motion=motion,
        )

    def _completed(self) -> tuple[Gaussians, Basis | None]:
        """Returns the splats, those that no view showed put back to where they began and given made-up colours."""
        run, head, first = self.run, self.head, self.first
        now = run.gaussians.map(lambda x: x.detach())
        basis = run.basis
        basis = None if basis is None else basis.map(lambda x: x.detach().clone())
        known = self._known(now, basis)
        gaussians, shapes = self._put_back(now, basis, known)
        for _ in range(_ROUNDS):
            # What hid them has moved or shrunk since: those that show now keep what the fit made of them.
            back = (known < 1) & (self._shown(gaussians, shapes) > _SHOWS)
            if not back.any():
                break
            known = torch.where(back, 1.0, known)
            gaussians, shapes = self._put_back(now, basis, known)
        rest = rest_pose(head)
        points = pose_splats(now, first.binding, None, head.vertices(self.track.identity, rest), head.faces, rest).means
        default = unseen.default_colours(head, first.binding)
        own = now.sh[:, 0] * SH0 + 0.5
        marked = unseen.marked(head, first.binding)
        made_up = unseen.fill(own, known > 0.5, points, first.part, default, marked)
        sh = (own.lerp(made_up, 1 - known[:, None]) - 0.5) / SH0
        return replace(gaussians, sh=torch.cat([sh[:, None], now.sh[:, 1:]], dim=1)), shapes

    def _put_back(self, now: Gaussians, basis: Basis | None, known: Tensor) -> tuple[Gaussians, Basis | None]:
        """Returns the splats between where they began (known 0) and where they are (1)."""
        begun, share = self.first.gaussians, known[:, None]
        gaussians = Gaussians(
            begun.means.lerp(now.means, share),
            begun.quats.lerp(now.quats, share),
            begun.log_scales.lerp(now.log_scales, share),
            begun.logits.lerp(now.logits, known),
            now.sh,
        )
        if basis is not None:
            basis = Basis(basis.means * share, basis.quats * share, basis.sh * share, basis.weights)
        return gaussians, basis

    def _shown(self, gaussians: Gaussians, basis: Basis | None) -> Tensor:
        """Returns how many pixels' worth of each splat the view that shows most of it shows."""
        shown = torch.zeros(len(gaussians))
        for row in spread(self.views, 16).tolist():
            pose = self._pose(torch.tensor([row]))[0]
            vertices = self.head.vertices(self.track.identity, pose)
            posed = pose_splats(gaussians, self.first.binding, basis, vertices, self.head.faces, pose)
            render = splat.rasterize(posed, self.views.camera.at(row), contribution=True)
            shown = torch.maximum(shown, render.aux["contribution"])
        return shown

    def _known(self, gaussians: Gaussians, basis: Basis | None) -> Tensor:
        """Returns how well each splat was seen: 0 never, 1 in plain view of at least one frame.

        As the splats began, or as they are now. One that began where a frame shows the background is known not to be.
        """
        shown, facing = torch.zeros(len(gaussians)), torch.zeros(len(gaussians))
        for row in spread(self.views, 16).tolist():
            pose = self._pose(torch.tensor([row]))[0]
            vertices = self.head.vertices(self.track.identity, pose)
            for splats, shapes in ((self.first.gaussians, None), (gaussians, basis)):
                posed = pose_splats(splats, self.first.binding, shapes, vertices, self.head.faces, pose)
                seen = seen_in(posed, self.views, row)
                shown = torch.maximum(shown, torch.maximum(seen.share, seen.pixels * unseen.PLAIN))
                if splats is self.first.gaussians:
                    shown[beside(posed, self.views, row)] = 1.0
                else:
                    slant = cosine(posed, vertices, self.head, self.first.binding, self.views.camera.at(row))
                    facing = torch.where(seen.share > unseen.PLAIN, torch.maximum(facing, slant), facing)
        return unseen.known(shown, facing, self.first.part == unseen.SKIN, photo=len(self.views) == 1)
