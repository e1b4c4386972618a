"""Parts of a face that listen to the pose by themselves, so that the mouth can move without the hair flickering."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from avatar3d.core import AvatarError, HeadModel, Pose
from avatar3d.fields.settings import FieldSettings

# Regions of the head model, and beginnings of the names of the expressions that are heard there. Joints are heard by
# the whole head alone: how light falls changes with its turn, slowly.
PARTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "head": ((), ()),
    "face": (("face", "cheeks", "chin"), ("",)),
    "mouth": (("lips", "mouth_interior", "teeth", "tongue"), ("mouth", "jaw", "tongue", "cheekPuff", "noseSneer")),
    "eyes": (("eyes", "lids", "sockets"), ("eye", "cheekSquint", "browDown")),
    "brows": (("brows", "forehead"), ("brow", "eyeWide", "eyeSquint")),
}
_SPOKEN = ("mouth", "jaw", "tongue", "cheekPuff", "noseSneer")
"""Expressions that sound replaces."""
_SPREAD = 8  # rounds of smoothing over the mesh, about 15 mm


def part_weights(head: HeadModel) -> Float[Tensor, "v p"]:
    """Returns how far each vertex belongs to each part, in [0, 1]; soft at the border."""
    v = head.soft.shape[0]
    columns = [torch.ones(v)]
    for regions, _ in list(PARTS.values())[1:]:
        found = [head.regions[name].float() for name in regions if name in head.regions]
        columns.append(torch.stack(found).amax(0) if found else torch.zeros(v))
    weights = torch.stack(columns, 1)
    count = torch.bincount(head.faces.flatten(), minlength=v).clamp(min=1)[:, None]
    for _ in range(_SPREAD):
        of_faces = weights[head.faces].mean(1)
        total = torch.zeros_like(weights)
        for corner in range(3):
            total.index_add_(0, head.faces[:, corner], of_faces)
        weights = total / count
    return weights


def inputs(head: HeadModel, settings: FieldSettings) -> int:
    """Returns the numbers of a pose that a field listens to: sound (if it does), expression, joints."""
    return settings.heard + len(head.expressions) + 3 * len(head.joints)


def listening(head: HeadModel, settings: FieldSettings) -> Bool[Tensor, "p i"]:
    """Returns which of those each part listens to."""
    joints, sound = 3 * len(head.joints), settings.heard
    rows = []
    for name, (_, beginnings) in PARTS.items():
        heard = [any(e.startswith(b) for b in beginnings) for e in head.expressions]
        if settings.condition == "audio":
            heard = [h and not e.startswith(_SPOKEN) for h, e in zip(heard, head.expressions, strict=True)]
        row = [name in ("face", "mouth")] * sound + heard + [name == "head"] * joints
        rows.append(row if settings.condition != "none" else [False] * len(row))
    return torch.tensor(rows)


def unspoken(head: HeadModel, pose: Pose) -> Pose:
    """Returns the pose as it moves the mesh of a field that listens to sound: the mouth is drawn, not moved."""
    silent = torch.tensor([0.0 if e.startswith(_SPOKEN) else 1.0 for e in head.expressions])
    return Pose(pose.expression * silent, pose.joints, pose.root, pose.soft, pose.heard)


def said(head: HeadModel, settings: FieldSettings, pose: Pose) -> Float[Tensor, " i"]:
    """Returns what a field listens to in one pose.

    Raises:
        AvatarError: The field listens to sound and the pose brings none, or of another kind.
    """
    numbers = [pose.expression, pose.joints.flatten()]
    if settings.condition == "audio":
        if pose.heard is None or pose.heard.shape[-1] != settings.heard:
            got = "none" if pose.heard is None else f"{pose.heard.shape[-1]} numbers"
            raise AvatarError(
                f"this field listens to sound ({settings.heard} numbers a frame), the pose brings {got}: "
                "drive it with `avatar3d drive --audio`, or replay its own performance"
            )
        numbers.insert(0, pose.heard)
    return torch.cat(numbers)
