"""Regions as soft weights."""

from dataclasses import replace

import pytest
import torch

from avatar3d.core import AvatarError
from avatar3d.edit import edit
from avatar3d.edit.look import regions
from avatar3d.edit.look.recolour import Recolour
from avatar3d.edit.look.split import gathered, joined, quartered


def carried(figure, name: str) -> torch.Tensor:
    from avatar3d import heads

    head = heads.load("anny")
    return (head.regions[name][head.faces[figure.binding.face]] * figure.binding.bary).sum(1)


def test_each_region_is_where_its_colour_was_put(figure) -> None:
    weights = {name: regions.weights(figure, name) for name in regions.names()}
    for value in weights.values():
        assert value.min() >= 0 and value.max() <= 1 and torch.isfinite(value).all()
    assert weights["hair"][carried(figure, "scalp") > 0.9].mean() > 0.9
    assert weights["skin"][carried(figure, "cheeks") > 0.9].mean() > 0.9
    assert weights["clothes"][carried(figure, "torso") > 0.9].mean() > 0.8
    assert weights["lips"][carried(figure, "lips") > 0.95].mean() > 0.7
    assert weights["lips"][carried(figure, "nose") > 0.9].max() < 0.1
    assert weights["whites"][carried(figure, "eyes") > 0.9].mean() > 0.5
    assert weights["teeth"][carried(figure, "teeth") > 0.9].mean() > 0.8
    assert weights["skin"][carried(figure, "lips") > 0.95].mean() < 0.3


def test_brows_are_found_by_colour_not_where_the_mesh_says(figure) -> None:
    """The mesh's own brows lie elsewhere on people."""
    from avatar3d.edit.look.surface import surface

    found = regions.weights(figure, "brows")
    at = surface(figure).splats.means
    inside = found > 0.5
    assert int(inside.sum()) > 40
    assert (at[inside, 1] - 0.02).abs().median() < 0.004
    assert (at[inside, 0].abs() - 0.032).abs().median() < 0.014


def test_left_and_right_make_the_whole(figure) -> None:
    for name in regions.SIDED:
        both = regions.weights(figure, f"{name}_left") + regions.weights(figure, f"{name}_right")
        assert torch.allclose(both, regions.weights(figure, name))
    left = regions.weights(figure, "iris_left") > 0.5
    from avatar3d.edit.look.surface import surface

    assert bool(left.any()) and (surface(figure).point[left, 0] > 0).all()


def test_regions_stay_after_recolouring_and_splitting(figure) -> None:
    """What they were on the original decides: hair that was painted like skin is hair."""
    like_skin = edit(figure, Recolour("hair", "#c79980"))
    assert torch.equal(regions.weights(like_skin, "hair"), regions.weights(figure, "hair"))
    rows = torch.arange(100, 400)
    kept = torch.cat([torch.arange(100), torch.arange(400, len(figure.gaussians))])
    split = joined(gathered(figure, kept), quartered(figure, rows))
    split = replace(split, original=figure)
    for name in ("skin", "hair", "iris"):
        was = regions.weights(figure, name)
        expected = torch.cat([was[kept], was[rows].repeat_interleave(4)])
        assert torch.equal(regions.weights(split, name), expected)


def test_unknown_regions_name_the_nearest(figure) -> None:
    with pytest.raises(AvatarError, match=r"nearest: .*lips"):
        regions.weights(figure, "lipps")


def test_regions_are_the_same_for_any_number_of_threads(figure) -> None:
    fresh = replace(figure, about={"copy": 1})
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1 if threads > 1 else 2)
        for name in ("skin", "hair", "lips", "brows", "iris"):
            assert torch.equal(regions.weights(fresh, name), regions.weights(figure, name))
    finally:
        torch.set_num_threads(threads)
