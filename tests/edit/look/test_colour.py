"""Colour spaces and names."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avatar3d.core import AvatarError
from avatar3d.edit.look.colour import (
    difference,
    from_linear,
    from_oklab,
    hex_of,
    parse_colour,
    to_lab,
    to_linear,
    to_oklab,
)


def random(count: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_ciede2000_is_that_of_another_implementation() -> None:
    from skimage.color import deltaE_ciede2000, rgb2lab

    a, b = random(3000), random(3000, 1)
    b[:500] = (a[:500] + 0.02 * random(500, 2)).clamp(0, 1)
    other = deltaE_ciede2000(rgb2lab(a.numpy()), rgb2lab(b.numpy()))
    # Where hues are opposite to a hair's breadth, the mean hue may fall on either side.
    assert np.quantile(np.abs(difference(a, b).numpy() - other), 0.998) < 0.02
    assert np.abs(to_lab(a).numpy() - rgb2lab(a.numpy())).max() < 0.02


def test_oklab_of_white_and_red() -> None:
    """Values from the space's definition."""
    lab = to_oklab(torch.tensor([[1.0, 1, 1], [1, 0, 0]]))
    assert torch.allclose(lab[0], torch.tensor([1.0, 0, 0]), atol=1e-3)
    assert torch.allclose(lab[1], torch.tensor([0.6280, 0.2249, 0.1258]), atol=1e-3)


@given(st.lists(st.floats(-0.3, 1.3), min_size=3, max_size=3))
@settings(max_examples=60, deadline=None)
def test_round_trips_also_out_of_range(rgb) -> None:
    colour = torch.tensor([rgb], dtype=torch.float64)
    assert torch.allclose(from_oklab(to_oklab(colour)), colour, atol=1e-6)
    assert torch.allclose(from_linear(to_linear(colour)), colour, atol=1e-6)


def test_names_and_hex() -> None:
    assert parse_colour("#3a7") == pytest.approx((0x33 / 255, 0xAA / 255, 0x77 / 255))
    assert parse_colour("rgb(10, 20, 30)") == pytest.approx((10 / 255, 20 / 255, 30 / 255))
    assert parse_colour("Steel Blue") == parse_colour("steelblue")
    assert hex_of(torch.tensor(parse_colour("#12ab9f"))) == "#12ab9f"
    with pytest.raises(AvatarError, match="nearest names: crimson"):
        parse_colour("crimsn")
    with pytest.raises(AvatarError, match="write #rrggbb"):
        parse_colour("#12")
