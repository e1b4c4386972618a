"""Photometric tracking with a field: poses refined until rays of the avatar see what the frame shows."""

from dataclasses import replace

import torch
from torch import Tensor

from avatar3d import fields, heads
from avatar3d.core import Avatar, HeadModel, Pose
from avatar3d.fields import picture
from avatar3d.fit.corrections import Corrector
from avatar3d.fit.field_rays import Drawn, Pixels, pixels
from avatar3d.fit.views import Views
from avatar3d.ops import field as ops
from avatar3d.ops import splat
from avatar3d.rig import pose as pose_splats

RAYS = 1024
"""Of a step and a picture."""
_CLOSE = 0.04  # sRGB: errors below it count by their square
_MATTE = 0.05


def refine_field(
    avatar: Avatar, tracked: Pose, views: Views, start: Tensor, rates: Tensor, seed: int = 0
) -> tuple[Pose, Tensor]:
    """Returns the poses of some time steps, and the corrections of the last one.

    Args:
        avatar: Whose field the pictures are compared with; it stays as it is.
        tracked: Batched over the time steps that the views show.
        views: Their pictures.
        start: Corrections to begin with.
        rates: Step size of Adam in each step.
        seed: Of the pixels looked at.
    """
    assert avatar.field is not None
    head = heads.of(avatar)
    corrector, body = Corrector(head, avatar.identity), fields.prepared(avatar.field, head)
    seen = pixels(head, avatar.identity, views, 3.0)
    moments = views.moment(torch.arange(len(views)))
    change = start.repeat(len(tracked.root), 1).requires_grad_()
    optimiser = torch.optim.Adam([change], lr=float(rates[0]), betas=(0.9, 0.98))
    for step, rate in enumerate(rates.tolist()):
        optimiser.param_groups[0]["lr"] = rate
        optimiser.zero_grad()
        pose = replace(corrector.apply(tracked, change), heard=tracked.heard)
        for row, moment in enumerate(moments.tolist()):
            value = _misfit(body, head, avatar, pose[moment], seen, row, seed + 7919 * step + row)
            value.backward(retain_graph=True)
        corrector.pull(change).backward()
        optimiser.step()
    found = change.detach()
    return replace(corrector.apply(tracked, found), heard=tracked.heard), found[-1]


def _misfit(
    body: fields.Prepared, head: HeadModel, avatar: Avatar, pose: Pose, seen: Pixels, row: int, seed: int
) -> Tensor:
    """Returns how far rays of the field are from the pixels of a view."""
    posed = fields.pose_field(body, head, avatar.identity, pose)
    drawn = seen.draw(row, RAYS, seed)
    rays = picture.camera_rays(seen.views.camera.at(row), drawn.places)
    samples = ops.march(rays, posed.cells, body.settings.step)
    found = picture.seen(posed, rays, samples, _layer(head, avatar, pose, seen, row, drawn))
    shown = found.rgb + (1 - found.alpha)[:, None] * drawn.background
    value = torch.nn.functional.smooth_l1_loss(shown, drawn.target, beta=_CLOSE)
    return value + _MATTE * (found.alpha - drawn.matte).abs().mean()


def _layer(head: HeadModel, avatar: Avatar, pose: Pose, seen: Pixels, row: int, drawn: Drawn) -> picture.Layer | None:
    """Returns what the splats of a hybrid show at some pixels; differentiable in the pose."""
    if not len(avatar.gaussians):
        return None
    camera = seen.views.camera.at(row)
    vertices = head.vertices(avatar.identity, pose)
    splats = pose_splats(avatar.gaussians, avatar.binding, avatar.basis, vertices, head.faces, pose)
    return picture.Layer.of(splat.rasterize(splats, camera)).map(lambda x: x.index_select(0, drawn.index(camera.width)))
