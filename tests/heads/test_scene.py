import torch

from avatar3d import heads, rig
from avatar3d.core import Binding, Gaussians, Pose


def test_splats_on_a_scene_are_where_their_numbers_say():
    head = heads.load("scene")
    g = torch.Generator().manual_seed(0)
    splats = Gaussians(
        torch.randn(5, 3, generator=g),
        torch.nn.functional.normalize(torch.randn(5, 4, generator=g), dim=-1),
        torch.randn(5, 3, generator=g),
        torch.randn(5, generator=g),
        torch.randn(5, 4, 3, generator=g),
    )
    corner = Binding(torch.zeros(5, dtype=torch.long), torch.tensor([1.0, 0, 0]).expand(5, 3))
    pose = Pose(torch.zeros(0), torch.zeros(0, 3), torch.eye(4))
    posed = rig.pose(splats, corner, None, head.vertices(torch.zeros(0), pose), head.faces, pose)
    torch.testing.assert_close(posed.means, splats.means, atol=1e-6, rtol=0)
    torch.testing.assert_close(posed.log_scales, splats.log_scales, atol=1e-6, rtol=0)
    torch.testing.assert_close((posed.quats * splats.quats).sum(-1).abs(), torch.ones(5), atol=1e-5, rtol=0)


def test_a_scene_is_not_a_head_to_fit_on():
    assert "scene" not in heads.names() and heads.load("scene").expressions == ()
