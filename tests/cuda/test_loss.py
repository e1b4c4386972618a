"""The picture loss's kernels, run by the emulator, against the float64 twin and the CPU library."""

import pytest
import torch
from emulated import EmulatorError

from avatar3d.ops import native, reference_fit


def pictures(b: int, h: int, w: int):
    """Two pictures that differ, in part by nothing, and weights, some of them zero."""
    random = torch.Generator().manual_seed(h)
    target = torch.rand(b, h, w, 3, generator=random)
    render = (target + 0.2 * torch.randn(b, h, w, 3, generator=random)).clamp(0, 1)
    render[:, : h // 4] = target[:, : h // 4]
    weight = torch.rand(b, h, w, generator=random) * (torch.rand(b, h, w, generator=random) > 0.2)
    return render, target, weight


def run(library, render, target, weight, share, gradient=True):
    b, h, w, _ = render.shape
    floats = torch.zeros(1, dtype=torch.int64)
    library.call("a3d_gpu_loss_workspace", b, h, w, floats)
    loss, grad = torch.empty(()), torch.empty_like(render) if gradient else None
    workspace = torch.full((int(floats),), torch.nan)
    library.call("a3d_gpu_loss_l1_ssim", render, target, weight, b, h, w, share, workspace, loss, grad, None)
    return loss, grad


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("shape", [(2, 37, 50), (1, 16, 16), (3, 5, 3)])
def test_equals_the_twin_and_the_cpu_library(emulated, shape, weighted):
    """Several tiles with their borders inside and outside the picture; a picture smaller than a window."""
    render, target, weight = pictures(*shape)
    weight = weight if weighted else None
    loss, grad = run(emulated, render, target, weight, 0.2)
    leaf = render.double().requires_grad_()
    want = reference_fit.l1_ssim(leaf, target.double(), weight.double() if weighted else None, 0.2)
    (want_grad,) = torch.autograd.grad(want, leaf)
    torch.testing.assert_close(loss.double(), want.detach(), rtol=1e-5, atol=1e-7)
    scale = float(want_grad.abs().max())
    torch.testing.assert_close(grad.double(), want_grad, rtol=1e-4, atol=1e-4 * scale)

    b, h, w, _ = render.shape
    cpu_loss, cpu_grad = torch.empty(()), torch.empty_like(render)
    parts = torch.empty(b * -(-h // 128) * -(-w // 64), dtype=torch.float64)
    native.call("a3d_loss_l1_ssim", render, target, weight, b, h, w, 0.2, parts, cpu_loss, cpu_grad, 1)
    torch.testing.assert_close(loss, cpu_loss, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(grad, cpu_grad, rtol=1e-4, atol=1e-4 * scale)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_each_part_alone(library, share):
    render, target, _ = pictures(1, 20, 30)
    loss, grad = run(library, render, target, None, share)
    leaf = render.double().requires_grad_()
    want = reference_fit.l1_ssim(leaf, target.double(), None, share)
    torch.testing.assert_close(loss.double(), want.detach(), rtol=1e-5, atol=1e-7)
    (want_grad,) = torch.autograd.grad(want, leaf)
    torch.testing.assert_close(grad.double(), want_grad, rtol=1e-4, atol=1e-4 * float(want_grad.abs().max()))


def test_same_bits_in_every_order_and_without_gradient(library):
    given = pictures(2, 37, 50)
    results = []
    try:
        for order in ("forward", "reverse", "random"):
            library.order(order)
            results.append(run(library, *given, 0.2))
    finally:
        library.order("forward")
    assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True))
    assert torch.equal(run(library, *given, 0.2, gradient=False)[0], results[0][0])


def test_nothing_weighs_nothing(library):
    render, target, weight = pictures(1, 20, 20)
    loss, grad = run(library, render, target, 0 * weight, 0.2)
    assert loss == 0 and not grad.any()


def test_sizes_out_of_range_are_refused(library):
    nothing = torch.zeros(1)
    with pytest.raises(EmulatorError, match="out of range"):
        library.call("a3d_gpu_loss_l1_ssim", *[nothing] * 3, 70000, 1, 1, 0.2, *[nothing] * 3, None)
