import math

import pytest
import torch

from avatar3d.core import AvatarError, Camera
from avatar3d.geometry import look_at, orbit, pinhole
from avatar3d.ops import mesh, native, reference_mesh


def sphere(
    rows: int = 24, columns: int = 32, radius: float = 0.1, bump: float = 0.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """A closed sphere around the origin with outward winding."""
    theta = torch.linspace(0, math.pi, rows + 1)[1:-1]
    phi = torch.arange(columns) * (2 * math.pi / columns)
    ring = torch.stack(
        [
            theta.sin()[:, None] * phi.sin(),
            theta.cos()[:, None].expand(-1, columns),
            theta.sin()[:, None] * phi.cos(),
        ],
        -1,
    ).reshape(-1, 3)
    points = torch.cat([ring, torch.tensor([[0.0, 1.0, 0.0], [0.0, -1.0, 0.0]])])
    points = points * (radius * (1 + bump * torch.randn(len(points), 1, generator=torch.Generator().manual_seed(0))))
    north, south = len(ring), len(ring) + 1
    faces = []
    for c in range(columns):
        d = (c + 1) % columns
        faces.append((north, c, d))
        for r in range(rows - 2):
            a, b = r * columns + c, r * columns + d
            faces += [(a, a + columns, b), (b, a + columns, b + columns)]
        last = (rows - 2) * columns
        faces.append((south, last + d, last + c))
    return points, torch.tensor(faces)


def camera(yaw: float = 0.3, size: tuple[int, int] = (96, 80), distance: float = 0.5) -> Camera:
    cameras = orbit(torch.tensor([yaw]), pitch=0.2, distance=distance, target=(0.0, 0.0, 0.0), size=size)
    return Camera(cameras.w2c[0], cameras.K[0], *size)


def same_as_twin(vertices, faces, view, cull=False, differing=0):
    got = mesh.rasterize(vertices, faces, view, cull=cull)
    face, bary, depth = reference_mesh.rasterize(vertices, faces, view, cull=cull, near=mesh.NEAR)
    agree = got.face == face
    assert int((~agree).sum()) <= differing
    assert (face >= 0).sum() > 50
    torch.testing.assert_close(got.bary[agree], bary[agree], atol=1e-6, rtol=0)
    torch.testing.assert_close(got.depth[agree], depth[agree], atol=1e-7, rtol=1e-6)
    return got


@pytest.mark.parametrize("cull", [False, True])
@pytest.mark.parametrize("size", [(96, 80), (130, 35), (1, 1)])
def test_agrees_with_the_twin(size, cull):
    vertices, faces = sphere(bump=0.1)
    view = camera(size=size)
    if size == (1, 1):
        got = mesh.rasterize(vertices, faces, view)
        assert got.face.shape == (1, 1) and got.face.item() >= 0
    else:
        same_as_twin(vertices, faces, view, cull)


@pytest.mark.parametrize("level", native.isas() if native.available() else ())
def test_every_instruction_set_agrees_with_the_twin(level):
    vertices, faces = sphere(bump=0.1)
    with native.using_isa(level):
        same_as_twin(vertices, faces, camera(1.0))


def test_random_soup_agrees_with_the_twin():
    generator = torch.Generator().manual_seed(3)
    vertices = torch.randn(60, 3, generator=generator) * 0.08
    faces = torch.randint(0, 60, (120, 3), generator=generator)  # some degenerate: they draw nothing
    same_as_twin(vertices, faces, camera())


def test_faces_through_the_camera_plane_agree_with_the_twin():
    vertices, faces = sphere(8, 8, radius=0.4)
    inside = camera(distance=0.2)  # the camera sits in the sphere: some faces are behind it, some cross its plane
    got = same_as_twin(vertices, faces, inside)
    assert got.mask.all()
    # two vertices ahead, one far behind
    ground = torch.tensor([[-5.0, -0.1, 0.4], [5.0, -0.1, 0.4], [0.0, -0.1, -9.0]])
    same_as_twin(ground, torch.tensor([[0, 1, 2]]), camera(distance=0.2))


def test_shared_edges_leave_no_gap_and_no_double_owner():
    n = 12  # a square of triangles whose edges run exactly through pixel centres
    ys, xs = torch.meshgrid(torch.arange(n + 1.0), torch.arange(n + 1.0), indexing="ij")
    vertices = torch.stack([xs * 4 + 0.5, ys * 4 + 0.5, torch.ones_like(xs)], -1).reshape(-1, 3)
    a = (torch.arange(n)[:, None] * (n + 1) + torch.arange(n)).reshape(-1)
    faces = torch.cat([torch.stack([a, a + 1, a + n + 1], 1), torch.stack([a + 1, a + n + 2, a + n + 1], 1)])
    view = Camera(torch.eye(4), torch.eye(3), 64, 64)
    whole = mesh.rasterize(vertices, faces, view)
    assert whole.mask[1:48, 1:48].all()
    counts = sum(mesh.rasterize(vertices, faces[i : i + 1], view).mask.int() for i in range(len(faces)))
    assert int(counts.max()) == 1
    assert torch.equal(counts > 0, whole.mask)


def test_closed_surface_has_no_pinholes():
    vertices, faces = sphere(60, 80)
    got = mesh.rasterize(vertices, faces, camera(size=(400, 400)))
    rows = got.mask.any(1).nonzero()[:, 0]
    for row in range(int(rows[0]) + 1, int(rows[-1])):
        columns = got.mask[row].nonzero()[:, 0]
        assert len(columns) == int(columns[-1] - columns[0]) + 1


def test_batches_are_loops_and_threads_do_not_matter():
    vertices, faces = sphere(bump=0.1)
    several = torch.stack([vertices, vertices * 1.1, vertices + 0.01])
    cameras = orbit(torch.tensor([0.0, 0.5, 2.0]), target=(0.0, 0.0, 0.0), distance=0.6, size=(100, 90))
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(mesh.rasterize(several, faces, cameras))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert torch.equal(results[0].face, other.face)
        assert torch.equal(results[0].bary, other.bary) and torch.equal(results[0].depth, other.depth)
    for i in range(3):
        one = mesh.rasterize(several[i], faces, Camera(cameras.w2c[i], cameras.K[i], 100, 90))
        assert torch.equal(one.face, results[0].face[i]) and torch.equal(one.bary, results[0].bary[i])
    shared = mesh.rasterize(vertices, faces, cameras)
    assert torch.equal(shared.face[0], results[0].face[0]) and shared.face.shape == (3, 90, 100)


def test_interpolating_vertices_gives_the_surface_and_a_gradient():
    vertices, faces = sphere(bump=0.05)
    view = camera()
    seen = mesh.rasterize(vertices, faces, view)
    surface = mesh.interpolate(vertices, seen, faces)
    in_view = surface @ view.w2c[:3, :3].mT + view.w2c[:3, 3]
    torch.testing.assert_close(in_view[seen.mask][:, 2], seen.depth[seen.mask], atol=1e-6, rtol=0)
    pixel = in_view @ view.K.mT
    ys, xs = torch.meshgrid(torch.arange(80) + 0.5, torch.arange(96) + 0.5, indexing="ij")
    torch.testing.assert_close((pixel[..., 0] / pixel[..., 2])[seen.mask], xs[seen.mask], atol=2e-3, rtol=0)
    torch.testing.assert_close((pixel[..., 1] / pixel[..., 2])[seen.mask], ys[seen.mask], atol=2e-3, rtol=0)
    values = torch.rand(len(vertices), 2, requires_grad=True)
    mesh.interpolate(values, seen, faces).sum().backward()
    expected = torch.zeros(len(vertices))
    for corner in range(3):
        expected.index_add_(0, faces[seen.face[seen.mask].long(), corner], seen.bary[seen.mask][:, corner])
    torch.testing.assert_close(values.grad, expected[:, None].expand(-1, 2), atol=1e-4, rtol=1e-4)


def test_visible_vertices_are_those_that_face_the_camera():
    vertices, faces = sphere(40, 60)
    view = camera(size=(300, 300))
    seen = mesh.visible_vertices(vertices, mesh.rasterize(vertices, faces, view), view)
    towards = torch.nn.functional.normalize(view.position - vertices, dim=-1)
    slope = (torch.nn.functional.normalize(vertices, dim=-1) * towards).sum(-1)
    assert seen[slope > 0.2].all() and not seen[slope < -0.2].any()
    away = Camera(look_at(view.position, 2 * view.position), pinhole(300, 300, 400.0), 300, 300)
    assert not mesh.visible_vertices(vertices, mesh.rasterize(vertices, faces, away), away).any()


def test_non_finite_vertices_drop_their_faces_only():
    vertices, faces = sphere()
    broken = vertices.clone()
    broken[5] = float("nan")
    broken[9] = float("inf")
    keep = ~((faces == 5) | (faces == 9)).any(1)
    got, expected = (mesh.rasterize(v, f, camera()) for v, f in ((broken, faces), (vertices, faces[keep])))
    assert torch.equal(got.mask, expected.mask) and torch.equal(got.depth, expected.depth)


def test_nothing_to_draw():
    vertices, faces = sphere()
    for v, f in ((vertices[:0], faces[:0]), (vertices, faces[:0])):
        got = mesh.rasterize(v, f, camera())
        assert (got.face == -1).all() and (got.depth == 0).all() and (got.bary == 0).all()


def test_errors_say_what_is_wrong():
    vertices, faces = sphere()
    with pytest.raises(AvatarError, match="float64"):
        mesh.rasterize(vertices.double(), faces, camera())
    with pytest.raises(AvatarError, match="names vertex"):
        mesh.rasterize(vertices[:-1], faces, camera())
