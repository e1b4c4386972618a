"""Adam's kernel, run by the emulator, against the float64 twin and the CPU library."""

import pytest
import torch

from avatar3d.ops import native, reference_fit

BETAS, EPSILON = (0.9, 0.999), 1e-15


def state(rows: int, width: int):
    random = torch.Generator().manual_seed(rows)
    value, gradient, first = (torch.randn(rows, width, generator=random) for _ in range(3))
    return value, gradient, first, torch.rand(rows, width, generator=random)


@pytest.mark.parametrize("skipped", [True, False])
@pytest.mark.parametrize("rows, width", [(333, 3), (1, 1), (20, 48), (0, 3)])
def test_equals_the_twin_and_the_cpu_library(emulated, rows, width, skipped):
    value, gradient, first, second = state(rows, width)
    skip = torch.arange(rows) % 3 == 0 if skipped else None
    got, cpu, twin = ([x.clone() for x in (value, first, second)] for _ in range(3))
    scalars = (rows, width, 4, 0.1, *BETAS, EPSILON)
    emulated.call("a3d_gpu_adam_step", got[0], gradient, *got[1:], skip, *scalars, None)
    native.call("a3d_adam_step", cpu[0], gradient, *cpu[1:], skip, *scalars, 1)
    twin = [x.double() for x in twin]
    reference_fit.adam_step(twin[0], gradient.double(), (twin[1], twin[2]), 4, 0.1, BETAS, EPSILON, skip)
    for a, b, c, before in zip(got, cpu, twin, (value, first, second), strict=True):
        torch.testing.assert_close(a, b, rtol=2e-6, atol=1e-7)
        torch.testing.assert_close(a.double(), c, rtol=2e-5, atol=1e-6)
        assert rows < 2 or not torch.equal(a, before)
        if skip is not None:
            assert torch.equal(a[skip], before[skip])
