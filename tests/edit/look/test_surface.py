"""Nearest points of the mesh."""

import torch

from avatar3d.edit.look.surface import nearest, surface


def test_points_on_triangles_find_themselves(figure) -> None:
    under = surface(figure)
    generator = torch.Generator().manual_seed(1)
    face = torch.randint(0, len(under.head.faces), (200,), generator=generator)
    bary = torch.rand(200, 3, generator=generator)
    bary = bary / bary.sum(-1, keepdim=True)
    points = (under.vertices[under.head.faces[face]] * bary[..., None]).sum(1)
    place, found = nearest(under.head, under.vertices, points, face)
    assert (found - points).norm(dim=-1).max() < 1e-6
    assert torch.allclose(place.bary.sum(-1), torch.ones(200), atol=1e-5)


def test_nearest_is_what_a_dense_search_finds(figure) -> None:
    """Against the nearest of many points on all faces of the skin, a little off the surface."""
    under = surface(figure)
    cheek = torch.nonzero(under.region("cheeks") > 0.9)[:40, 0]
    points = under.point[cheek] + 0.004 * under.normal[cheek]
    _, found = nearest(under.head, under.vertices, points, figure.binding.face[cheek])
    steps = [(a / 6, b / 6) for a in range(7) for b in range(7 - a)]
    bary = torch.tensor([(1 - a - b, a, b) for a, b in steps])
    dense = torch.einsum("kc,fcx->fkx", bary, under.vertices[under.head.faces]).reshape(-1, 3)
    best = torch.cdist(points, dense).amin(-1)
    away = (found - points).norm(dim=-1)
    assert (away <= best + 1e-6).all()
    assert (best - away).max() < 1.2e-3


def test_lips_and_teeth_are_kept_apart(figure) -> None:
    under = surface(figure)
    faces = under.head.faces[figure.binding.face]
    teeth = under.head.regions["teeth"][faces].mean(-1) > 0.9
    assert bool(teeth.any())
    assert (under.region("mouth_interior")[teeth] > 0.5).all()
