import pytest
import torch

from avatar3d.core import AvatarError
from avatar3d.ops import native, optim, reference_fit


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


SHAPES = {"means": (333, 3), "basis": (2, 333, 4), "network": (7,), "scale": ()}
RATES = {"means": 1e-2, "basis": 3e-3, "network": 1e-1, "scale": 1.0}


def values():
    return {name: noise(*shape, seed=i).requires_grad_() for i, (name, shape) in enumerate(SHAPES.items())}


def push(tensors, step):
    for i, x in enumerate(tensors.values()):
        x.grad = noise(*x.shape, seed=100 * step + i) * 10.0 ** (i - 2)


@pytest.mark.parametrize("level", native.isas() if native.available() else ())
@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.5, 0.9)])
def test_agrees_with_torch(level, betas):
    ours, theirs = values(), values()
    adam = optim.Adam(ours, RATES, betas)
    oracle = torch.optim.Adam(
        [{"params": [x], "lr": RATES[name]} for name, x in theirs.items()], betas=betas, eps=1e-15, foreach=False
    )
    with native.using_isa(level):
        for step in range(25):
            push(ours, step)
            push(theirs, step)
            adam.step()
            oracle.step()
    for name, x in ours.items():
        start = values()[name]
        moved = (theirs[name] - start).abs()
        assert moved.min() > 1e-6
        torch.testing.assert_close(x, theirs[name], rtol=1e-6, atol=1e-6 * moved.max().item())


def test_first_step_is_the_rate_against_the_sign():
    value, gradient = noise(50, 3).double(), noise(50, 3, seed=1).double()
    before = value.clone()
    reference_fit.adam_step(value, gradient, (torch.zeros(50, 3), torch.zeros(50, 3)), 1, 0.1)
    torch.testing.assert_close(value, before - 0.1 * gradient.sign(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("n", [1, 1000, 60_001])
def test_skipped_rows_stand_still(n):
    value, gradient = noise(n, 3), noise(n, 3, seed=1)
    moments = (noise(n, 3, seed=2), noise(n, 3, seed=3).square() + 0.1)
    skip = torch.arange(n) % 3 == 0
    before = [x.clone() for x in (value, *moments)]
    twins = [x.clone() for x in before]
    optim.adam_step(value, gradient, moments, 4, 0.1, skip=skip)
    reference_fit.adam_step(twins[0], gradient, (twins[1], twins[2]), 4, 0.1, skip=skip)
    for now, was, twin in zip((value, *moments), before, twins, strict=True):
        assert torch.equal(now[skip], was[skip])
        assert n == 1 or not torch.equal(now[~skip], was[~skip])
        torch.testing.assert_close(now, twin, rtol=1e-5, atol=1e-6)


def test_threads_do_not_change_a_bit():
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            value, moments = noise(70_000, 3), (torch.zeros(70_000, 3), torch.zeros(70_000, 3))
            optim.adam_step(value, noise(70_000, 3, seed=1), moments, 1, 0.1)
            results.append((value, *moments))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_gathered_rows_go_on_as_if_they_had_always_been_there():
    ours = values()
    adam = optim.Adam(ours, RATES)
    for step in range(3):
        push(ours, step)
        adam.step()
    src = torch.tensor([5, 5, 0, 332])
    few = adam.gather(src, {"means": 0, "basis": 1})
    assert few.values["means"].shape == (4, 3) and few.values["basis"].shape == (2, 4, 4)
    push(ours, 9)
    for name, x in few.values.items():
        axis = {"means": 0, "basis": 1}.get(name)
        x.grad = ours[name].grad.clone() if axis is None else ours[name].grad.index_select(axis, src)
    adam.step()
    few.step()
    torch.testing.assert_close(few.values["means"], ours["means"][src], rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(few.values["basis"], ours["basis"][:, src], rtol=1e-6, atol=1e-7)
    assert torch.equal(few.values["network"], ours["network"])


def test_saved_state_resumes_to_the_same_bits():
    ours = values()
    adam = optim.Adam(ours, RATES)
    push(ours, 0)
    adam.step()
    copies = {name: x.detach().clone().requires_grad_() for name, x in ours.items()}
    resumed = optim.Adam(copies, RATES)
    resumed.load({key: x.clone() for key, x in adam.state().items()})
    for tensors, optimiser in ((ours, adam), (copies, resumed)):
        push(tensors, 1)
        optimiser.step()
    assert all(torch.equal(ours[name], copies[name]) for name in ours)


def test_held_names_and_missing_gradients_stand_still():
    ours = values()
    adam = optim.Adam(ours, RATES)
    push(ours, 0)
    ours["means"].grad = None
    adam.step(held={"basis"})
    started = values()
    assert torch.equal(ours["means"], started["means"]) and torch.equal(ours["basis"], started["basis"])
    assert not torch.equal(ours["network"], started["network"])
    assert int(adam.state()["step/basis"]) == 0 and int(adam.state()["step/network"]) == 1
    adam.zero_grad()
    assert ours["network"].grad is None


def test_errors_say_what_is_wrong():
    with pytest.raises(AvatarError, match="no learning rate for basis"):
        optim.Adam(values(), {k: v for k, v in RATES.items() if k != "basis"})
    zeros = torch.zeros(3)
    with pytest.raises(AvatarError, match="do not fit"):
        optim.adam_step(zeros, torch.zeros(2), (zeros, zeros), 1, 0.1)
    with pytest.raises(AvatarError, match="count from 1"):
        optim.adam_step(zeros, zeros, (zeros, zeros), 0, 0.1)
    with pytest.raises(AvatarError, match="lacks 'first/means'"):
        optim.Adam(values(), RATES).load({})
