"""A small head of our own, so that the fit's parts are tested without the default head's data."""

import math
from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import Tensor

from avatar3d.core import Pose
from avatar3d.geometry import apply, rigid, rotvec_to_matrix


@dataclass(frozen=True)
class Ball:
    """A head-sized ellipsoid whose lower part the first expression moves down; it turns at two joints."""

    name: str = "ball"
    rings: int = 24
    expressions: tuple[str, ...] = ("jawOpen", "browInnerUp")
    joints: tuple[str, ...] = ("neck", "head")
    identities: tuple[str, ...] = ("width",)
    rest: Tensor = field(default_factory=lambda: torch.zeros(0, 3))
    faces: Tensor = field(default_factory=lambda: torch.zeros(0, 3, dtype=torch.long))
    uv: Tensor = field(default_factory=lambda: torch.zeros(0, 3, 2))
    regions: dict = field(default_factory=dict)
    colours: Tensor = field(default_factory=lambda: torch.zeros(0, 3))
    soft: Tensor = field(default_factory=lambda: torch.zeros(0, 0))

    def vertices(self, identity: Tensor, pose: Pose) -> Tensor:
        low = (self.rest[:, 1] < -0.03).float()
        width = self.rest * self.rest.new_tensor([1.0, 0, 0])
        moved = self.rest + 0.1 * identity[..., :1, None] * width
        down = self.rest.new_tensor([0.0, -0.02, 0.0])
        moved = moved + pose.expression[..., :1, None] * low[:, None] * down
        return apply(self.joint_transforms(identity, pose)[..., 1, :, :], moved)

    def joint_transforms(self, identity: Tensor, pose: Pose) -> Tensor:
        turn = rigid(rotvec_to_matrix(pose.joints), torch.zeros_like(pose.joints))
        neck = pose.root @ turn[..., 0, :, :]
        return torch.stack([neck, neck @ turn[..., 1, :, :]], dim=-3)

    def reshaped(self, offsets: Tensor) -> "Ball":
        return replace(self, rest=self.rest + offsets)

    def to(self, *args, **kwargs) -> "Ball":
        return self


def make_ball(rings: int = 24) -> Ball:
    """Returns the head: a latitude-longitude grid whose texture map is the grid itself."""
    lat = torch.linspace(0, math.pi, rings + 1)
    lon = torch.linspace(-math.pi, math.pi, 2 * rings + 1)
    t, p = torch.meshgrid(lat, lon, indexing="ij")
    unit = torch.stack([t.sin() * p.sin(), t.cos(), t.sin() * p.cos()], dim=-1).reshape(-1, 3)
    rest = unit * torch.tensor([0.08, 0.11, 0.09])
    row, column = torch.meshgrid(torch.arange(rings), torch.arange(2 * rings), indexing="ij")
    a = (row * (2 * rings + 1) + column).reshape(-1)
    b, c, d = a + 1, a + 2 * rings + 1, a + 2 * rings + 2
    faces = torch.cat([torch.stack([a, c, d], -1), torch.stack([a, d, b], -1)])
    grid = torch.stack([(p / math.pi + 1) / 2, 1 - t / math.pi], dim=-1).reshape(-1, 2)
    regions = {
        "face": ((rest[:, 2] > 0.02) & (rest[:, 1] < 0.06)).float(),
        "scalp": ((rest[:, 1] > 0.06) | (rest[:, 2] < -0.04)).float(),
        "lips": ((rest[:, 2] > 0.05) & ((rest[:, 1] + 0.045).abs() < 0.015) & (rest[:, 0].abs() < 0.03)).float(),
    }
    colours = 0.5 + 0.3 * torch.sin(rest * 40 + torch.tensor([0.0, 1.0, 2.0]))
    soft = torch.zeros(len(rest), 0)
    return Ball(rest=rest, faces=faces, uv=grid[faces], regions=regions, colours=colours, soft=soft)


@pytest.fixture(scope="session")
def ball() -> Ball:
    return make_ball()
