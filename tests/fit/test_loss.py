"""What a fit minimises beside the pixels."""

import pytest
import torch

from avatar3d import assets
from avatar3d.core import AvatarError, Camera, Render
from avatar3d.fit import loss
from avatar3d.fit.views import Batch


def pictures(size: int) -> tuple[Render, Batch]:
    draw = torch.Generator().manual_seed(0)
    rgb, target = (torch.rand(2, size, size, 3, generator=draw) for _ in range(2))
    camera = Camera(torch.eye(4).expand(2, 4, 4), torch.eye(3).expand(2, 3, 3), size, size)
    ones = torch.ones(2, size, size)
    return Render(rgb, ones[..., None], ones[..., None]), Batch(torch.arange(2), target, ones, torch.ones(2, 3), camera)


def test_crops_are_drawn_by_the_step_and_compared_where_they_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def measure(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        seen.append((a, b))
        return (a - b).abs().mean()

    monkeypatch.setattr(loss, "perceptual", measure)
    render, batch = pictures(300)
    values = [loss.perceived(render, batch, step).item() for step in (1, 1, 2)]
    assert values[0] == values[1] != values[2]
    assert seen[0][0].shape == (1, 256, 256, 3)
    whole = (render.rgb - batch.target).flatten(0, 2)
    inside = (seen[0][0] - seen[0][1])[0, 0, 0]
    assert (whole == inside).all(-1).any()  # the same place of both pictures


def test_pictures_too_small_for_the_measure_count_as_nothing() -> None:
    assert loss.perceived(*pictures(62), step=0) == 0


def test_missing_weights_are_said_before_the_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(name: str) -> None:
        raise AvatarError("no weights")

    monkeypatch.setattr(assets, "path", gone)
    with pytest.raises(AvatarError, match="no weights; or fit with a preset whose `perceptual` is 0"):
        loss.check_perceived()
