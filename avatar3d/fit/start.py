"""The splats a fit begins with: on the head model, in the hair, and wherever else the matte shows the person."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from avatar3d.core import Binding, Camera, Gaussians, HeadModel, Pose
from avatar3d.fit import hair, unseen
from avatar3d.fit.texels import texels
from avatar3d.fit.views import Views
from avatar3d.geometry import apply, quat_to_matrix
from avatar3d.ops import splat
from avatar3d.rig import pose as pose_splats
from avatar3d.rig.frames import face_frames

SH0 = 0.28209479177387814
"""Y_0: colour = 0.5 + SH0 * coefficient."""

# Of the distance between splats: wide enough to close the surface, narrow enough to stay sharp.
_WIDTH, _THICKNESS = 0.62, 0.15
_SMALLEST = 2e-5  # metres: collapsed triangles have no extent, and its logarithm must stay finite
OPAQUE = 2.0
"""Logit of the surface, 0.88."""
CLOSED = OPAQUE - 0.3
"""Least logit of surface that has to stay closed."""
_WISP = -1.4  # logit, 0.2: hair that the frames must first ask for
_SEEN = 0.05  # share of a splat that some view must show before its colour is measured, not made up
_BESIDE = 8  # views that decide on what stands beside the head model
_DEPTH = 0.05  # metres: what lies farther behind the surface shows only because the surface lets a little through


@dataclass(frozen=True)
class Start:
    """Splats before the first step, and what is known of them."""

    gaussians: Gaussians
    binding: Binding
    part: Int[Tensor, " n"]
    """What each belongs to, as `unseen.parts` numbers it."""
    least_logits: Float[Tensor, " n"]
    """How far each may fade: surface that no view shows against the background stays closed."""
    facing: Float[Tensor, " n"]
    """Largest cosine between its surface and the way to a camera."""
    lips: Bool[Tensor, " n"]
    """Which are of the lips."""


def rest_pose(head: HeadModel) -> Pose:
    """Returns the neutral pose in head space."""
    return Pose(torch.zeros(len(head.expressions)), torch.zeros(len(head.joints), 3), torch.eye(4))


def start(head: HeadModel, identity: Float[Tensor, " s"], views: Views, count: int, seed: int) -> Start:
    """Returns the first guess of an avatar.

    Args:
        head: The head model.
        identity: Whose head.
        views: Training frames.
        count: About how many splats to lay on the head's texture.
        seed: Of the stray hairs.
    """
    rest = head.vertices(identity, rest_pose(head))
    rows = spread(views, 8 if views.camera.w2c.dim() == 2 else 24)
    posed = head.vertices(identity.expand(len(rows), -1), views.pose[rows])
    lift = hair.shell(head, identity, rest, posed, views, rows)
    turns = head.joint_transforms(identity.expand(len(rows), -1), views.pose[rows])[:, list(head.joints).index("head")]
    lifted = posed + lift @ turns[:, :3, :3].mT
    body, spacing = _on_mesh(head, rest, lift, count)
    pieces = [body, _wisps(head, rest, lift, body, spacing, seed)]
    outside = hair.outline(head, rest + lift, lifted[:_BESIDE], views, rows[:_BESIDE], count // 4)
    if outside is not None:
        gaussians, binding = outside.gaussians, outside.binding
        pieces.append((_relative(gaussians, binding, rest, lift, head), binding))
    gaussians = join([p[0] for p in pieces])
    binding = Binding(torch.cat([p[1].face for p in pieces]), torch.cat([p[1].bary for p in pieces]))
    return coloured(head, identity, views, rows, gaussians, binding)


def spread(views: Views, count: int) -> Tensor:
    """Returns rows of well-tracked views, calmest first, spread over the poses of the head."""
    m = len(views)
    turn = views.facing + views.pose.joints[:, :2].sum(1)
    calm = views.pose.expression.sum(-1)
    middle = turn.median(0).values if views.camera.w2c.dim() == 2 else turn.new_tensor([0.0, 0.0, 1.0])
    first = int((calm + turn.sub(middle).norm(dim=-1) + (1 - views.quality)).argmin())
    chosen = [first]
    shape = torch.cat([turn * 2, views.pose.expression * 0.5], dim=-1)
    distance = torch.full((m,), torch.inf)
    while len(chosen) < min(count, m):
        distance = torch.minimum(distance, (shape - shape[chosen[-1]]).norm(dim=-1) * views.quality.sqrt())
        chosen.append(int(distance.argmax()))
    return torch.tensor(chosen)


def join(pieces: list[Gaussians]) -> Gaussians:
    """Returns one set of splats from several."""
    return Gaussians(*(torch.cat([getattr(p, name) for p in pieces]) for name in vars(pieces[0])))


def _on_mesh(head: HeadModel, rest: Tensor, lift: Tensor, count: int) -> tuple[tuple[Gaussians, Binding], Tensor]:
    places = texels(head, rest, count)
    binding = places.binding
    frames = face_frames(rest, head.faces)
    rotation, scale = frames.rotation[binding.face], frames.scale[binding.face]
    offset = unseen.at_splats(lift, head.faces, binding)
    means = (rotation.mT @ offset[..., None])[..., 0] / scale[:, None]
    # The second axis of a frame is the normal. Lifted scalp is stretched, so its splats are too.
    grown = _growth(head, rest, lift)[binding.face]
    width = (_WIDTH * places.spacing * grown).clamp(min=_SMALLEST)
    log_scales = torch.stack([width, _THICKNESS / _WIDTH * width, width], -1).log() - scale.log()[:, None]
    quats = torch.zeros(len(means), 4)
    quats[:, 0] = 1
    colours = (unseen.default_colours(head, binding) - 0.5) / SH0
    gaussians = Gaussians(means, quats, log_scales, torch.full((len(means),), OPAQUE), colours[:, None])
    return (gaussians, binding), places.spacing


def _growth(head: HeadModel, rest: Tensor, lift: Tensor) -> Float[Tensor, " f"]:
    """Returns the linear stretch of each face by the lift."""
    return (face_frames(rest + lift, head.faces).scale / face_frames(rest, head.faces).scale).clamp(1, 3)


def _wisps(
    head: HeadModel, rest: Tensor, lift: Tensor, body: tuple[Gaussians, Binding], spacing: Tensor, seed: int
) -> tuple[Gaussians, Binding]:
    """Returns faint splats in and around the hair: shells between the scalp and a little beyond its outline."""
    gaussians, binding = body
    hairy = torch.nonzero(unseen.parts(head, binding, rest) == unseen.HAIR)[:, 0]
    generator = torch.Generator().manual_seed(seed + 17)
    frames = face_frames(rest, head.faces)
    pieces = []
    for depth, logit in ((0.55, 0.0), (1.0, _WISP), (1.12, _WISP)):
        some = hairy[torch.rand(len(hairy), generator=generator) < 0.6]
        face = binding.face[some]
        rotation, scale = frames.rotation[face], frames.scale[face]
        offset = unseen.at_splats(lift, head.faces, binding.gather(some))
        normal = rotation[..., 1]
        thick = 0.004 * torch.rand(len(some), 1, generator=generator)
        out = offset * depth + normal * (0.25 * offset.norm(dim=-1, keepdim=True) * max(0.0, depth - 0.9) + thick)
        jitter = spacing[some, None] * torch.randn(len(some), 3, generator=generator) * 0.5
        local = (rotation.mT @ (out + jitter)[..., None])[..., 0] / scale[:, None]
        one = gaussians.gather(some)
        pieces.append((replace(one, means=local, logits=torch.full((len(some),), logit)), binding.gather(some)))
    return join([p[0] for p in pieces]), Binding(
        torch.cat([p[1].face for p in pieces]), torch.cat([p[1].bary for p in pieces])
    )


def _relative(gaussians: Gaussians, binding: Binding, rest: Tensor, lift: Tensor, head: HeadModel) -> Gaussians:
    """Returns splats that were tied to the lifted mesh, tied to the mesh itself."""
    high, low = (face_frames(x, head.faces) for x in (rest + lift, rest))
    lifted_anchor = unseen.at_splats(lift, head.faces, binding)
    turn = low.rotation[binding.face].mT @ high.rotation[binding.face]
    size, was = low.scale[binding.face][:, None], high.scale[binding.face][:, None]
    means = (turn @ gaussians.means[..., None])[..., 0] * was / size
    means = means + (low.rotation[binding.face].mT @ lifted_anchor[..., None])[..., 0] / size
    return replace(gaussians, means=means, log_scales=gaussians.log_scales + (was / size).log())


def coloured(
    head: HeadModel,
    identity: Float[Tensor, " s"],
    views: Views,
    rows: Tensor,
    gaussians: Gaussians,
    binding: Binding,
) -> Start:
    """Returns the splats with the colours that views show where they cover them, and made-up ones elsewhere.

    The colour of a splat is the mean of the pixels it covers, weighted by how much it shows in them (the "colour
    fast-forward" of RGBAvatar).
    """
    total, blend = torch.zeros(len(gaussians)), torch.zeros(len(gaussians), 3)
    shown, outside = torch.zeros(len(gaussians)), torch.zeros(len(gaussians), dtype=torch.bool)
    facing = torch.full((len(gaussians),), -1.0)
    for row in rows.tolist():
        vertices = head.vertices(identity, views.pose[row])
        posed = pose_splats(gaussians, binding, None, vertices, head.faces, views.pose[row])
        facing = torch.maximum(facing, cosine(posed, vertices, head, binding, views.camera.at(row)))
        seen = seen_in(posed, views, row)
        total, blend = total + seen.weight, blend + seen.weight[:, None] * seen.colour
        shown = torch.maximum(shown, seen.share * seen.person)
        outside |= beside(posed, views, row) | (seen.person < 0.9)
    colours = blend / total.clamp(min=1e-6)[:, None]
    rest = head.vertices(identity, rest_pose(head))
    part = unseen.parts(head, binding, rest)
    points = pose_splats(gaussians, binding, None, rest, head.faces, rest_pose(head)).means
    default, marked = unseen.default_colours(head, binding), unseen.marked(head, binding)
    colours = unseen.fill(colours, shown > _SEEN, points, part, default, marked)
    lips = unseen.on(head, "lips", binding)
    if len(views) == 1:
        colours = unseen.without_teeth(colours, lips, shown > _SEEN, points)
        colours = unseen.without_eyes(colours, unseen.on(head, "lids", binding), shown, facing, points)
    least = torch.where(outside | (gaussians.logits < OPAQUE), -torch.inf, CLOSED)
    return Start(replace(gaussians, sh=((colours - 0.5) / SH0)[:, None]), binding, part, least, facing, lips)


@dataclass(frozen=True)
class Seen:
    """What a view shows of each splat."""

    weight: Float[Tensor, " n"]
    """Blend weight on the person's pixels, summed."""
    share: Float[Tensor, " n"]
    """Weight on all pixels over what it would be alone: 0 hidden, 1 in full view, between where splats overlap."""
    person: Float[Tensor, " n"]
    """Mean of the matte over the splat."""
    pixels: Float[Tensor, " n"]
    """Blend weight on all pixels, summed."""
    colour: Float[Tensor, "n 3"]
    """Mean colour of the person there."""


def seen_in(posed: Gaussians, views: Views, row: int) -> Seen:
    """Returns what a view shows of splats in its pose."""
    camera = views.camera.at(row)
    image = views.images[row].float() / 255
    mask = (views.masks[row].float() / 255)[..., None]
    # Background pixels have no say: the matte, gathered as if it were a picture, tells each splat's share of person.
    weight, colour = splat.gather_colour(posed, camera, image * mask)
    _, person = splat.gather_colour(posed, camera, mask.expand_as(image).contiguous())
    share = weight / _footprint(posed, camera).clamp(min=0.1)
    share = torch.where(_behind(posed, camera) < _DEPTH, share, 0.0)
    return Seen(weight * person[:, 0], share, person[:, 0], weight, colour / person[:, :1].clamp(min=1e-3))


def beside(posed: Gaussians, views: Views, row: int) -> Bool[Tensor, " n"]:
    """Returns which splats have their centre on the background of a view."""
    inside, line, column = _pixels(posed, views.camera.at(row))
    return inside & (views.masks[row][line, column] < 64)


def cosine(
    posed: Gaussians, vertices: Float[Tensor, "v 3"], head: HeadModel, binding: Binding, camera: Camera
) -> Float[Tensor, " n"]:
    """Returns the cosines between the surface under each splat and the way from the splat to a camera."""
    normals = face_frames(vertices, head.faces).rotation[binding.face, :, 1]
    return (torch.nn.functional.normalize(camera.position - posed.means, dim=-1) * normals).sum(-1)


def _pixels(posed: Gaussians, camera: Camera) -> tuple[Bool[Tensor, " n"], Int[Tensor, " n"], Int[Tensor, " n"]]:
    """Returns whether splats' centres fall into the picture, and the nearest line and column of it."""
    view = apply(camera.w2c, posed.means)
    pixel = (view @ camera.K.T)[:, :2] / view[:, 2:].clamp(min=1e-2)
    column, line = (pixel[:, i].floor().nan_to_num().long() for i in range(2))
    inside = (column >= 0) & (line >= 0) & (column < camera.width) & (line < camera.height)
    return inside, line.clamp(0, camera.height - 1), column.clamp(0, camera.width - 1)


def _behind(posed: Gaussians, camera: Camera) -> Float[Tensor, " n"]:
    """Returns by how much splats lie behind what the camera sees at their centres, metres."""
    render = splat.rasterize(posed, camera)
    depth = (render.depth / render.alpha.clamp(min=1e-3))[..., 0]
    _, *at = _pixels(posed, camera)
    z = apply(camera.w2c, posed.means)[:, 2]
    # Over an outline the picture may be empty at a splat's very centre: nothing hides it there.
    return torch.where(render.alpha[tuple(at)][:, 0] > 0.5, z - depth[tuple(at)], 0.0)


def _footprint(posed: Gaussians, camera: Camera) -> Float[Tensor, " n"]:
    """Returns the blend weights of splats alone in the picture, in pixels: opacity 2 pi sqrt(det covariance)."""
    turn = camera.w2c[:3, :3] @ quat_to_matrix(posed.quats)
    z = (posed.means @ camera.w2c[2, :3] + camera.w2c[2, 3]).clamp(min=1e-2)
    axes = turn[:, :2] * posed.scales[:, None] * (camera.K[0, 0] / z)[:, None, None]
    a, b = axes.square().sum(-1).unbind(-1)
    c = (axes[:, 0] * axes[:, 1]).sum(-1)
    area = ((a + 0.3) * (b + 0.3) - c * c).clamp(min=0.0).sqrt()  # 0.3 px^2: the rasterizer's dilation
    return posed.opacities * 2 * torch.pi * area
