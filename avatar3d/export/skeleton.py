"""An avatar's bones, shapes and performance, as formats with skins and morph targets want them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatar3d import geometry, heads, rig
from avatar3d.core import Avatar, AvatarError, Gaussians, Pose
from avatar3d.export.gltf import Glb
from avatar3d.export.splats import posed_splats
from avatar3d.heads import AnnyHead
from avatar3d.render.path import neutral

_RIDGE = 1.0  # in frames with a shape at 1; 0.1 to 10 give the same within 2 %


@dataclass(frozen=True)
class Bones:
    """Joints in a tree, the torso first."""

    names: tuple[str, ...]
    parents: tuple[int, ...]
    """Index of each one's parent in `names`; -1 for the torso."""
    rest: Float[np.ndarray, "b 3"]
    """Positions at rest, head space, metres."""


@dataclass(frozen=True)
class Skin:
    """The four bones that move each vertex or splat most."""

    joints: Int[np.ndarray, "n 4"]
    weights: Float[np.ndarray, "n 4"]
    """Summing to one."""


def head_of(avatar: Avatar, form: str) -> AnnyHead:
    """Returns the avatar's head.

    Raises:
        AvatarError: It has none, so that there is nothing to animate.
    """
    head = heads.of(avatar)
    if not isinstance(head, AnnyHead):
        raise AvatarError(f"{form}: splats without a head have no shapes and bones; write them as ply, spz, ...")
    return head


def bones(avatar: Avatar, head: AnnyHead) -> Bones:
    """Returns the head's joints, with the torso before them."""
    rest = head.rest_joints(avatar.identity).numpy()
    return Bones(
        ("torso", *head.joints),
        (-1, *(parent + 1 for parent in head.parents)),
        np.concatenate([np.zeros((1, 3), np.float32), rest]).astype(np.float32),
    )


def strongest(weights: Float[Tensor, "n b"]) -> Skin:
    """Returns the four largest weights of each row, made to sum to one again; bones without weight are number 0."""
    top = weights.double().topk(4, dim=-1)
    share = top.values / top.values.sum(-1, keepdim=True).clamp_min(1e-9)
    joints = torch.where(share > 0, top.indices, 0)
    return Skin(joints.numpy(), share.numpy().astype(np.float32))


def linear(avatar: Avatar, head: AnnyHead) -> Avatar:
    """Returns the avatar with blendshapes whose weights are linear in the pose, as morph targets are.

    The network that drives them is not linear, and far from poses that it has seen it asks for anything: a shape at 1
    alone is such a pose. So it is replaced by the line that comes nearest to it on the avatar's own performance (ridge
    regression, which leaves out shapes that never occurred). On fitted avatars this halves the distance between what
    morph targets show and what the avatar does: 0.8 mm instead of 1.7 mm.
    """
    if avatar.basis is None:
        return avatar
    inputs = len(head.expressions) + 3 * len(head.joints)
    if avatar.motion is None or len(avatar.motion) < 2:
        steps = torch.eye(inputs)[: len(head.expressions)]
        pose = neutral(head, len(steps))
        pose = replace(pose, expression=steps[:, : len(head.expressions)])
    else:
        pose = avatar.motion.pose
    x = torch.cat([pose.expression, pose.joints.flatten(1)], 1).double()
    y = rig.basis_weights(avatar.basis, pose).double()
    middle, wanted = x.mean(0), y.mean(0)
    square = (x - middle).mT @ (x - middle) + _RIDGE * torch.eye(inputs, dtype=torch.float64)
    slope = torch.linalg.solve(square, (x - middle).mT @ (y - wanted))
    layers = (slope.mT.float().contiguous(), (wanted - middle @ slope).float())
    return replace(avatar, basis=replace(avatar.basis, weights=layers))


def splat_skin(avatar: Avatar, head: AnnyHead) -> Skin:
    """Returns what moves each splat: the weights of the point of the mesh that it rides on."""
    corners = head.weights[head.faces[avatar.binding.face]]
    return strongest((corners * avatar.binding.bary[..., None]).sum(1).clamp_min(0))


def shape_splats(avatar: Avatar, head: AnnyHead, rest: Gaussians) -> Iterator[tuple[str, Float[np.ndarray, "n 3"]]]:
    """Yields each expression's name and how far it moves every splat at weight 1, metres."""
    for i, name in enumerate(head.expressions):
        pose = neutral(head)
        pose.expression[i] = 1.0
        yield name, (posed_splats(avatar, pose).means - rest.means).numpy()


def shape_vertices(avatar: Avatar, head: AnnyHead) -> Iterator[tuple[str, Float[np.ndarray, "v 3"]]]:
    """Yields each expression's name and how far it moves every vertex at weight 1, metres."""
    with torch.no_grad():
        rest = head.vertices(avatar.identity, neutral(head))
        for i, name in enumerate(head.expressions):
            pose = neutral(head)
            pose.expression[i] = 1.0
            yield name, (head.vertices(avatar.identity, pose) - rest).numpy()


def performance(avatar: Avatar, most: int | None) -> Pose | None:
    """Returns the avatar's own performance in head space: its first frame's torso is where the head rests."""
    if avatar.motion is None or len(avatar.motion) == 0:
        return None
    pose = rig.carried(avatar.motion.pose[slice(0, most)], avatar.bearing)
    start = geometry.rigid_inverse(pose.root[:1])
    return replace(pose, root=start @ pose.root, soft=None)


def add_bones(glb: Glb, avatar: Avatar, head: AnnyHead, first: int) -> tuple[list[dict], dict]:
    """Returns the nodes of the bones, the first of which will be number `first`, and the skin that uses them.

    A bearing's turns are theirs; where bones are at rest it is left out.
    """
    tree, turns = bones(avatar, head), _steady(geometry.matrix_to_quat(_held(avatar, head)))
    nodes: list[dict] = []
    for i, (name, parent) in enumerate(zip(tree.names, tree.parents, strict=True)):
        offset = tree.rest[i] - (tree.rest[parent] if parent >= 0 else 0)
        children = [first + j for j, other in enumerate(tree.parents) if other == i]
        node = {"name": name, "translation": offset.astype(float).tolist()}
        if i and avatar.bearing is not None:
            node["rotation"] = turns[i - 1, [1, 2, 3, 0]].double().tolist()
        nodes.append({**node, "children": children} if children else node)
    inverse = np.tile(np.eye(4, dtype=np.float32), (len(tree.names), 1, 1))
    inverse[:, 3, :3] = -tree.rest  # columns first, as glTF stores matrices
    skin = {"inverseBindMatrices": glb.add(inverse.reshape(-1, 16), "MAT4", None), "skeleton": first}
    return nodes, {**skin, "joints": list(range(first, first + len(nodes)))}


def at_ease(avatar: Avatar, head: AnnyHead) -> tuple[Avatar, list[float]]:
    """Returns the avatar without its bearing, which files say by weights and bones, and the weights at rest."""
    weights = rig.carried(neutral(head), avatar.bearing).expression
    return replace(avatar, bearing=None), weights.double().tolist()


def _held(avatar: Avatar, head: AnnyHead) -> Float[Tensor, "j 3 3"]:
    return geometry.rotvec_to_matrix(rig.carried(neutral(head), avatar.bearing).joints)


def add_performance(glb: Glb, avatar: Avatar, mesh_node: int, first: int, most: int | None) -> list[dict]:
    """Returns the animation of the avatar's own performance, in a list, or an empty list if it has none."""
    pose = performance(avatar, most)
    if pose is None or avatar.motion is None:
        return []
    t = len(pose.expression)
    times = glb.add((np.arange(t) / avatar.motion.fps).astype(np.float32)[:, None], "SCALAR", None, bounds=True)
    samplers, channels = [], []

    def track(values: Tensor, kind: str, node: int, path: str) -> None:
        output = glb.add(values.numpy().astype(np.float32), kind, None)
        samplers.append({"input": times, "output": output, "interpolation": "LINEAR"})
        channels.append({"sampler": len(samplers) - 1, "target": {"node": node, "path": path}})

    track(pose.expression.clamp(0, 1), "SCALAR", mesh_node, "weights")
    track(pose.root[:, :3, 3], "VEC3", first, "translation")
    turns = [pose.root[:, :3, :3], *geometry.rotvec_to_matrix(pose.joints).unbind(1)]
    for i, turn in enumerate(turns):
        track(_steady(geometry.matrix_to_quat(turn))[:, [1, 2, 3, 0]], "VEC4", first + i, "rotation")
    return [{"name": "performance", "samplers": samplers, "channels": channels}]


def _steady(quats: Float[Tensor, "t 4"]) -> Float[Tensor, "t 4"]:
    """Returns quaternions with signs chosen so that neighbours are near each other, and of length one in float32."""
    quats = quats.double()
    agree = (quats[1:] * quats[:-1]).sum(-1).sign()
    sign = torch.cat([agree.new_ones(1), torch.where(agree == 0, 1.0, agree)]).cumprod(0)
    return torch.nn.functional.normalize(quats * sign[:, None], dim=-1).float()
