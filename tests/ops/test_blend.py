import dataclasses

import pytest
import torch

from avatar3d.core import AvatarError, Basis, Binding, Gaussians
from avatar3d.ops import blend, native, reference_fit


def scene(n=300, k=5, batch=(3,), bands=1, dtype=torch.float32, seed=0):
    """Splats on random triangles, centimetres in size, with every term of the op away from zero."""
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape, scale=1.0):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype) * scale

    v, f = 60, 90
    faces = torch.stack([torch.randperm(v, generator=generator)[:3] for _ in range(f)])
    vertices = noise(v, 3, scale=0.1) + noise(*batch, v, 3, scale=0.01)
    gaussians = Gaussians(
        noise(n, 3, scale=0.5), noise(n, 4), noise(n, 3, scale=0.3) - 2, noise(n), noise(n, bands, 3, scale=0.3)
    )
    bary = torch.rand(n, 3, generator=generator, dtype=torch.float64).to(dtype) + 0.1
    binding = Binding(torch.randint(0, f, (n,), generator=generator), bary / bary.sum(-1, keepdim=True))
    basis = weights = None
    if k:
        basis = Basis(noise(k, n, 3, scale=0.2), noise(k, n, 4, scale=0.2), noise(k, n, 3, scale=0.2), ())
        weights = noise(*batch, k, scale=0.5)
    return gaussians, binding, basis, weights, vertices, faces


def leaves(gaussians, binding, basis, weights, vertices, faces):
    """The same scene with fresh leaves, and the leaves."""
    gaussians, basis = (x if x is None else x.map(lambda t: t.clone().requires_grad_()) for x in (gaussians, basis))
    weights, vertices = (x if x is None else x.clone().requires_grad_() for x in (weights, vertices))
    inputs = [gaussians.means, gaussians.quats, gaussians.log_scales, gaussians.logits, gaussians.sh, vertices]
    if basis is not None:
        inputs += [basis.means, basis.quats, basis.sh, weights]
    return (gaussians, binding, basis, weights, vertices, faces), inputs


def gradients(function, arguments, seed=7):
    arguments, inputs = leaves(*arguments)
    out = function(*arguments)
    generator = torch.Generator().manual_seed(seed)
    total = 0
    for field in dataclasses.fields(out):
        x = getattr(out, field.name)
        total = total + (x * torch.randn(x.shape, generator=generator, dtype=torch.float64).to(x.dtype)).sum()
    return out, torch.autograd.grad(total, inputs)


def assert_same_as_twin(arguments):
    got, got_gradients = gradients(blend.pose_splats, arguments)
    want, want_gradients = gradients(reference_fit.pose_splats, arguments)
    for field in dataclasses.fields(got):
        torch.testing.assert_close(getattr(got, field.name), getattr(want, field.name), atol=2e-6, rtol=2e-5)
    for a, b in zip(got_gradients, want_gradients, strict=True):
        assert b.abs().max() > 0.1
        torch.testing.assert_close(a, b, atol=3e-5 * float(b.abs().max()), rtol=1e-4)


@pytest.mark.parametrize("level", native.isas() if native.available() else ())
@pytest.mark.parametrize("k", [0, 1, 5])
def test_agrees_with_the_twin(k, level):
    with native.using_isa(level):
        assert_same_as_twin(scene(k=k))


@pytest.mark.parametrize("n", [1, 256, 777])
def test_chunks_and_their_tails_agree_with_the_twin(n):
    assert_same_as_twin(scene(n=n, k=3))


@pytest.mark.parametrize("batch", [(), (1,), (6,), (2, 3)])
def test_batches_agree_with_the_twin(batch):
    arguments = scene(batch=batch, bands=4)
    assert blend.pose_splats(*arguments).sh.shape == (*batch, 300, 4, 3)
    assert_same_as_twin(arguments)


def test_the_twin_passes_gradcheck():
    arguments, inputs = leaves(*scene(n=3, k=2, batch=(2,), dtype=torch.float64))
    _, binding, basis, _, _, faces = arguments

    def run(means, quats, log_scales, logits, sh, vertices, basis_means, basis_quats, basis_sh, weights):
        out = reference_fit.pose_splats(
            Gaussians(means, quats, log_scales, logits, sh),
            binding,
            dataclasses.replace(basis, means=basis_means, quats=basis_quats, sh=basis_sh),
            weights,
            vertices,
            faces,
        )
        return tuple(getattr(out, field.name) for field in dataclasses.fields(out))

    assert torch.autograd.gradcheck(run, inputs, atol=1e-6, rtol=1e-5)


def test_threads_do_not_change_a_bit():
    before, results = torch.get_num_threads(), []
    arguments = scene(n=2000, k=7, batch=(5,))
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            out, grads = gradients(blend.pose_splats, arguments)
            results.append([getattr(out, field.name) for field in dataclasses.fields(out)] + list(grads))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_only_wanted_gradients_are_made():
    gaussians, binding, basis, weights, vertices, faces = scene()
    means = gaussians.means.requires_grad_()
    blend.pose_splats(gaussians, binding, basis, weights, vertices, faces).means.sum().backward()
    assert means.grad is not None and basis.means.grad is None and vertices.grad is None


def test_collapsed_triangles_stay_finite():
    arguments = scene()
    vertices, faces = arguments[4], arguments[5]
    vertices[:, faces[0, 1]] = vertices[:, faces[0, 0]]
    vertices[:, faces[1]] = vertices[:, faces[1, :1]]
    out, grads = gradients(blend.pose_splats, arguments)
    assert all(torch.isfinite(getattr(out, f.name)).all() for f in dataclasses.fields(out))
    assert torch.isfinite(grads[0]).all() and torch.isfinite(grads[5]).all()


def test_double_precision_goes_to_the_twin():
    assert blend.pose_splats(*scene(dtype=torch.float64)).means.dtype == torch.float64


def test_errors_say_what_is_wrong():
    gaussians, binding, basis, weights, vertices, faces = scene()
    with pytest.raises(AvatarError, match="both"):
        blend.pose_splats(gaussians, binding, basis, None, vertices, faces)
    with pytest.raises(AvatarError, match="binding of 2"):
        blend.pose_splats(gaussians, binding.gather(torch.tensor([0, 1])), basis, weights, vertices, faces)
    with pytest.raises(AvatarError, match="4 weights"):
        blend.pose_splats(gaussians, binding, basis, weights[:, :4], vertices, faces)
    with pytest.raises(AvatarError, match="face 90 of 90"):
        broken = dataclasses.replace(binding, face=torch.full_like(binding.face, 90))
        blend.pose_splats(gaussians, broken, basis, weights, vertices, faces)
    with pytest.raises(AvatarError, match="names vertex"):
        blend.pose_splats(gaussians, binding, basis, weights, vertices[:, :50], faces)
