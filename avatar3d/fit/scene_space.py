"""Where a static scene lies: a box from the cameras, brought to a head's size, and the cells that no mask rules out."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, UInt8
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from avatar3d.core import AvatarError, Camera
from avatar3d.tensors import Tensors

SIDE = 0.4
"""Metres that the longest side of the box becomes: near planes, steps and viewers are made for heads."""
CELLS = 96
"""Along the longest side."""
_LOOKS = 48  # views that carve
_SEEN_BY = 0.45  # of these views have to show a cell
_FINE = 160  # pixels along masks that carve
_MARGIN = 0.03  # of the side, around what masks leave
_OPEN = 0.8  # half the box of a scene without masks, in distances of its cameras


@dataclass(frozen=True)
class Space(Tensors):
    """A scene's own world."""

    world: Float[Tensor, "4 4"]
    """Similarity from the capture's world to it: y up, the first camera in front, metres."""
    box: Float[Tensor, "2 3"]
    occupied: Bool[Tensor, "z y x"]
    """Cells that may hold something."""


def space(camera: Camera, masks: UInt8[Tensor, "m h w"] | None) -> Space:
    """Returns the space of a scene.

    Cameras look at it: its middle is the point closest to all their axes. Masks, where there are any, cut cells away
    that some view shows the background at (Laurentini's visual hull, 1994), and so bound the box.

    Args:
        camera: Batched, in the capture's world.
        masks: 255 where there is something; None: the box reaches nearly to the cameras, and what lies beyond it is
            painted on its walls.

    Raises:
        AvatarError: Cameras look past each other, or masks have no point in common.
    """
    position, axis = camera.position, camera.w2c[:, 2, :3]
    middle = _meeting(position, axis)
    distances = (position - middle).norm(dim=-1)
    if float(distances.min()) <= 1e-6 * float(distances.max()):
        raise AvatarError("cameras stand where they look; give cameras around what shall be shown")
    turn = _upright(camera, middle)
    half = float(distances.median()) * _OPEN if masks is None else float(distances.max()) * 0.9
    box = torch.tensor([[-half] * 3, [half] * 3])
    if masks is not None:
        for _ in range(3):  # each time on finer cells
            box = _bounds(box, _carved(box, 48, camera, masks, turn, middle))
    scale = SIDE / float((box[1] - box[0]).max())
    centre = box.mean(0)
    world = torch.eye(4)
    world[:3, :3] = scale * turn
    world[:3, 3] = -scale * (turn @ middle + centre)
    box = (box - centre) * scale
    seen = moved(camera, world)
    occupied = torch.ones(_counts(box, CELLS), dtype=torch.bool)
    if masks is not None:
        occupied = _carved(box, CELLS, seen, masks, torch.eye(3), torch.zeros(3))
    return Space(world, box, occupied)


def moved(camera: Camera, world: Float[Tensor, "4 4"]) -> Camera:
    """Returns cameras of one world in another, given the similarity from the first to the second."""
    scale = world[:3, 0].norm()
    w2c = camera.w2c @ torch.linalg.inv(world.double()).float()
    w2c[..., :3, :] *= scale
    return Camera(w2c, camera.K, camera.width, camera.height)


def grown_mask(mask: UInt8[Tensor, "h w"], reach: float) -> Bool[Tensor, "h w"]:
    """Returns where a mask is set within `reach` pixels."""
    return torch.from_numpy(distance_transform_edt((mask <= 12).numpy())) <= reach


def _meeting(position: Float[Tensor, "m 3"], axis: Float[Tensor, "m 3"]) -> Float[Tensor, " 3"]:
    """Returns the point with the least squared distance to all lines of sight."""
    across = torch.eye(3).double() - axis[:, :, None].double() * axis[:, None].double()
    total = across.sum(0)
    values = torch.linalg.eigvalsh(total)
    if float(values[0]) < 1e-4 * len(axis):  # parallel axes meet nowhere
        raise AvatarError("the cameras look in one direction; a scene needs views from several sides")
    return torch.linalg.solve(total, (across @ position.double()[..., None])[..., 0].sum(0)).float()


def _upright(camera: Camera, middle: Float[Tensor, " 3"]) -> Float[Tensor, "3 3"]:
    """Returns the rotation to y up, as cameras are held, and z towards the first camera."""
    up = -camera.w2c[:, 1, :3].mean(0)
    up = up / up.norm() if float(up.norm()) > 0.2 else -camera.w2c[0, 1, :3]
    front = camera.position[0] - middle
    front = front - (front @ up) * up
    if float(front.norm()) < 1e-6:
        front = torch.linalg.cross(camera.w2c[0, 0, :3], up)
    front = front / front.norm()
    return torch.stack([torch.linalg.cross(up, front), up, front])


def _counts(box: Float[Tensor, "2 3"], most: int) -> tuple[int, int, int]:
    """Returns the numbers of cells along z, y and x, `most` along the longest side."""
    side = box[1] - box[0]
    x, y, z = (max(1, math.ceil(most * float(s) / float(side.max()) - 1e-4)) for s in side)
    return z, y, x


def _carved(
    box: Float[Tensor, "2 3"], most: int, camera: Camera, masks: Tensor, turn: Tensor, middle: Tensor
) -> Bool[Tensor, "z y x"]:
    """Returns the cells of a box (turned around `middle`) that no mask rules out, and that enough views show."""
    counts = _counts(box, most)
    size = (box[1] - box[0]) / torch.tensor(counts[::-1])
    z, y, x = torch.meshgrid(*(torch.arange(n) + 0.5 for n in counts), indexing="ij")
    points = (torch.stack([x, y, z], -1).reshape(-1, 3) * size + box[0]) @ turn + middle
    seen, ruled_out = torch.zeros(len(points)), torch.zeros(len(points), dtype=torch.bool)
    h, w = masks.shape[1:]
    shrink = max(1, max(h, w) // _FINE)
    few = torch.nn.functional.max_pool2d((masks > 12)[:, None].float(), shrink, ceil_mode=True)[:, 0] == 0
    for row in torch.linspace(0, len(masks) - 1, min(len(masks), _LOOKS)).round().long().tolist():
        view = camera.at(row)
        at = points @ view.w2c[:3, :3].mT + view.w2c[:3, 3]
        depth = at[:, 2]
        pixels = (at @ view.K.mT)[:, :2] / depth.clamp(min=1e-6)[:, None]
        inside = (depth > 0) & ((pixels >= 0) & (pixels < torch.tensor([w, h]))).all(1)
        if not inside.any():
            continue
        away = torch.from_numpy(distance_transform_edt(few[row].numpy())).float() * shrink
        line, column = (pixels.clamp(min=0) / shrink).long().flip(1).T
        line, column = line.clamp(max=away.shape[0] - 1), column.clamp(max=away.shape[1] - 1)
        reach = view.K[0, 0] * size.norm() / 2 / depth.clamp(min=1e-6) + shrink  # of a cell's corners
        seen += inside
        ruled_out |= inside & (away[line, column] > reach)
    return ((seen >= max(2, _SEEN_BY * min(len(masks), _LOOKS))) & ~ruled_out).reshape(counts)


def _bounds(box: Float[Tensor, "2 3"], cells: Bool[Tensor, "z y x"]) -> Float[Tensor, "2 3"]:
    """Returns the box around the cells that are left, with a margin."""
    index = cells.nonzero().flip(1)
    if not len(index):
        raise AvatarError("the masks have no point in common; do they belong to these pictures and cameras?")
    size = (box[1] - box[0]) / torch.tensor(cells.shape[::-1])
    low, high = box[0] + index.amin(0) * size, box[0] + (index.amax(0) + 1) * size
    margin = _MARGIN * (high - low).max()
    return torch.stack([low - margin, high + margin])
