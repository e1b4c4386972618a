"""The search for closest points, run by the emulator, against the float64 twin and the CPU library."""

import pytest
import torch

from avatar3d.core import AvatarError
from avatar3d.ops import closest as ops
from avatar3d.ops import gpu
from avatar3d.ops.closest import closest
from avatar3d.ops.gpu import Host


def ball(rings: int, around: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A closed surface whose faces differ in size and shape."""
    random = torch.Generator().manual_seed(0)
    tilt, turn = torch.meshgrid(
        torch.linspace(0.05, 3.09, rings), torch.arange(around) / around * 6.2832, indexing="ij"
    )
    unit = torch.stack([tilt.sin() * turn.cos(), tilt.cos(), tilt.sin() * turn.sin()], -1).reshape(-1, 3)
    vertices = unit * (0.1 + 0.02 * torch.rand(len(unit), 1, generator=random))
    faces = []
    for i in range(rings - 1):
        for j in range(around):
            a, b = i * around + j, i * around + (j + 1) % around
            faces += [[a, b, a + around], [b, b + around, a + around]]
    faces = torch.tensor(faces)
    return vertices, faces[torch.randperm(len(faces), generator=random)]


def points_near(vertices: torch.Tensor, m: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(1)
    near = vertices[torch.randint(len(vertices), (m,), generator=random)]
    points = near * (1 + 0.5 * torch.randn(m, 1, generator=random)) + 0.01 * torch.randn(m, 3, generator=random)
    return torch.cat([points, vertices[:8], torch.zeros(1, 3), torch.full((1, 3), torch.nan)])


@pytest.mark.parametrize("radius", [None, 0.03])
def test_equals_twin_and_cpu(emulated, radius):
    """A tree of three levels; vertices themselves, the middle, and what is not finite."""
    vertices, faces = ball(14, 20)
    points = points_near(vertices, 90)
    got = closest(points, vertices, faces, radius, backend="emulated")
    cpu = closest(points, vertices, faces, radius, backend="cpu")
    want = closest(points.double(), vertices.double(), faces, radius, backend="reference")
    assert 50 < int((got.face >= 0).sum()) <= (99 if radius is None else 90) and got.face[-1] == -1
    for other in (cpu, want):
        assert torch.equal(got.face < 0, other.face < 0)
        torch.testing.assert_close(got.distance.double(), other.distance.double(), atol=1e-7, rtol=1e-5)
        same = got.face == other.face
        assert int((~same).sum()) <= 2
        torch.testing.assert_close(got.bary[same].double(), other.bary[same].double(), atol=1e-4, rtol=0)
    assert torch.equal(got.face[90:98], cpu.face[90:98])  # vertices belong to the lowest face around them


def test_ties_belong_to_the_lowest_face(emulated):
    """Of a fan that is doubled, in any order of corners."""
    angle = torch.arange(9) / 9 * 6.2832
    vertices = torch.cat([torch.stack([angle.cos(), angle.sin(), torch.full((9,), -1.0)], 1), torch.zeros(1, 3)])
    fan = torch.stack([torch.arange(9), (torch.arange(9) + 1) % 9, torch.full((9,), 9)], 1)
    faces = torch.cat([fan.roll(1, 1), fan])
    found = closest(torch.tensor([[0.01, 0.02, 1.0], [0, 0, 0.5]]), vertices, faces, backend="emulated")
    assert found.face.tolist() == [0, 0] and found.bary.tolist() == [[1, 0, 0]] * 2


def test_few_faces_and_flat_ones(emulated):
    """One leaf that is not full, faces without area, all in a plane."""
    vertices = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [2, 0, 0]])
    faces = torch.tensor([[0, 1, 3], [1, 1, 1], [0, 1, 2]])
    points = torch.tensor([[0.25, 0.25, 2], [1.75, -1, 0], [3, 0, 0]])
    got, want = (closest(points, vertices, faces, backend=b) for b in ("emulated", "cpu"))
    assert got.face.tolist() == want.face.tolist() == [2, 0, 0]
    torch.testing.assert_close(got.bary, want.bary)
    torch.testing.assert_close(got.distance, torch.tensor([2.0, 1, 1]))


def test_most_of_the_tree_is_left_out(emulated):
    vertices, faces = ball(14, 20)
    surface = ops.surface(vertices, faces, backend="emulated")
    emulated.reset()
    ops.nearest(vertices[:64] * 1.05, surface)
    looks, leaves = emulated.counters("a3d_closest_query").lane[:2]
    assert leaves < 64 * 12 and looks < 64 * 60  # of 65 leaves and 75 boxes


def test_unsound_arguments_are_refused(library):
    with pytest.raises(AvatarError, match="a mesh of 0 faces"):
        gpu.library("emulated").call("a3d_gpu_closest_workspace", 0, Host(torch.zeros(1, dtype=torch.int64)))
