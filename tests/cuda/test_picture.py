"""Kernels of pictures in bytes, run by the emulator, against the twins and the CPU library."""

import pytest
import torch
from emulated import EmulatorError

from avatar3d.core import AvatarError
from avatar3d.ops import image


def noise(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("with_alpha", [True, False])
def test_bytes_are_the_same(emulated, with_alpha):
    rgb = 0.5 + 0.5 * noise(2, 13, 17, 3)
    alpha = noise(2, 13, 17, 1).clamp(0, 1) if with_alpha else None
    got = image.to_bytes(rgb, alpha, backend="emulated")
    assert got.min() == 0 and got.max() == 255
    assert torch.equal(got, image.to_bytes(rgb, alpha, backend="reference"))
    assert torch.equal(got, image.to_bytes(rgb, alpha, backend="cpu"))


@pytest.mark.parametrize("shrink", [1, 3])
def test_composites_are_the_same(emulated, shrink):
    random = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (4, 20, 31, 3), generator=random, dtype=torch.uint8)
    masks = torch.randint(0, 256, (4, 20, 31), generator=random, dtype=torch.uint8)
    rows, background = torch.tensor([3, 0, 3]), torch.rand(3, 3, generator=random)
    got = image.composite(images, masks, rows, background, shrink, backend="emulated")
    for backend in ("cpu", "reference"):
        for a, b in zip(got, image.composite(images, masks, rows, background, shrink, backend=backend), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_rows_outside_give_the_background(library):
    images, masks = torch.full((1, 4, 4, 3), 200, dtype=torch.uint8), torch.full((1, 4, 4), 255, dtype=torch.uint8)
    colours = torch.tensor([[0.1, 0.2, 0.3]] * 2)
    target, mask = image.composite(images, masks, torch.tensor([7, -1]), colours, backend="emulated")
    assert not mask.any() and torch.equal(target, colours[:, None, None].expand(2, 4, 4, 3))


def test_pictures_that_cannot_shrink_are_refused(library):
    nothing, bytes_ = torch.zeros(3), torch.zeros(3, dtype=torch.uint8)
    with pytest.raises(EmulatorError, match="cannot shrink by 9"):
        library.call(
            "a3d_gpu_composite", bytes_, bytes_, torch.zeros(1).long(), *(nothing, 1, 4, 4, 1, 9), *[nothing] * 2, None
        )
    with pytest.raises(AvatarError, match="cannot shrink by 0"):
        image.composite(
            bytes_.view(1, 1, 1, 3), bytes_[:1].view(1, 1, 1), torch.zeros(1).long(), nothing[None], 0, "emulated"
        )
