"""Light: against closed forms, and an avatar of known albedo put from one light into another."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from avatar3d.core import AvatarError
from avatar3d.edit import edit
from avatar3d.edit.look import regions
from avatar3d.edit.look.colour import from_linear, to_linear
from avatar3d.edit.look.light import Lights, estimate, harmonics, panorama
from avatar3d.edit.look.relight import Relight, normals
from avatar3d.edit.look.surface import surface

C0 = 0.28209479


def directions(count: int) -> torch.Tensor:
    return functional.normalize(torch.randn(count, 3, generator=torch.Generator().manual_seed(0)), dim=-1)


def test_harmonics_are_orthonormal() -> None:
    n = directions(200_000).double()
    gram = harmonics(n).T @ harmonics(n) / len(n) * 4 * math.pi
    assert torch.allclose(gram, torch.eye(9).double(), atol=0.03)


def test_a_white_panorama_shades_everything_alike_and_a_lamp_its_own_side() -> None:
    n = directions(500)
    even = harmonics(n) @ panorama(np.ones((64, 128, 3)))
    assert torch.allclose(even, torch.ones(500, 3), atol=2e-3)
    lamp = np.zeros((64, 128, 3))
    lamp[20:30, 60:68] = 1.0  # the middle of the picture is what the face looks at, a little above
    shade = (harmonics(n) @ panorama(lamp))[:, 0]
    brightest = functional.normalize((n * shade[:, None]).sum(0), dim=0)
    assert brightest[2] > 0.8 and brightest[1] > 0.2 and abs(brightest[0]) < 0.1
    with pytest.raises(AvatarError, match="twice as wide"):
        panorama(np.ones((64, 64, 3)))


def test_the_projection_of_a_small_lamp_is_its_cosine() -> None:
    """Harmonics of degree 2 hold a clamped cosine to about 4 % of its peak (Ramamoorthi and Hanrahan 2001)."""
    picture = np.zeros((128, 256, 3))
    picture[62:66, 126:130] = 1.0
    n = directions(2000)
    shade = (harmonics(n) @ panorama(picture))[:, 0]
    power = float((shade * n[:, 2].clamp_min(0)).sum() / n[:, 2].clamp_min(0).square().sum())
    assert (shade / power - n[:, 2].clamp_min(0)).abs().max() < 0.1


def test_the_light_is_found_from_surfaces_of_one_albedo() -> None:
    n = directions(4000)
    truth = Lights(torch.tensor([0.4, 0.4, 0.5]), None, torch.tensor([0.8, 0.7, 0.6]), torch.tensor([0.6, 0.4, 0.7]))
    colours = torch.tensor([0.5, 0.3, 0.2]) * truth.shading(n, n)
    beard = torch.arange(len(n)) % 11 == 0
    colours[beard] *= 0.3
    found = harmonics(n) @ estimate(n, colours, torch.ones(len(n)))
    expected = torch.tensor([0.5, 0.3, 0.2]) * truth.shading(n, n)
    assert ((found - expected).abs().mean(0) / expected.mean(0)).max() < 0.08


def test_a_near_lamp_falls_off() -> None:
    light = Lights(torch.zeros(3), None, torch.ones(3), None, torch.tensor([0.0, 0.0, 0.4]))
    at = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 0.2], [0.0, 0.0, -0.4]])
    shade = light.shading(torch.tensor([[0.0, 0.0, 1.0]]).expand(3, 3), at)[:, 0]
    assert shade.tolist() == pytest.approx([1.0, 4.0, 0.25])


@pytest.fixture(scope="module")
def lit(figure):
    """The figure in two lights, exactly: its colours taken as albedo."""
    facing = normals(figure, surface(figure))
    at = surface(figure).splats.means

    def under(light: Lights):
        base = to_linear((0.5 + C0 * figure.gaussians.sh[:, 0]).clamp(0, 1))
        sh = (from_linear(base * light.shading(facing, at)) - 0.5) / C0
        return replace(figure, gaussians=replace(figure.gaussians, sh=sh[:, None]), basis=None)

    one = Lights(torch.full((3,), 0.45), None, torch.full((3,), 0.6), torch.tensor([-0.7, 0.4, 0.6]))
    other = Lights(torch.full((3,), 0.3), None, torch.full((3,), 0.8), torch.tensor([0.8, 0.3, 0.5]))
    return under(one), under(other)


def test_relit_is_near_the_truth_in_the_new_light(figure, lit) -> None:
    source, truth = lit
    relit = edit(source, Relight((0.8, 0.3, 0.5), strength=0.8, ambient=0.3))
    rows = (regions.weights(figure, "skin") > 0.9) & (surface(figure).region("face") > 0.5)

    def error(avatar) -> float:
        """Up to brightness, which an estimate cannot know."""
        a, b = (to_linear((0.5 + C0 * x.gaussians.sh[rows, 0]).clamp(0, 1)) for x in (avatar, truth))
        a = a * (b.mean() / a.mean())
        return float((from_linear(a) - from_linear(b)).square().mean())

    assert error(relit) < 0.15 * error(source)


def test_half_a_relight_is_between_and_none_is_none(figure, lit) -> None:
    source = lit[0]
    colours = [edit(source, Relight((1.0, 0.0, 0.2), amount=a)).gaussians.sh[:, 0] for a in (0.5, 1.0)]
    start = source.gaussians.sh[:, 0]
    none = edit(source, Relight((1.0, 0.0, 0.2), amount=0.0)).gaussians.sh[:, 0]
    assert (none - start).abs().max() < 1e-4
    half, full = ((c - start).abs().mean() for c in colours)
    assert 0.3 * full < half < 0.7 * full


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(AvatarError, match="not both"):
        Relight((1.0, 0.0, 0.0), (0.1, 0.1, 0.1))
    with pytest.raises(AvatarError, match="27"):
        Relight(sh=(1.0,) * 9)
    with pytest.raises(AvatarError, match="0 0 0"):
        Relight((0.0, 0.0, 0.0))
