"""Splats with ARKit morph targets, from files of others and our own, as an avatar that a pose drives."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from avatar3d import heads
from avatar3d.core import Avatar, AvatarError, Basis, Binding, Gaussians
from avatar3d.geometry import matrix_to_quat, quat_product
from avatar3d.heads import AnnyHead
from avatar3d.rig.frames import anchors, face_frames

NEEDED = ("jawOpen", "eyeBlinkLeft", "eyeBlinkRight")
"""Without these a file's targets are not a face's; the lids tell where it is."""
_LOST = 5e-5
"""Metres, root mean square over splats and shapes: what leaving out weak components of the shapes may cost."""
_USUAL = 5e-3  # metres: sides of triangles that the player's steps are made for


def default_head() -> AnnyHead:
    """Returns the head that imported avatars ride on."""
    head = heads.load("anny")
    if not isinstance(head, AnnyHead):
        raise AvatarError("the default head is missing; reinstall avatar3d")
    return head


def on_skull(splats: Gaussians, shapes: Mapping[str, Float[Tensor, "n 3"]], source: str) -> Avatar:
    """Returns splats of which only the shapes are known, bound to one triangle that only the head's joint moves.

    They are put where their eyelids fall on the default head's.

    Args:
        splats: The head at rest, y up, z out of the face, metres.
        shapes: How far each ARKit shape moves every splat at weight 1, metres; `NEEDED` among them.
        source: The file's name.
    """
    head = default_head()
    own = dict(zip(head.expressions, head.deltas, strict=True))
    g = replace(splats, means=splats.means + _eyelids(head.template, own) - _eyelids(splats.means, shapes))
    face = _skull_face(head)
    frames = face_frames(head.template, head.faces[face : face + 1])
    rotation, size = frames.rotation[0], frames.scale[0]
    middle, n = head.template[head.faces[face]].mean(0), len(g)
    binding = Binding(torch.full((n,), face), torch.full((n, 3), 1 / 3))
    names = [name for name in head.expressions if name in shapes]
    moves = torch.stack([shapes[name] for name in names])
    basis = _reduced(moves, names, head, rotation.expand(n, 3, 3), size.expand(n))
    local = _local(g, rotation.expand(n, 3, 3), size.expand(n), middle.expand(n, 3))
    return Avatar(head.name, torch.zeros(len(head.identities)), local, binding, basis, about=_about(source))


def on_mesh(splats: Gaussians, shapes: Mapping[str, Float[Tensor, "n 3"]], body: Avatar, source: str) -> Avatar:
    """Returns splats bound to the triangles that they rode on when our own exporter wrote them.

    Args:
        splats: The head at rest in head space, metres.
        shapes: As for `on_skull`; a splat that a shape does not move at all is left to the mesh.
        body: Head, identity, shape and binding; its splats are replaced.
        source: The file's name.
    """
    head = heads.of(body)
    assert isinstance(head, AnnyHead)
    with torch.no_grad():
        rest = head.vertices(body.identity, head.neutral())
        frames = face_frames(rest, head.faces)
        turn, size = frames.rotation[body.binding.face], frames.scale[body.binding.face]
        local = _local(splats, turn, size, anchors(rest, head.faces, body.binding))
        names = [name for name in head.expressions if name in shapes]
        moves = torch.zeros(len(names), len(splats), 3)
        for i, name in enumerate(names):
            pose = head.neutral()
            pose.expression[head.expressions.index(name)] = 1.0
            vertices = head.vertices(body.identity, pose)
            there = face_frames(vertices, head.faces)
            rotation, scale = there.rotation[body.binding.face], there.scale[body.binding.face]
            ridden = (rotation @ (local.means * scale[:, None])[..., None])[..., 0]
            ridden += anchors(vertices, head.faces, body.binding)
            missing = (rotation.mT @ (splats.means + shapes[name] - ridden)[..., None])[..., 0] / scale[:, None]
            moved = (shapes[name] != 0).any(1, keepdim=True)
            moves[i] = torch.where(moved, (turn @ (missing * size[:, None])[..., None])[..., 0], 0.0)
        basis = _reduced(moves, names, head, turn, size)
    return replace(body, gaussians=local, basis=basis, about={**body.about, **_about(source)})


def _about(source: str) -> dict[str, object]:
    return {"source": source, "imported": True}


def _local(g: Gaussians, turn: Tensor, size: Tensor, foot: Tensor) -> Gaussians:
    """Returns splats in frames: rotations n 3 3, sizes n, origins n 3."""
    return Gaussians(
        (turn.mT @ (g.means - foot)[..., None])[..., 0] / size[:, None],
        quat_product(matrix_to_quat(turn.mT), g.quats),
        g.log_scales - size.log()[:, None],
        g.logits,
        g.sh,
    )


def _reduced(
    moves: Float[Tensor, "e n 3"],
    names: list[str],
    head: AnnyHead,
    turn: Float[Tensor, "n 3 3"],
    size: Float[Tensor, " n"],
) -> Basis:
    """Returns shapes as few blendshapes in the splats' frames: principal components, weighed by a linear network.

    52 shapes of a face are far from independent; what is left out moves splats by `_LOST` on average.
    """
    n = moves.shape[1]
    flat = moves.flatten(1).double()
    strength, vectors = torch.linalg.eigh(flat @ flat.mT)
    rest = strength.clamp_min(0).cumsum(0)  # what the weakest so many hold together
    least = _LOST**2 * n * len(names)
    kept = vectors[:, int((rest <= least).sum()) :].flip(1) if bool((rest > least).any()) else vectors[:, -1:]
    parts = (kept.mT @ flat).float().unflatten(1, (n, 3))
    k = len(parts)
    layer = torch.zeros(k, len(head.expressions) + 3 * len(head.joints))
    layer[:, [head.expressions.index(name) for name in names]] = kept.mT.float()
    means = (turn.mT @ parts[..., None])[..., 0] / size[:, None]
    return Basis(means, torch.zeros(k, n, 4), torch.zeros(k, n, 3), (layer, torch.zeros(k)))


def _eyelids(points: Float[Tensor, "n 3"], shapes: Mapping[str, Float[Tensor, "n 3"]]) -> Float[Tensor, "3"]:
    """Returns the middle between the two places that blinking moves: what puts one head where another is."""
    ends = []
    for side in ("Left", "Right"):
        weight = shapes[f"eyeBlink{side}"].square().sum(1)
        ends.append((points * weight[:, None]).sum(0) / weight.sum().clamp_min(1e-12))
    return (ends[0] + ends[1]) / 2


def _skull_face(head: AnnyHead) -> int:
    """Returns the triangle of nearest to usual size that moves with the head's joint and with nothing else.

    Splats are measured in units of their triangle; the player's steps are made for triangles of a usual size.
    """
    joint = 1 + head.joints.index("head")
    firm = (head.weights[:, joint] > 0.999) & (head.deltas.abs().amax((0, 2)) < 1e-6)
    good = firm[head.faces].all(1)
    corners = head.template[head.faces]
    area = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).norm(dim=-1)
    if not bool(good.any()):
        raise AvatarError(f"head '{head.name}' has no triangle that only its head joint moves")
    return int(torch.where(good, (area.sqrt() - _USUAL).abs(), torch.inf).argmin())
