"""The rig: rigid equivariance, index equivariance, gradients, and the algebra of triangle frames."""

import pytest
import torch

from avatar3d.core import Basis, Binding, Gaussians, Pose
from avatar3d.geometry import apply, quat_product, quat_to_matrix, rigid
from avatar3d.rig import basis_weights, pose
from avatar3d.rig.frames import anchors, face_frames

E, J, K = 5, 2, 3


def scene(n=40, b=2, seed=0, dtype=torch.float64, degree=1):
    g = torch.Generator().manual_seed(seed)
    rand = lambda *s: torch.rand(*s, generator=g, dtype=dtype)  # noqa: E731
    randn = lambda *s: torch.randn(*s, generator=g, dtype=dtype)  # noqa: E731
    v, f = 12, 9
    vertices = randn(b, v, 3) * 0.1
    faces = torch.stack([torch.randperm(v, generator=g)[:3] for _ in range(f)])
    bary = rand(n, 3) + 0.05
    binding = Binding(torch.randint(0, f, (n,), generator=g), bary / bary.sum(-1, keepdim=True))
    gaussians = Gaussians(
        randn(n, 3), randn(n, 4), 0.3 * randn(n, 3) - 1, randn(n), 0.3 * randn(n, (degree + 1) ** 2, 3)
    )
    inputs = E + 3 * J
    network = (randn(8, inputs), randn(8), randn(K, 8), randn(K))
    basis = Basis(0.1 * randn(K, n, 3), 0.1 * randn(K, n, 4), 0.1 * randn(K, n, 3), network)
    root = rigid(quat_to_matrix(randn(b, 4)), randn(b, 3))
    return gaussians, binding, basis, vertices, faces, Pose(rand(b, E), 0.2 * randn(b, J, 3), root)


def test_frames_are_right_handed_and_stretch_with_the_triangle():
    _, _, _, vertices, faces, _ = scene()
    frames = face_frames(vertices, faces)
    eye = torch.eye(3, dtype=vertices.dtype).expand_as(frames.rotation)
    assert torch.allclose(frames.rotation.mT @ frames.rotation, eye, atol=1e-9)
    assert torch.allclose(torch.linalg.det(frames.rotation), torch.ones(2, len(faces), dtype=vertices.dtype))
    assert torch.allclose(quat_to_matrix(frames.quats), frames.rotation, atol=1e-9)
    assert torch.allclose(face_frames(3 * vertices, faces).scale, 3 * frames.scale)


def test_a_flat_triangle_has_the_frame_of_the_formula():
    vertices = torch.tensor([[0.0, 0, 0], [2, 0, 0], [0, 4, 0]])
    frames = face_frames(vertices, torch.tensor([[0, 1, 2]]))
    a0, a1, a2 = frames.rotation[0].unbind(-1)
    assert a0.tolist() == [1, 0, 0] and a1.tolist() == [0, 0, 1] and a2.tolist() == [0, -1, 0]
    assert frames.scale.item() == pytest.approx(3.0)


def test_rigid_motion_of_the_mesh_moves_the_splats_rigidly():
    gaussians, binding, basis, vertices, faces, p = scene()
    g = torch.Generator().manual_seed(5)
    quat, shift = torch.randn(4, generator=g, dtype=torch.float64), torch.randn(3, generator=g, dtype=torch.float64)
    motion = rigid(quat_to_matrix(quat), shift).expand(2, 4, 4)
    before = pose(gaussians, binding, basis, vertices, faces, p)
    after = pose(gaussians, binding, basis, apply(motion, vertices), faces, p)
    assert torch.allclose(after.means, apply(motion, before.means), atol=1e-9)
    turned = quat_to_matrix(quat_product(quat.expand_as(before.quats), before.quats))
    assert torch.allclose(quat_to_matrix(after.quats), turned, atol=1e-9)
    assert torch.allclose(after.log_scales, before.log_scales) and torch.equal(after.sh, before.sh)


def test_scaling_the_mesh_scales_the_splats():
    gaussians, binding, _, vertices, faces, p = scene()
    before, after = (pose(gaussians, binding, None, s * vertices, faces, p) for s in (1.0, 2.5))
    assert torch.allclose(after.means, 2.5 * before.means) and torch.allclose(after.scales, 2.5 * before.scales)


def test_select_then_pose_is_pose_then_select():
    gaussians, binding, basis, vertices, faces, p = scene()
    index = torch.tensor([3, 3, 0, 17, 39])
    whole = pose(gaussians, binding, basis, vertices, faces, p).gather(index)
    part = pose(gaussians.gather(index), binding.gather(index), basis.gather(index), vertices, faces, p)
    for a, b in zip(vars(whole).values(), vars(part).values(), strict=True):
        assert torch.allclose(a, b, atol=1e-12)


def test_a_batch_is_a_loop_over_its_poses():
    gaussians, binding, basis, vertices, faces, p = scene()
    whole = pose(gaussians, binding, basis, vertices, faces, p)
    for i in range(2):
        one = pose(gaussians, binding, basis, vertices[i], faces, p[i])
        for a, b in zip(vars(whole).values(), vars(one).values(), strict=True):
            assert torch.allclose(a[i], b, atol=1e-12)


def test_a_splat_without_offset_sits_on_its_anchor_with_the_size_of_its_triangle():
    gaussians, binding, _, vertices, faces, p = scene()
    bare = Gaussians(
        torch.zeros_like(gaussians.means),
        gaussians.quats,
        torch.zeros_like(gaussians.log_scales),
        gaussians.logits,
        gaussians.sh,
    )
    posed = pose(bare, binding, None, vertices, faces, p)
    assert torch.allclose(posed.means, anchors(vertices, faces, binding))
    size = face_frames(vertices, faces).scale[:, binding.face]
    assert torch.allclose(posed.scales, size[..., None].expand(-1, -1, 3))


def test_the_network_is_linear_layers_with_relu_between():
    _, _, basis, _, _, p = scene()
    w0, b0, w1, b1 = basis.weights
    x = torch.cat([p.expression, p.joints.reshape(2, -1)], -1)
    assert torch.allclose(basis_weights(basis, p), (x @ w0.T + b0).clamp(min=0) @ w1.T + b1)


def test_gradients_reach_every_input():
    gaussians, binding, basis, vertices, faces, p = scene(n=6, b=1, degree=0)
    inputs = [
        gaussians.means,
        gaussians.quats,
        gaussians.log_scales,
        gaussians.logits,
        gaussians.sh,
        basis.means,
        basis.quats,
        basis.sh,
        *basis.weights,
        vertices,
        p.expression,
        p.joints,
    ]
    inputs = [x.clone().requires_grad_() for x in inputs]

    def run(m, q, s, o, c, bm, bq, bc, w0, b0, w1, b1, v, e, j):
        out = pose(Gaussians(m, q, s, o, c), binding, Basis(bm, bq, bc, (w0, b0, w1, b1)), v, faces, Pose(e, j, p.root))
        return out.means, quat_to_matrix(out.quats), out.log_scales, out.logits, out.sh

    assert torch.autograd.gradcheck(run, inputs)
