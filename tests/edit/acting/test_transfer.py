"""Parts of a face from different performances."""

import pytest
import torch

from avatar3d.core import AvatarError, Motion, Pose
from avatar3d.edit.acting.transfer import PARTS, part_of, transferred
from avatar3d.heads import load
from avatar3d.heads.arkit import ARKIT


def wild(seed: int, count: int = 40, fps: float = 25.0) -> Motion:
    make = torch.Generator().manual_seed(seed)
    pose = Pose(
        torch.rand(count, 52, generator=make),
        0.3 * torch.randn(count, 6, 3, generator=make),
        torch.eye(4).repeat(count, 1, 1),
    )
    pose.root[:, :3, 3] = torch.randn(count, 3, generator=make)
    return Motion(pose, fps, ARKIT)


def test_each_part_comes_whole_and_alone() -> None:
    one, other = wild(0), wild(1)
    for part in PARTS:
        mixed = transferred(one, part, other)
        mine = torch.tensor([part_of(n) == part for n in ARKIT])
        assert mixed.pose.expression[:, mine].equal(other.pose.expression[:, mine])
        assert mixed.pose.expression[:, ~mine].equal(one.pose.expression[:, ~mine])
        head = [0, 1, 4, 5]
        assert mixed.pose.joints[:, head].equal((other if part == "pose" else one).pose.joints[:, head])
        assert mixed.pose.joints[:, 2:4].equal((other if part == "upper" else one).pose.joints[:, 2:4])
        assert mixed.pose.root.equal((other if part == "pose" else one).pose.root)


def test_parts_hardly_touch_each_other_on_the_mesh() -> None:
    """Cross-talk: what one part does to the region of the other is below 5 % of what that does itself."""
    head = load("anny")
    regions = {
        "mouth": (head.regions["lips"] > 0.5) | (head.regions["chin"] > 0.5),
        "upper": (head.regions["brows"] > 0.5) | (head.regions["lids"] > 0.5) | (head.regions["forehead"] > 0.5),
    }
    one, other = wild(2, 12), wild(3, 12)

    def surface(motion: Motion) -> torch.Tensor:
        pose = Pose(motion.pose.expression, torch.zeros(12, 6, 3), torch.eye(4).expand(12, 4, 4))
        return head.vertices(torch.zeros(len(head.identities)), pose)

    moved = {p: (surface(transferred(one, p, other)) - surface(one)).norm(dim=-1).mean(0) for p in regions}
    own = {p: float(moved[p][where].mean()) for p, where in regions.items()}
    assert float(moved["mouth"][regions["upper"]].mean()) < 0.05 * own["upper"]
    assert float(moved["upper"][regions["mouth"]].mean()) < 0.05 * own["mouth"]


def test_other_rates_and_lengths() -> None:
    one, other = wild(0, 50, 25.0), wild(1, 40, 50.0)  # .8 s
    mixed = transferred(one, "mouth", other).pose.expression
    jaw = ARKIT.index("jawOpen")
    assert len(mixed) == 50
    assert mixed[5, jaw] == other.pose.expression[10, jaw]
    assert mixed[25:].equal(one.pose.expression[25:])  # it has ended, and gone back smoothly


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(AvatarError, match="nearest"):
        transferred(wild(0), "mouht", wild(1))
    with pytest.raises(AvatarError, match="without frames"):
        transferred(wild(0), "mouth", wild(1, 0))
