"""Walking on a mesh: a flat mesh shows straight lines, a folded one keeps lengths."""

import torch

from avatar3d.core import Binding
from avatar3d.fit.recipes.walk import neighbours, walk
from avatar3d.rig.frames import anchors


def grid(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns a flat square of n x n cells of two triangles each."""
    y, x = torch.meshgrid(torch.arange(n + 1.0), torch.arange(n + 1.0), indexing="ij")
    row, column = torch.meshgrid(torch.arange(n), torch.arange(n), indexing="ij")
    a = (row * (n + 1) + column).reshape(-1)
    faces = torch.cat([torch.stack([a, a + 1, a + n + 2], -1), torch.stack([a, a + n + 2, a + n + 1], -1)])
    return torch.stack([x, y, 0 * x], -1).reshape(-1, 3), faces


def test_neighbours_share_the_edge_opposite_to_the_corner():
    _, faces = grid(3)
    beside = neighbours(faces).face
    for f in range(len(faces)):
        for corner in range(3):
            other = int(beside[f, corner])
            edge = {int(faces[f, (corner + i) % 3]) for i in (1, 2)}
            sharing = [g for g in range(len(faces)) if g != f and edge <= set(faces[g].tolist())]
            assert sharing == ([other] if other >= 0 else [])


def test_on_a_flat_mesh_points_go_straight():
    rest, faces = grid(6)
    generator = torch.Generator().manual_seed(0)
    start = torch.rand(300, 3, generator=generator)
    binding = Binding(torch.randint(0, len(faces), (300,), generator=generator), start / start.sum(-1, keepdim=True))
    step = 1.5 * (torch.rand(300, 2, generator=generator) - 0.5)
    corners = rest[faces[binding.face]]
    edges = torch.stack([corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]], -1)[:, :2]
    uv = binding.bary[:, 1:] + (torch.linalg.inv(edges) @ step[..., None])[..., 0]
    away = Binding(binding.face, torch.cat([1 - uv.sum(-1, keepdim=True), uv], -1))
    wanted = anchors(rest, faces, away)
    inside = ((wanted[:, :2] > 0.01) & (wanted[:, :2] < 5.99)).all(-1)
    landed = walk(away, rest, faces, neighbours(faces))
    assert inside.sum() > 200 and (landed.face != away.face)[inside].float().mean() > 0.4
    assert (landed.bary >= 0).all()
    torch.testing.assert_close(landed.bary.sum(-1), torch.ones(300))
    torch.testing.assert_close(anchors(rest, faces, landed)[inside], wanted[inside], atol=1e-4, rtol=0)
    # At the border they stop on it.
    end = anchors(rest, faces, landed)[:, :2]
    assert (end > -1e-4).all() and (end < 6 + 1e-4).all()


def test_over_a_fold_the_way_keeps_its_length():
    rest = torch.tensor([[0.0, 0, 0], [0, 1, 0], [-1, 0.5, 0], [0.0, 0.5, 1.0]])  # two triangles at a right angle
    faces = torch.tensor([[0, 1, 2], [1, 0, 3]])
    inside = torch.tensor([[0.45, 0.45, 0.1]])  # at x = -0.1
    away = torch.tensor([[0.65, 0.65, -0.3]])  # 0.4 further: x would be 0.3
    landed = walk(Binding(torch.tensor([0]), away), rest, faces, neighbours(faces))
    assert landed.face.tolist() == [1]
    point = anchors(rest, faces, landed)[0]
    torch.testing.assert_close(point, torch.tensor([0.0, 0.5, 0.3]), atol=1e-6, rtol=0)
    same = walk(Binding(torch.tensor([0]), inside), rest, faces, neighbours(faces))
    assert torch.equal(same.bary, inside)
