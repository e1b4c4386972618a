"""Places of splats on a texture."""

import torch

from avatar3d.fit.texels import texels
from avatar3d.rig.frames import anchors


def test_about_as_many_as_asked_and_denser_on_the_face(ball):
    places = texels(ball, ball.rest, 4000)
    assert 3200 < len(places.spacing) < 4800
    assert torch.allclose(places.binding.bary.sum(-1), torch.ones(len(places.spacing)))
    assert places.binding.bary.min() >= 0
    face = ball.regions["face"][ball.faces[places.binding.face]].mean(-1)
    # The same size of texel on both: the map is uniform in angle, so compare spacing, not counts.
    ratio = places.spacing[face < 0.1].median() / places.spacing[face > 0.9].median()
    assert 1.3 < ratio < 2.6


def test_neighbours_lie_one_spacing_apart(ball):
    places = texels(ball, ball.rest, 4000)
    points = anchors(ball.rest, ball.faces, places.binding)
    front = (points[:, 2] > 0.05) & (points[:, 1].abs() < 0.02)
    distance = torch.cdist(points[front], points[front])
    distance.fill_diagonal_(torch.inf)
    ratio = distance.min(-1).values / places.spacing[front]
    assert 0.6 < ratio.median() < 1.3


def test_no_texel_is_used_twice(ball):
    places = texels(ball, ball.rest, 4000)
    corners = ball.uv[places.binding.face]
    at = (corners * places.binding.bary[..., None]).sum(1)
    distance = torch.cdist(at.double(), at.double())
    distance.fill_diagonal_(1)
    assert distance.min() > 1e-3
