"""What stands out of the head model: a shell for the hair from its silhouette, and the rest of the person's outline."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.ndimage import distance_transform_edt
from scipy.spatial import KDTree
from torch import Tensor

from avatar3d.core import Binding, Gaussians, HeadModel
from avatar3d.fit.views import Views
from avatar3d.geometry import apply, matrix_to_quat
from avatar3d.ops import mesh
from avatar3d.rig.frames import anchors, face_frames

_BINS = 90
_LOOKS = 5  # views that decide on the hair's outline
_REACH = 0.26  # metres from the middle of the skull: farther than any hair that could be taken for a shell
_FADE = (1.9, 2.5)  # radians from straight up: below the ears the outline is neck, collar or hanging hair
_RIM = 0.006  # metres: what sticks out less than that, the splats of the mesh can reach
_SOFT = ("lips", "mouth_interior", "teeth", "tongue", "cavity", "eyes", "lids", "sockets", "neck", "torso", "shoulders")
_TORSO = ("torso", "shoulders")
_COLLAR = 0.05  # of the colour range, as much as five centimetres
_FRONTAL = 0.75  # cosine of the turn beyond which a head's frontal plane cannot be measured
_MOST = 1.7  # largest ratio of hair to skull taken from an outline


@dataclass(frozen=True)
class Outline:
    """Splats outside of the mesh, in local frames, and the colours that were seen there."""

    gaussians: Gaussians
    binding: Binding


def shell(
    head: HeadModel,
    identity: Float[Tensor, " s"],
    rest: Float[Tensor, "v 3"],
    posed: Float[Tensor, "b v 3"],
    views: Views,
    rows: Tensor,
) -> Float[Tensor, "v 3"]:
    """Returns by how much the scalp must be lifted, head space at rest, metres, so that its outline is the hair's.

    Rays in the head's frontal plane, from the middle of the skull, ask how far the matte and how far the mesh reach;
    the ratio at each angle stretches the scalp about that middle, at all depths: hair seen from the front has no
    other witness for the back of the head.

    Args:
        head: The head model; without a region `scalp` nothing is lifted.
        identity: Whose head it is.
        rest: Its vertices at rest.
        posed: Vertices in the views at `rows`.
        views: The training frames.
        rows: Views to measure on.
    """
    if "scalp" not in head.regions:
        return torch.zeros_like(rest)
    scalp = head.regions["scalp"].to(rest)
    middle = (rest * scalp[:, None]).sum(0) / scalp.sum() - rest.new_tensor([0.0, 0.03, 0.0])
    angles = torch.linspace(-math.pi, math.pi, _BINS + 1)[:-1]
    ratios = []
    frontal = [r for r in enumerate(rows.tolist()) if views.facing[r[1], 2] > _FRONTAL]
    for i, row in frontal[:_LOOKS]:
        motion = _skull(head, identity, views, row)
        found = _ratios(head, middle, angles, motion, posed[i], views, row)
        if found is not None:
            ratios.append(found)
    if not ratios:
        return torch.zeros_like(rest)
    ratio = _smooth(torch.stack(ratios).nanmedian(0).values)
    fade = ((_FADE[1] - angles.abs()) / (_FADE[1] - _FADE[0])).clamp(0, 1)
    ratio = 1 + (ratio - 1) * fade
    away = rest - middle
    radius = away[:, :2].norm(dim=-1)
    place = (torch.atan2(away[:, 0], away[:, 1]) + math.pi) / (2 * math.pi) * _BINS
    low = place.floor().long()
    part = place - low
    stretch = ratio[low % _BINS] * (1 - part) + ratio[(low + 1) % _BINS] * part
    # Straight behind the middle every angle is as near as any other.
    upper = ratio[angles.abs() < 1.8].mean()
    trust = radius / (radius + 0.03)
    stretch = upper + (stretch - upper) * trust
    return ((stretch - 1) * scalp)[:, None] * away


def _skull(head: HeadModel, identity: Tensor, views: Views, row: int) -> Float[Tensor, "4 4"]:
    transforms = head.joint_transforms(identity, views.pose[row])
    return transforms[list(head.joints).index("head")]


def _ratios(head, middle, angles, motion, vertices, views, row) -> Float[Tensor, " a"] | None:
    """Returns the reach of the matte over that of the mesh along each ray; NaN where the picture ends first."""
    camera = views.camera.at(row)
    seen = mesh.rasterize(vertices, head.faces, camera).face >= 0
    steps = torch.linspace(0, _REACH, 130)
    direction = torch.stack([angles.sin(), angles.cos(), torch.zeros_like(angles)], dim=-1)
    points = middle + steps[None, :, None] * direction[:, None]
    world = apply(motion, points.reshape(-1, 3))
    view = apply(camera.w2c, world)
    if bool((view[:, 2] < 0.05).any()):
        return None
    pixel = (view @ camera.K.T)[:, :2] / view[:, 2:]
    column, line = (pixel[:, i].floor().long().reshape(len(angles), -1) for i in range(2))
    inside = (column >= 0) & (line >= 0) & (column < camera.width) & (line < camera.height)
    column, line = column.clamp(0, camera.width - 1), line.clamp(0, camera.height - 1)
    matte = (views.masks[row][line, column] > 127) & inside
    body = seen[line, column] & inside
    reach_matte = _first_gap(matte)
    reach_body = _first_gap(body)
    ends = _first_gap(inside)
    ratio = reach_matte / reach_body.clamp(min=1)
    ratio = torch.where((reach_matte >= ends) | (reach_body < 20), torch.nan, ratio)
    return ratio.clamp(0.9, _MOST)


def _first_gap(line: Tensor) -> Tensor:
    """Returns the length of the run of true values at the start of each row."""
    return line.long().cumprod(-1).sum(-1).float()


def _smooth(ratio: Float[Tensor, " a"]) -> Float[Tensor, " a"]:
    values = ratio.numpy()
    good = np.isfinite(values)
    if not good.any():
        return torch.ones_like(ratio)
    where = np.arange(len(values))
    values = np.interp(where, where[good], values[good], period=len(values))
    kernel = np.exp(-0.5 * (np.arange(-6, 7) / 2.0) ** 2)
    padded = np.concatenate([values[-6:], values, values[:6]])
    return torch.from_numpy(np.convolve(padded, kernel / kernel.sum(), mode="valid")).to(ratio)


def outline(
    head: HeadModel, rest: Float[Tensor, "v 3"], posed: Float[Tensor, "b v 3"], views: Views, rows: Tensor, count: int
) -> Outline | None:
    """Returns splats for what the matte shows beside the mesh: clothes, hanging hair, a hat.

    Pixels of the person well outside of the mesh are put at the depth of the nearest pixel that it covers. Each is
    tried on the nearest face of the head and on that of the torso, and tied to the one with which it travels: whose
    motion takes it to the same colour in the other views.

    Args:
        head: The head model.
        rest: Vertices at rest, the lifted scalp included.
        posed: Vertices in the views at `rows`, the lifted scalp included.
        views: The training frames.
        rows: Views to look at; the first ones win where several show the same place.
        count: About how many splats to make at most.
    """
    found = [_uncovered(head, posed[i], views, row) for i, row in enumerate(rows.tolist())]
    pixels = sum(len(x[0]) for x in found)
    if not pixels:
        return None
    stride = max(1, math.ceil(math.sqrt(pixels / len(found) / max(1, count / 1.5))))
    carriers = _carriers(head)
    resting = face_frames(rest, head.faces)
    parts, places = [], []
    for i, row in enumerate(rows.tolist()):
        line, column, depth = (x[(found[i][0] % stride == 0) & (found[i][1] % stride == 0)] for x in found[i])
        if not len(line):
            continue
        z = torch.from_numpy(depth).float()
        camera = views.camera.at(row)
        pixel = torch.stack([torch.from_numpy(column) + 0.5, torch.from_numpy(line) + 0.5, torch.ones(len(line))], -1)
        ray = pixel.float() @ torch.linalg.inv(camera.K).T
        world = apply(torch.linalg.inv(camera.w2c), ray * z[:, None])
        colour = views.images[row][torch.from_numpy(line), torch.from_numpy(column)].float() / 255
        binding, local = _tie(head, carriers, world, colour, posed, i, views, rows)
        frames = face_frames(posed[i], head.faces)
        rotation, scale = frames.rotation[binding.face], frames.scale[binding.face]
        # Turned so that the splat's axes are the camera's: flat towards it.
        quats = matrix_to_quat(rotation.mT @ camera.w2c[:3, :3].T)
        width = 0.75 * stride * z / float(camera.K[0, 0])
        log_scales = torch.stack([width, width, 0.7 * width], -1).log() - scale.log()[:, None]
        sh = ((colour - 0.5) / 0.28209479177387814)[:, None]
        parts.append((Gaussians(local, quats, log_scales, torch.full((len(local),), 1.0), sh), binding, width))
        anchor = anchors(rest, head.faces, binding)
        size = resting.scale[binding.face][:, None]
        places.append(anchor + size * (resting.rotation[binding.face] @ local[..., None])[..., 0])
    if not parts:
        return None
    keep = _sparse(torch.cat(places), torch.cat([p[2] for p in parts]).median().item() * 1.6)
    gaussians = Gaussians(*(torch.cat([getattr(p[0], f) for p in parts]) for f in vars(parts[0][0])))
    binding = Binding(torch.cat([p[1].face for p in parts]), torch.cat([p[1].bary for p in parts]))
    return Outline(gaussians.gather(keep), binding.gather(keep))


def _uncovered(head: HeadModel, vertices: Tensor, views: Views, row: int):
    """Returns line, column and depth of the pixels of the person beside the mesh.

    A thin rim is left to the mesh's own splats, unless it leads to something larger.
    """
    camera = views.camera.at(row)
    render = mesh.rasterize(vertices, head.faces, camera)
    face, depth = render.face.numpy(), render.depth.numpy()
    person = views.masks[row].numpy() > 140
    if not (face >= 0).any():
        return tuple(np.zeros(0, np.int64) for _ in range(3))
    distance = np.asarray(distance_transform_edt(face < 0))
    # What is seen beside the face lies behind it: at the depth of ears, neck and shoulders.
    zero = torch.zeros(int(head.faces.max()) + 1)
    front = head.regions.get("face", zero).to(zero)[head.faces].amin(-1).numpy() > 0.5
    behind = (face >= 0) & ~front[np.maximum(face, 0)]
    covered = behind if behind.any() else face >= 0
    nearest = np.asarray(distance_transform_edt(~covered, return_distances=False, return_indices=True))
    rim = _RIM * float(camera.K[0, 0]) / float(np.median(depth[face >= 0]))
    far = person & (distance > rim)
    if not far.any():
        return tuple(np.zeros(0, np.int64) for _ in range(3))
    line, column = np.nonzero(person & (face < 0) & (np.asarray(distance_transform_edt(~far)) <= rim))
    at = nearest[:, line, column]
    return line, column, depth[at[0], at[1]]


def _carriers(head: HeadModel) -> list[Tensor]:
    """Returns the faces that may carry what lies beside the mesh: of the head's firm parts behind the face, and of the
    torso. Hair and collars beside a cheek or a jaw do not grow on them."""
    zero = torch.zeros(int(head.faces.max()) + 1)
    weight = {name: head.regions.get(name, zero).to(zero)[head.faces].mean(-1) for name in (*_SOFT, *_TORSO, "face")}
    soft, torso = (torch.stack([weight[n] for n in names]).amax(0) for names in (_SOFT, _TORSO))
    groups = [
        torch.nonzero((soft < 0.2) & (torso < 0.2) & (weight["face"] < 0.5))[:, 0],
        torch.nonzero(torso > 0.8)[:, 0],
    ]
    return [g for g in groups if len(g)] or [torch.arange(len(head.faces))]


def _tie(
    head: HeadModel,
    carriers: list[Tensor],
    world: Float[Tensor, "m 3"],
    colour: Float[Tensor, "m 3"],
    posed: Float[Tensor, "b v 3"],
    here: int,
    views: Views,
    rows: Tensor,
) -> tuple[Binding, Float[Tensor, "m 3"]]:
    """Returns what points are tied to, and their places in the frames of those faces."""
    best: tuple[Tensor, Tensor, Tensor] | None = None
    chin = posed[here][head.regions["chin"] > 0.5] if "chin" in head.regions else posed[here][:0]
    below = world[:, 1] < chin[:, 1].min() if len(chin) else torch.zeros(len(world), dtype=torch.bool)
    for nth, group in enumerate(carriers):
        middles = posed[here][head.faces[group]].mean(1)
        distance, index = KDTree(middles.numpy()).query(world.numpy(), workers=1)
        face = group[torch.from_numpy(index)]
        binding = Binding(face, torch.full((len(face), 3), 1 / 3))
        local = _local(head, posed[here], binding, world)
        # The nearer carrier is likelier: a centimetre costs as much as a hundredth of the colour range.
        cost = torch.from_numpy(distance).float()
        # Below the chin (the world is y up) it is more often collar than hair.
        cost = cost + _COLLAR * (below == (nth == 0))
        for j, row in enumerate(rows.tolist()):
            if j == here:
                continue
            frames = face_frames(posed[j], head.faces)
            moved = anchors(posed[j], head.faces, binding)
            moved = moved + frames.scale[face][:, None] * (frames.rotation[face] @ local[..., None])[..., 0]
            cost = cost + _mismatch(moved, colour, views, row) / len(rows)
        if best is None:
            best = cost, face, local
        else:
            better = cost < best[0]
            best = (
                torch.where(better, cost, best[0]),
                torch.where(better, face, best[1]),
                torch.where(better[:, None], local, best[2]),
            )
    assert best is not None
    return Binding(best[1], torch.full((len(best[1]), 3), 1 / 3)), best[2]


def _local(head: HeadModel, vertices: Tensor, binding: Binding, world: Tensor) -> Float[Tensor, "m 3"]:
    frames = face_frames(vertices, head.faces)
    rotation, scale = frames.rotation[binding.face], frames.scale[binding.face]
    return (rotation.mT @ (world - anchors(vertices, head.faces, binding))[..., None])[..., 0] / scale[:, None]


def _mismatch(
    points: Float[Tensor, "m 3"], colour: Float[Tensor, "m 3"], views: Views, row: int
) -> Float[Tensor, " m"]:
    """Returns how unlike a view is at points of the world: colour and matte, 0 beyond the picture."""
    camera = views.camera.at(row)
    view = apply(camera.w2c, points)
    pixel = (view @ camera.K.T)[:, :2] / view[:, 2:].clamp(min=1e-3)
    column, line = (pixel[:, i].floor().long() for i in range(2))
    inside = (column >= 0) & (line >= 0) & (column < camera.width) & (line < camera.height)
    column, line = column.clamp(0, camera.width - 1), line.clamp(0, camera.height - 1)
    person = views.masks[row][line, column].float() / 255
    there = views.images[row][line, column].float() / 255
    return torch.where(inside, (there - colour).abs().mean(-1) * person + 0.5 * (1 - person), 0.0)


def _sparse(points: Float[Tensor, "n 3"], cell: float) -> Tensor:
    """Returns the first point of each occupied cell of a grid."""
    grid = torch.floor(points / max(cell, 1e-6)).long().numpy()
    _, first = np.unique(grid, axis=0, return_index=True)
    return torch.from_numpy(np.sort(first))
