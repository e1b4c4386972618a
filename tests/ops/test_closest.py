import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avatar3d import heads
from avatar3d.core import AvatarError, Pose
from avatar3d.ops import closest as ops
from avatar3d.ops import native
from avatar3d.ops.closest import Closest, closest

ISAS = native.isas() if native.available() else ()
CORNERS = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
ONE = torch.tensor([[0, 1, 2]])


def head_mesh() -> tuple[torch.Tensor, torch.Tensor]:
    head = heads.load("anny")
    pose = Pose(torch.zeros(len(head.expressions)), torch.zeros(len(head.joints), 3), torch.eye(4))
    return head.vertices(torch.zeros(len(head.identities)), pose).float(), head.faces


def points_of(found: Closest, vertices: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
    return (vertices[faces[found.face.long()]] * found.bary[..., None]).sum(-2)


def assert_sound(found: Closest, points, vertices, faces):
    """Weights are weights, and the distance is that of the point they name, as well as their type can tell."""
    tolerance = 16 * torch.finfo(vertices.dtype).eps * max(1.0, float(vertices.abs().max()))
    assert bool((found.face >= 0).all()) and bool((found.bary >= 0).all())
    torch.testing.assert_close(found.bary.sum(1), torch.ones(len(points), dtype=found.bary.dtype))
    away = (points_of(found, vertices.double(), faces) - points.double()).norm(dim=1)
    torch.testing.assert_close(away, found.distance.double(), atol=tolerance, rtol=1e-5)


def brute(points, vertices, faces) -> torch.Tensor:
    """The kernel asked of every face by itself, with its own rounding: distances, f m."""
    return torch.stack([closest(points, vertices, face[None]).distance for face in faces])


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("radius", [None, 0.02])
def test_head_equals_the_float64_twin(isa, radius):
    vertices, faces = head_mesh()
    faces = faces[torch.arange(0, len(faces), 25)]  # fewer, and with holes
    random = torch.Generator().manual_seed(0)
    points = vertices[torch.randint(len(vertices), (300,), generator=random)]
    points = points + 0.03 * torch.randn(300, 3, generator=random)
    want = closest(points.double(), vertices.double(), faces, radius, backend="reference")
    with native.using_isa(isa):
        got = closest(points, vertices, faces, radius, backend="cpu")
    torch.testing.assert_close(got.distance.double(), want.distance, atol=1e-7, rtol=1e-5)
    assert torch.equal(got.face < 0, want.face < 0) and bool((got.face >= 0).any())
    other = got.face != want.face
    assert int(other.sum()) <= 2  # where float32 cannot tell two faces apart
    torch.testing.assert_close(got.bary[~other].double(), want.bary[~other], atol=1e-3, rtol=0)
    hit = got.face >= 0
    assert_sound(got.map(lambda x: x[hit]), points[hit], vertices, faces)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 40), st.sampled_from(["grid", "noise", "flat", "needles"]), st.data())
def test_search_equals_brute_force_bit_for_bit(seed, count, kind, data):
    """Also with ties, duplicates, slivers and faces of no area."""
    random = torch.Generator().manual_seed(seed)
    vertices = torch.randint(-3, 4, (12, 3), generator=random).float()
    if kind != "grid":
        vertices = torch.randn(12, 3, generator=random)
    if kind in ("flat", "needles"):
        vertices = vertices * torch.tensor([1.0, 1.0 if kind == "flat" else 1e-5, 0.0])
    faces = torch.randint(12, (count, 3), generator=random)
    points = torch.randint(-8, 9, (40, 3), generator=random) / 2
    if kind == "noise":
        points = torch.cat([points, vertices, vertices[faces].mean(1), vertices[faces][:, :2].mean(1)])
    radius = data.draw(st.sampled_from([None, 1.5]))
    with native.using_isa(data.draw(st.sampled_from(ISAS))):
        each = brute(points, vertices, faces)
        got = closest(points, vertices, torch.cat([faces, faces]), radius)
    distance = each.min(0).values
    near = distance <= (torch.inf if radius is None else radius)
    assert torch.equal(got.distance[near], distance[near])
    assert bool((got.face[near] < count).all())  # not one of the copies
    assert torch.equal(each[:, near].gather(0, got.face[near][None].long())[0], distance[near])
    assert bool((got.face[~near] == -1).all()) and bool((got.bary[~near] == 0).all())
    assert_sound(got.map(lambda x: x[near]), points[near], vertices, faces)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 40), st.sampled_from(["cpu", "reference"]))
def test_faces_that_share_a_corner_or_an_edge_tie_exactly(seed, count, backend):
    """A cone seen from above: its tip, and points of its ridges, belong to the lowest face, in any order of corners."""
    random = torch.Generator().manual_seed(seed)
    angle = torch.arange(count) / count * 6.2832
    rim = torch.stack([angle.cos(), angle.sin(), -1 - torch.rand(count, generator=random)], 1)
    name = torch.randperm(count + 1, generator=random)  # old number to new
    vertices = torch.cat([rim, torch.zeros(1, 3)])[name.argsort()]
    around = torch.stack([torch.arange(count), (torch.arange(count) + 1) % count, torch.full((count,), count)], 1)
    faces = name[torch.stack([row[torch.randperm(3, generator=random)] for row in around])]
    faces = faces[torch.randperm(count, generator=random)]
    above = torch.stack([*(0.1 * torch.rand(2, 5, generator=random)), torch.full((5,), 1.0)], 1)
    found = closest(above, vertices, faces, backend=backend)
    assert found.face.tolist() == [0] * 5 and bool((found.bary.amax(1) == 1).all())
    if count < 12:  # steep enough for ridges to be ridges
        return
    ridges = closest(1.5 * rim + torch.tensor([0, 0, 3.0]), vertices, faces, backend=backend)
    for spoke, face in enumerate(ridges.face.tolist()):
        if float(ridges.bary[spoke].amin()) == 0:  # on an edge: the lowest face that has it
            corners = faces[face][ridges.bary[spoke] > 0].tolist()
            sharing = [i for i, f in enumerate(faces.tolist()) if set(corners) <= set(f)]
            assert face == sharing[0]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(["grid", "noise"]))
def test_distances_equal_the_twin(seed, kind):
    random = torch.Generator().manual_seed(seed)
    vertices = torch.randn(10, 3, generator=random)
    if kind == "grid":
        vertices = (2 * vertices).round()
    faces = torch.randint(10, (25, 3), generator=random)
    points = 2 * torch.randn(30, 3, generator=random)
    got = closest(points, vertices, faces)
    want = closest(points.double(), vertices.double(), faces, backend="reference")
    torch.testing.assert_close(got.distance.double(), want.distance, atol=3e-6, rtol=1e-5)
    assert_sound(want, points, vertices, faces)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_known_answers(backend):
    """Above the face, beyond an edge, beyond a corner, on the face; corners in every order."""
    points = torch.tensor([[0.25, 0.25, 2], [0.5, -3, 0], [4, -4, 0], [0.5, 0.25, 0]])
    for order in ((0, 1, 2), (2, 0, 1), (1, 0, 2), (2, 1, 0)):
        back = [order.index(k) for k in range(3)]
        found = closest(points, CORNERS[list(order)], torch.tensor([back]), backend=backend)
        want = torch.tensor([[0.5, 0.25, 0.25], [0.5, 0.5, 0], [0, 1, 0], [0.25, 0.5, 0.25]])
        torch.testing.assert_close(found.distance, torch.tensor([2.0, 3, 5, 0]))
        torch.testing.assert_close(found.bary, want)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_beyond_the_radius_and_not_finite(backend):
    points = torch.tensor([[0.25, 0.25, 2], [0.25, 0.25, 2.5], [torch.nan, 0, 0], [0, torch.inf, 0], [0, 0, 1]])
    found = closest(points, CORNERS, ONE, radius=2.0, backend=backend)
    assert found.face.tolist() == [0, -1, -1, -1, 0]
    torch.testing.assert_close(found.distance, torch.tensor([2.0, 2, 2, 2, 1]))
    assert found.bary[1:4].abs().max() == 0
    assert len(closest(points[:0], CORNERS, ONE, backend=backend).face) == 0


@pytest.mark.parametrize("isa", ISAS)
def test_same_bits_for_any_threads_order_and_tree(isa):
    vertices, faces = head_mesh()
    random = torch.Generator().manual_seed(1)
    points = 0.15 * torch.randn(2000, 3, generator=random)
    shuffled = torch.randperm(len(points), generator=random)
    before = torch.get_num_threads()
    try:
        with native.using_isa(isa):
            torch.set_num_threads(1)
            one, mixed = closest(points, vertices, faces), closest(points[shuffled], vertices, faces)
            torch.set_num_threads(2)
            two = closest(points, vertices, faces)
            flipped = closest(points, vertices, faces.flip(0))  # another tree
    finally:
        torch.set_num_threads(before)
    for name in ("face", "bary", "distance"):
        assert torch.equal(getattr(one, name), getattr(two, name))
        assert torch.equal(getattr(one, name)[shuffled], getattr(mixed, name))
    assert torch.equal(one.distance, flipped.distance)


def test_a_surface_serves_many_searches():
    vertices, faces = head_mesh()
    surface = ops.surface(vertices, faces)
    for points in (vertices[:50] + 0.01, vertices[50:60]):
        found, fresh = ops.nearest(points, surface), closest(points, vertices, faces)
        assert torch.equal(found.face, fresh.face) and torch.equal(found.distance, fresh.distance)
    assert float(found.distance.max()) < 1e-6


def test_point_can_be_differentiated_again():
    vertices = CORNERS.double().requires_grad_()
    points = torch.tensor([[0.25, 0.25, 2.0], [0.5, -3, 0]], dtype=torch.float64)

    def again(v):
        return points_of(closest(points, v, ONE, backend="reference"), v, ONE)

    assert torch.autograd.gradcheck(lambda v: again(v)[:1, 2], (vertices,))  # weights are stationary where it counts


def test_what_is_refused():
    points = torch.zeros(1, 3)
    with pytest.raises(AvatarError, match="no faces"):
        closest(points, CORNERS, ONE[:0])
    with pytest.raises(AvatarError, match="vertices 0 to 2, there are 2"):
        closest(points, CORNERS[:2], ONE)
    with pytest.raises(AvatarError, match="not finite"):
        closest(points, CORNERS * torch.inf, ONE)
    with pytest.raises(AvatarError, match="radius 0"):
        closest(points, CORNERS, ONE, radius=0.0)
    with pytest.raises(AvatarError, match="float32"):
        closest(points.double(), CORNERS.double(), ONE, backend="cpu")
