"""LPIPS: the reader refuses everything but arrays; with the real weights the figures are the authors'."""

import io
import pickle

import numpy as np
import pytest
import torch

from avatar3d import assets
from avatar3d.core import AvatarError
from avatar3d.ops.lpips import _ArraysOnly, _network, lpips, perceptual


class Harm:
    """Runs code when an ordinary unpickler reads it."""

    def __reduce__(self):
        return (print, ("harm",))


def test_the_reader_refuses_everything_but_arrays() -> None:
    data = pickle.dumps({"kernel": np.arange(6.0).reshape(2, 3)})
    assert _ArraysOnly(io.BytesIO(data)).load()["kernel"].tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(pickle.UnpicklingError, match="is not an array"):
        _ArraysOnly(io.BytesIO(pickle.dumps(Harm()))).load()


def test_wrong_pictures_are_said() -> None:
    image = torch.zeros(64, 64, 3)
    with pytest.raises(AvatarError, match="different size"):
        lpips(image, image[:-1])
    with pytest.raises(AvatarError, match="at least 63"):
        lpips(image[:40], image[:40])


def test_damaged_weights_are_said(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = tmp_path / "bad.ckpt"
    bad.write_bytes(pickle.dumps({"other": 1}))
    monkeypatch.setattr(assets, "path", lambda name: bad)
    _network.cache_clear()
    with pytest.raises(AvatarError, match="not the LPIPS weights"):
        lpips(torch.zeros(64, 64, 3), torch.zeros(64, 64, 3))


@pytest.fixture
def weights() -> None:
    try:
        assets.path("lpips-alexnet")
    except AvatarError as error:
        pytest.skip(f"the LPIPS weights cannot be had: {error}")


def test_the_gradient_is_that_of_differences(weights: None) -> None:
    draw = torch.Generator().manual_seed(2)
    a, b = (torch.rand(1, 64, 64, 3, generator=draw, dtype=torch.float64) for _ in range(2))
    towards = torch.randn(a.shape, generator=draw, dtype=torch.float64)
    a.requires_grad_()
    value = perceptual(a, b)
    value.backward()
    assert a.grad is not None and value.item() == pytest.approx(lpips(a[0].detach(), b[0]))
    step = 1e-7
    with torch.no_grad():
        slope = (perceptual(a + step * towards, b) - perceptual(a - step * towards, b)) / (2 * step)
    assert (a.grad * towards).sum().item() == pytest.approx(slope.item(), rel=1e-4)


def test_real_weights_see_blur_and_nothing_else(weights: None) -> None:
    draw = torch.Generator().manual_seed(0)
    a = torch.rand(96, 80, 3, generator=draw)
    blurred = torch.nn.functional.avg_pool2d(a.permute(2, 0, 1)[None], 5, 1, 2)[0].permute(1, 2, 0)
    assert lpips(a, a) == 0
    assert lpips(a, blurred) == pytest.approx(lpips(blurred, a), abs=1e-6)
    assert 0.2 < lpips(a, blurred) < 2
    assert lpips(a, (a + 0.01).clamp(0, 1)) < 0.02
