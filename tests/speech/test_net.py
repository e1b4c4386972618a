"""The network in numpy is the one that was trained in PyTorch."""

import numpy as np
import pytest
import torch

from avatar3d.speech import net
from avatar3d.speech.front import INPUTS


@pytest.fixture
def trained(monkeypatch):
    """A network of random weights whose normalisation has seen something, and its tables in half precision."""
    from tools.train_phones import Net, tables

    torch.manual_seed(0)
    made = Net()
    with torch.no_grad():
        for _ in range(3):
            made(torch.randn(4, 60, 2 * INPUTS))
    found = tables(made.eval(), np.full(15, 1 / 15))
    monkeypatch.setattr(net, "weights", lambda: {name: value.astype(np.float32) for name, value in found.items()})
    return made


def test_numpy_gives_what_pytorch_gives(trained):
    x = np.random.default_rng(0).normal(size=(120, INPUTS)).astype(np.float32)
    with torch.no_grad():
        wanted = trained(torch.from_numpy(x.reshape(1, 60, 2 * INPUTS)))[0].numpy()
    found = net.Net().push(x)
    assert found.shape == (60, 15)
    assert np.abs(found - wanted).max() < 0.02 * np.abs(wanted).max()  # half precision


def test_blocks_of_any_length(trained):
    x = np.random.default_rng(1).normal(size=(101, INPUTS)).astype(np.float32)
    stream = net.Net()
    parts = [stream.push(block) for block in np.split(x, [1, 2, 7, 7, 40, 95])]
    assert np.array_equal(np.concatenate(parts), net.Net().push(x))


def test_the_future_is_not_heard(trained):
    x = np.random.default_rng(2).normal(size=(80, INPUTS)).astype(np.float32)
    other = x.copy()
    other[60:] = 0
    assert np.array_equal(net.Net().push(x)[:30], net.Net().push(other)[:30])
    assert not np.array_equal(net.Net().push(x)[30:], net.Net().push(other)[30:])


def test_shipped_weights_are_small_and_finite():
    assert net._FILE.stat().st_size < 1_000_000
    assert all(np.isfinite(value).all() for value in net.weights().values())
