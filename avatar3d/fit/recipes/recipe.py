"""What all baselines share: a mesh to bind to, named parameters with rates, and how they are posed and judged."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.spatial import KDTree
from torch import Tensor

from avatar3d.core import Binding, Gaussians, HeadModel, Pose, Render
from avatar3d.fit.density import Change, Rule
from avatar3d.fit.start import rest_pose
from avatar3d.fit.views import Batch, Views
from avatar3d.ops.optim import Adam


@dataclass(frozen=True)
class Body:
    """The mesh that splats are bound to."""

    head: HeadModel
    identity: Float[Tensor, " s"]
    rest: Float[Tensor, "v 3"]
    """Vertices at rest, metres."""
    seed: int = 0

    @staticmethod
    def of(head: HeadModel, identity: Float[Tensor, " s"], seed: int = 0) -> "Body":
        """Returns the body of a person."""
        return Body(head, identity, head.vertices(identity, rest_pose(head)), seed)


@dataclass(frozen=True)
class Density:
    """How a recipe lets its splats multiply."""

    rule: Rule
    first: float
    """Share of the training after which it begins."""
    last: float
    """Share after which it ends."""
    rounds: int = 12
    """How often in between."""


class Recipe(ABC):
    """One published way to bind splats to a mesh and to train them.

    Parameters live in `optimiser.values`; a subclass names them, their rates, and which of their axes counts splats.
    """

    RATES: ClassVar[Mapping[str, tuple[float, float]]]
    """Learning rate by the family of a name (its first part), and the share of it that is left at the end."""
    AXES: ClassVar[Mapping[str, int]]
    """The axis that counts splats, for the parameters that have one."""
    DENSITY: ClassVar[Density | None] = None

    def __init__(self, body: Body, binding: Binding, values: Mapping[str, Tensor], pace: float) -> None:
        self.body, self.binding, self.pace = body, binding, pace
        leaves = {name: x.detach().clone().contiguous().requires_grad_() for name, x in values.items()}
        self.optimiser = Adam(leaves, dict.fromkeys(leaves, 0.0))
        self.share = 0.0
        """Part of the training that is done."""
        self.steps = 0
        """Steps done."""

    @classmethod
    @abstractmethod
    def begin(cls, body: Body, views: Views, splats: int, pace: float) -> "Recipe":
        """Returns the recipe before its first step; about `splats` splats, rates multiplied by `pace`."""

    @abstractmethod
    def posed(self, vertices: Float[Tensor, "b v 3"], pose: Pose) -> Gaussians:
        """Returns the splats in the world."""

    @abstractmethod
    def loss(self, render: Render, seen: Batch, vertices: Float[Tensor, "b v 3"]) -> Float[Tensor, ""]:
        """Returns what is minimised."""

    @property
    def values(self) -> dict[str, Tensor]:
        return self.optimiser.values

    def __len__(self) -> int:
        return len(self.binding.face)

    def step(self, share: float) -> None:
        """Does a step of the optimiser with the rates of that moment."""
        for name in self.values:
            rate, final = self.RATES[name.split(".")[0]]
            self.optimiser.rates[name] = self.pace * rate * final**share
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.share, self.steps = share, self.steps + 1

    def settle(self, step: int) -> None:
        """Does what follows a step."""
        return

    def change(self, change: Change) -> None:
        """Takes over a new set of splats; subclasses move the halves of split ones."""
        self.optimiser = self.optimiser.gather(change.src, self.AXES)
        self.binding = self.binding.gather(change.src)

    def tensors(self) -> dict[str, Tensor]:
        """Returns all that is needed to show the result."""
        values = {name: x.detach() for name, x in self.values.items()}
        return values | {"face": self.binding.face.to(torch.int32), "bary": self.binding.bary}


def surface_samples(rest: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"], count: int, seed: int) -> Binding:
    """Returns random points on a mesh, evenly by area."""
    generator = torch.Generator().manual_seed(seed)
    a, b, c = rest[faces].unbind(1)
    area = torch.linalg.cross(b - a, c - a).norm(dim=-1)
    face = torch.multinomial(area, count, replacement=True, generator=generator)
    root, part = torch.rand(count, generator=generator).sqrt(), torch.rand(count, generator=generator)
    return Binding(face, torch.stack([1 - root, root * (1 - part), root * part], dim=-1))


def spacing(points: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
    """Returns the root mean square distance to the three nearest neighbours, as 3D Gaussian splatting sizes splats."""
    distance, _ = KDTree(points.numpy()).query(points.numpy(), k=min(4, len(points)), workers=1)
    return torch.from_numpy(np.sqrt((distance[:, 1:] ** 2).mean(-1))).float().clamp(min=1e-5)


def plain(count: int, opacity: float = 0.1) -> dict[str, Tensor]:
    """Returns quaternions of no rotation, logits of one opacity, and grey."""
    quats = torch.zeros(count, 4)
    quats[:, 0] = 1
    logit = torch.tensor(opacity).logit()
    return {"quats": quats, "logits": logit.expand(count), "sh": torch.zeros(count, 1, 3)}


def carriers(head: HeadModel, binding: Binding) -> Int[Tensor, " n"]:
    """Returns the joint that turns the surface under each splat: 0 the torso (root), j + 1 the joint j.

    Eyes turn with the eyes, the torso with the root, the neck with the neck, everything else with the head.
    """
    names = list(head.joints)
    result = torch.full((len(binding.face),), names.index("head") + 1)
    for region, joint in (("neck", "neck"), ("torso", ""), ("eye_left", "eye_left"), ("eye_right", "eye_right")):
        if region in head.regions and (not joint or joint in names):
            weight = (head.regions[region][head.faces[binding.face]] * binding.bary).sum(-1)
            result[weight > 0.5] = names.index(joint) + 1 if joint else 0
    return result


def turns(body: Body, carrier: Int[Tensor, " n"], pose: Pose) -> Float[Tensor, "b n 3 3"]:
    """Returns the rotation from rest to the pose of what carries each splat."""
    identity = body.identity.expand(len(pose.expression), -1)
    joints = body.head.joint_transforms(identity, pose)[..., :3, :3]
    return torch.cat([pose.root[:, None, :3, :3], joints], dim=1)[:, carrier]
