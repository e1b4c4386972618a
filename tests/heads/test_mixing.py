"""Sums of shapes and their gradients."""

import torch

from avatar3d import heads
from avatar3d.core import Pose
from avatar3d.heads.mixing import mixed, spread


def test_sums_and_gradients_are_those_of_matrix_products():
    g = torch.Generator().manual_seed(0)
    shapes = torch.randn(4, 15, generator=g, dtype=torch.float64)
    for batch in ((), (3,), (2, 3)):
        weights = torch.randn(*batch, 4, generator=g, dtype=torch.float64, requires_grad=True)
        assert torch.equal(mixed(weights, shapes), weights @ shapes)
        assert torch.autograd.gradcheck(lambda w: mixed(w, shapes), weights)
        moved = torch.randn(*batch, 4, 3, generator=g, dtype=torch.float64, requires_grad=True)
        assert torch.equal(spread(shapes.mT, moved), shapes.mT @ moved)
        assert torch.autograd.gradcheck(lambda x: spread(shapes.mT, x), moved)


def test_a_heads_gradients_have_the_same_bits_for_any_number_of_threads():
    head, before = heads.load("anny"), torch.get_num_threads()

    def gradients(threads: int, batch: int) -> list[torch.Tensor]:
        torch.set_num_threads(threads)
        g = torch.Generator().manual_seed(batch)
        sizes = ((len(head.expressions),), (len(head.joints), 3), (head.soft.shape[1], 3), (len(head.identities),))
        free = [(0.1 * torch.randn(batch, *size, generator=g)).requires_grad_() for size in sizes]
        root = torch.eye(4).repeat(batch, 1, 1).requires_grad_()
        vertices = head.vertices(free[3], Pose(free[0], free[1], root, free[2]))
        (vertices * torch.randn(vertices.shape, generator=g)).sum().backward()
        return [vertices.detach(), root.grad, *(x.grad for x in free)]

    try:
        for batch in (1, 2, 4, 8):
            one, two = gradients(1, batch), gradients(2, batch)
            assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    finally:
        torch.set_num_threads(before)
