"""From posed to canonical space and back."""

from dataclasses import replace

import torch

from avatar3d.core import Pose
from avatar3d.fields import warp
from avatar3d.fit.start import rest_pose
from avatar3d.geometry import rigid, rotvec_to_matrix


def lively(head, seed: int = 0) -> Pose:
    random = torch.Generator().manual_seed(seed)
    pose = rest_pose(head)
    pose.expression[:] = 0.3 * torch.rand(len(head.expressions), generator=random)
    pose.expression[list(head.expressions).index("jawOpen")] = 0.6
    pose.joints[:2] = 0.15 * torch.randn(2, 3, generator=random)
    turn = rotvec_to_matrix(torch.tensor([0.1, 0.4, -0.05]))
    return Pose(pose.expression, pose.joints, rigid(turn, torch.tensor([0.02, -0.03, -0.7])))


def way(field, head, pose):
    around = warp.incidence(field.canonical, head.faces)
    return warp.carrier(field, head, around, torch.zeros(len(head.identities)), pose, field.parts)


def near_points(head, pose, count: int, far: float, seed: int = 1):
    """Points around the posed face and scalp, up to `far` metres off."""
    random = torch.Generator().manual_seed(seed)
    vertices = head.vertices(torch.zeros(len(head.identities)), pose)
    some = ((head.regions["face"] + head.regions["scalp"]) > 0.5).nonzero()[:, 0]
    index = some[torch.randint(len(some), (count,), generator=random)]
    away = torch.nn.functional.normalize(torch.randn(count, 3, generator=random), dim=-1)
    return vertices[index] + away * far * torch.rand(count, 1, generator=random)


def test_canonical_pose_stays_where_it_is(field, head) -> None:
    pose = rest_pose(head)
    pose.expression[list(head.expressions).index("jawOpen")] = 0.35
    points = near_points(head, pose, 2000, 0.009)
    moved = warp.carry(points, way(field, head, pose))
    assert (moved.points - points).abs().max() < 2e-5


def test_there_and_back(field, head) -> None:
    pose = lively(head)
    by = way(field, head, pose)
    points = near_points(head, pose, 4000, 0.01)
    there = warp.carry(points, by)
    back = warp.carry(there.points, warp.inverse(by))
    error = (back.points - points).norm(dim=-1)
    assert error.median() < 1e-4, "a tenth of a millimetre"
    assert error.quantile(0.95) < 2e-3
    on_surface = warp.carry(head.vertices(torch.zeros(len(head.identities)), pose), by)
    assert (on_surface.points - field.canonical).norm(dim=-1).quantile(0.9) < 1e-4


def test_surface_points_go_to_their_own_place(field, head) -> None:
    pose = lively(head)
    by = way(field, head, pose)
    given = warp.Carried(
        by.start[head.faces].mean(1),
        torch.arange(len(head.faces), dtype=torch.int32),
        torch.full((len(head.faces), 3), 1 / 3),
        torch.zeros(len(head.faces)),
        torch.ones(len(head.faces)),
        torch.zeros(len(head.faces), 5),
    )
    moved = warp.carry_from(given.points, by, given)
    assert (moved.points - field.canonical[head.faces].mean(1)).abs().max() < 1e-5


def test_far_points_follow_the_skull(field, head) -> None:
    pose = lively(head)
    pose.expression.zero_()
    by = way(field, head, pose)
    skull = head.joint_transforms(torch.zeros(len(head.identities)), pose)[list(head.joints).index("head")]
    rest = torch.tensor([[0.0, 0.22, -0.08], [0.03, 0.2, -0.1]])  # above the crown
    points = rest @ skull[:3, :3].mT + skull[:3, 3]
    moved = warp.carry(points, by)
    assert (moved.distance > warp.FAR).all()
    assert (moved.points - rest).abs().max() < 1e-4


def test_falls_off_smoothly() -> None:
    distance = torch.linspace(0, 0.08, 400)
    share = warp.falloff(distance)
    assert share[0] == 1 and share[-1] == 0
    assert (share.diff() <= 0).all() and share.diff().abs().max() < 0.02


def test_gradient_of_the_pose_moves_points_as_the_pose_does(field, head) -> None:
    """Against differences; how the surface turns has no gradient, so that they agree nearly, not exactly."""
    pose = lively(head)
    points = near_points(head, pose, 300, 0.004)
    along = torch.randn(300, 3, generator=torch.Generator().manual_seed(4))

    def moved(shift: torch.Tensor) -> torch.Tensor:
        root = pose.root.clone()
        root = torch.cat([torch.cat([root[:3, :3], (root[:3, 3] + shift)[:, None]], 1), root[3:]])
        by = way(field, head, Pose(pose.expression, pose.joints, root))
        return (warp.carry(points, by).points * along).sum()

    shift = torch.zeros(3, requires_grad=True)
    (gradient,) = torch.autograd.grad(moved(shift), shift)
    step = 2e-4
    with torch.no_grad():
        differences = [(moved(step * e) - moved(-step * e)) / (2 * step) for e in torch.eye(3)]
    wanted = torch.stack(differences)
    assert wanted.norm() > 3 and (gradient - wanted).norm() < 0.2 * wanted.norm()


def test_same_bits_for_any_threads(field, head) -> None:
    points = near_points(head, lively(head), 5000, 0.03)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            by = way(field, head, lively(head))
            start, bone = by.start.clone().requires_grad_(), by.bone.clone().requires_grad_()
            moved = warp.carry(points, replace(by, start=start, bone=bone)).points
            gradient = torch.cat(torch.autograd.grad(moved, [start, bone], points), dim=1)
            found.append((moved.detach(), gradient))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0][0], found[1][0]) and torch.equal(found[0][1], found[1][1])
