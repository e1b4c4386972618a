"""Edits of an avatar with a field: what acts on the rig acts on it, colours are painted on, the rest is refused.

An edit of colours changes splats. So a stand-in is made, a splat for each triangle of the head in the field's colours
there; the edit changes it, and the difference becomes a gain and an offset of the field's colours at each vertex.
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from avatar3d import fields, heads
from avatar3d.core import Avatar, AvatarError, Binding, Field, Gaussians, HeadModel
from avatar3d.edit.base import Edit
from avatar3d.fields import network, parts, warp
from avatar3d.ops.reference import SH_C0

_RIG = ("shape", "caricature", "mix", "face", "gain", "close", "gaze_at")
_COLOURS = ("recolour", "light")
_REACH = {"scalp": 0.05, "torso": 0.02, "shoulders": 0.02}
"""Metres above the mesh where the surface of hair and clothes is looked for; of skin it is `_ELSEWHERE`."""
_ELSEWHERE, _BELOW = 0.008, 0.006
_SAMPLES = 24
_SEEN = 0.3  # opacity below which there is nothing at a triangle
_DARK = 0.02  # added to both colours of a ratio
_GAINS = (0.1, 6.0)


def on_field(avatar: Avatar, one: Edit) -> Avatar:
    """Returns an avatar with a field after an edit.

    Raises:
        AvatarError: The edit moves, adds or removes splats: it cannot act on a field.
    """
    if one.kind in _RIG:
        return one.apply(avatar)
    if one.kind not in _COLOURS or avatar.field is None:
        raise AvatarError(
            f"{one.kind}: changes single splats, and this avatar has a field; turn it into splats first, "
            "`avatar3d distil F.a3d -o A.a3d`"
        )
    before = stand_in(avatar)
    if avatar.original is not None and avatar.original.field is not None:
        before = replace(before, original=stand_in(avatar.original))
    after = one.apply(before)
    if len(after.gaussians) != len(before.gaussians):
        raise AvatarError(f"{one.kind}: adds or removes splats, which a field has not; distil it first")
    old, new = (0.5 + SH_C0 * a.gaussians.sh[:, 0] for a in (before, after))
    splats = avatar
    if len(avatar.gaussians):  # a hybrid's splats are edited as splats
        splats = one.apply(replace(avatar, field=None))
    return replace(splats, field=_painted(avatar.field, old, new, heads.of(avatar)))


def stand_in(avatar: Avatar) -> Avatar:
    """Returns splats on the triangles of the head in the colours that a field has there."""
    assert avatar.field is not None
    head = heads.of(avatar)
    n = len(head.faces)
    colours, alpha = _colours(avatar.field, head)
    own = getattr(head, "colours", None)
    default = torch.full((n, 3), 0.5) if own is None else own.float()[head.faces].mean(1)
    colours = torch.where(alpha[:, None] > _SEEN, colours, default)
    gaussians = Gaussians(
        means=torch.zeros(n, 3),
        quats=torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(n, 1),
        log_scales=torch.tensor([0.5, 0.08, 0.5]).log().repeat(n, 1),
        logits=torch.full((n,), 4.0),
        sh=((colours - 0.5) / SH_C0)[:, None],
    )
    binding = Binding(torch.arange(n), torch.full((n, 3), 1 / 3))
    return replace(avatar, gaussians=gaussians, binding=binding, basis=None, field=None, original=None, edits=())


def _colours(field: Field, head: HeadModel) -> tuple[Float[Tensor, "f 3"], Float[Tensor, " f"]]:
    """Returns what rays into each triangle, against its normal, see of a field at rest, and how opaque that is."""
    settings = fields.settings_of(field.settings)
    corners = field.canonical[head.faces]
    middle, (a, b, c) = corners.mean(1), corners.unbind(1)
    normal = torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a), dim=-1)
    reach = torch.full((len(field.canonical),), _ELSEWHERE)
    for name, far in _REACH.items():
        if name in head.regions:
            reach = torch.maximum(reach, far * head.regions[name].float())
    far = reach[head.faces].mean(1)
    step = (far + _BELOW) / _SAMPLES
    said = torch.zeros(parts.inputs(head, settings))
    extra = network.added(field.condition, said)
    shares = field.parts[head.faces].mean(1)
    rgb, left = torch.zeros(len(middle), 3), torch.ones(len(middle))
    for k in range(_SAMPLES):
        height = far - (k + 0.5) * step
        near = warp.near_shares(shares, warp.falloff(height.abs()))
        sight = -normal if settings.view else None
        what = network.matter(field, settings, middle + height[:, None] * normal, near, extra, sight)
        alpha = 1 - torch.exp(-what.density * step)
        rgb += (left * alpha)[:, None] * what.colour
        left = left * (1 - alpha)
    rgb = rgb / (1 - left).clamp(min=1e-4)[:, None]
    if field.paint is not None:
        gain, offset = field.paint[head.faces].mean(1).split(3, dim=1)
        rgb = gain * rgb + offset
    return rgb.clamp(0, 1), 1 - left


def _painted(field: Field, old: Float[Tensor, "f 3"], new: Float[Tensor, "f 3"], head: HeadModel) -> Field:
    """Returns the field with its colours changed as those of the triangles were."""
    around = warp.incidence(field.canonical, head.faces)
    gain = ((new + _DARK) / (old + _DARK)).clamp(*_GAINS)
    paint = torch.cat([gain, new - gain * old], dim=1)
    paint = torch.nn.functional.embedding_bag(
        around.face, paint, around.first, per_sample_weights=around.share, mode="sum"
    )
    if field.paint is not None:
        gain, offset = paint.split(3, dim=1)
        was, more = field.paint.split(3, dim=1)
        paint = torch.cat([gain * was, gain * more + offset], dim=1)
    return replace(field, paint=paint)
