"""Edits of shape: sliders move what they say and leave the rest, splats follow, sides become alike."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avatar3d import heads, store
from avatar3d.core import AvatarError
from avatar3d.edit import edit, from_json, setting, undo
from avatar3d.edit.shape import Caricature, Mix, Shape, Symmetrise
from avatar3d.edit.shape_names import NAMES, PEOPLE
from avatar3d.edit.shapes import MOST, MOST_BODY, shapes
from avatar3d.render.image import world_splats
from avatar3d.render.path import neutral, posed

HEAD = heads.load("anny")
REST = neutral(HEAD)


def vertices(avatar, pose=REST):
    return heads.of(avatar).vertices(avatar.identity, pose)


@pytest.fixture(scope="module")
def person(doll):
    """The doll as somebody, each third splat on a stalk of 2 cm, as hair is."""
    identity = torch.randn(len(HEAD.identities), generator=torch.Generator().manual_seed(4))
    g = doll.gaussians
    means = g.means.clone()
    means[::3, 1] = 4.0
    return replace(doll, identity=identity, gaussians=replace(g, means=means))


def test_every_name_has_a_shape_of_its_own() -> None:
    known = shapes()
    assert len({source for _, source, _ in NAMES}) == len(NAMES) == len(known)
    assert all(person.slider in HEAD.sliders for person in PEOPLE.values())
    for name, offsets in known.items():
        assert 5e-4 < offsets.reach < (MOST_BODY if offsets.reach > MOST else MOST) + 1e-5, name


@pytest.mark.parametrize(
    ("name", "region", "others"),
    [
        ("nose_width", "nose", ("lids", "brows", "chin", "ears", "forehead")),
        ("mouth_width", "lips", ("lids", "brows", "ears", "forehead")),
        ("jaw_width", "jaw", ("nose", "lids", "brows", "lips", "forehead", "ears")),
        ("eyes_size", "lids", ("lips", "chin", "ears", "brows")),
        ("ears_wing", "ears", ("nose", "lips", "chin", "lids", "brows")),
        ("chin_width", "chin", ("nose", "lids", "brows", "ears")),
    ],
)
def test_a_slider_moves_its_region_and_no_other(name, region, others) -> None:
    moved = torch.zeros(len(HEAD.template), 3)
    moved = shapes()[name].added_to(moved, 1.0).norm(dim=-1)
    target = moved[HEAD.regions[region] > 0.5].max()
    assert target > 0.8 * moved.max()
    for other in others:
        assert moved[HEAD.regions[other] > 0.9].max() < 0.05 * moved.max(), other


@given(st.sampled_from([name for name, _, _ in NAMES]), st.floats(-1, 1))
@settings(max_examples=20, deadline=None)
def test_sliders_are_linear_on_any_person(person, name, amount) -> None:
    """The mesh moves by the asked amount, wherever it started, and two halves make a whole."""
    before, after = vertices(person), vertices(edit(person, setting(name, amount)))
    wanted = shapes()[name].added_to(torch.zeros_like(HEAD.template), amount)
    body = HEAD.weights[:, 0] + HEAD.weights[:, 5:].sum(1) < 1e-3
    eyes = HEAD.regions["eyes"] > 0.5
    assert torch.allclose((after - before)[body & ~eyes], wanted[body & ~eyes], atol=2e-6)
    halves = edit(person, setting(name, amount / 2), setting(name, amount / 2))
    assert torch.allclose(vertices(halves), after, atol=2e-6)


def test_splats_follow_the_surface(person) -> None:
    """On the mesh they ride on their triangles to the bit; those off it move as it does, and none leaps."""
    edited = edit(person, Shape({"ears_wing": 1.0, "nose_tip_height": 1.0, "age": 20.0}))
    near = torch.ones(len(person.gaussians), dtype=torch.bool)
    near[::3] = False
    assert torch.equal(edited.gaussians.means[near], person.gaussians.means[near])
    a, b = world_splats(person, REST), world_splats(edited, REST)
    moved = (b.means - a.means).norm(dim=-1)
    most = float((vertices(edited) - vertices(person)).norm(dim=-1).max())
    assert float(moved.max()) < 1.2 * most
    ridden = world_splats(replace(edited, gaussians=person.gaussians), REST)
    assert float((ridden.means - a.means).norm(dim=-1).max()) > 1.5 * most, "without drifting they would leap"


def test_eyes_stay_in_their_sockets(person) -> None:
    """Eyes turn about where their balls are, after they were moved and made larger."""
    edited = edit(person, Shape({"eyes_distance": 1.0, "eyes_size": 1.0, "eyes_height": -1.0}))
    ball = HEAD.regions["eye_left"] > 0.5
    for avatar in (person, edited):
        looks = [vertices(avatar, posed(HEAD, {"gazeYaw": y}))[ball] for y in (-20.0, 0.0, 20.0)]
        centre = heads.of(avatar).rest_joints(avatar.identity)[2]
        radius = [(v - centre).norm(dim=-1) for v in looks]
        assert torch.allclose(radius[0], radius[1], atol=1e-5) and torch.allclose(radius[2], radius[1], atol=1e-5)
        assert float(radius[1].std()) < 4e-4, "a ball is round about its joint"


def test_expressions_still_close(person) -> None:
    """What an expression moves stays the same on a changed shape."""
    edited = edit(person, Shape({"mouth_width": 1.0, "jaw_width": 0.5}))
    for name in ("jawOpen", "eyeBlinkLeft", "mouthPucker"):
        pose = posed(HEAD, {name: 1.0})
        here, there = vertices(person, pose) - vertices(person), vertices(edited, pose) - vertices(edited)
        assert torch.allclose(here, there, atol=1e-6)


def test_caricature_goes_both_ways(person) -> None:
    mean = vertices(replace(person, identity=torch.zeros_like(person.identity)))
    away = [float((vertices(edit(person, Caricature(x))) - mean).norm()) for x in (-1.0, -0.5, 0.25, 0.75)]
    assert away == sorted(away) and away[0] < 1e-3
    shaped = edit(person, Shape({"nose_width": 1.0}), Caricature(-1.0))
    assert shaped.shape is None and torch.allclose(vertices(shaped), mean, atol=1e-6)


def test_mixing_ends_at_the_other(person, doll, tmp_path) -> None:
    other = edit(replace(doll, identity=-person.identity), Shape({"nose_width": -1.0}))
    whole = edit(person, from_json(Mix.of(other, 1.0).to_json()))
    assert torch.allclose(vertices(whole), vertices(other), atol=2e-4), "identities are written with four digits"
    half = edit(person, Mix.of(other, 0.5))
    assert torch.allclose(vertices(half), (vertices(person) + vertices(other)) / 2, atol=2e-4)
    nose = edit(person, Mix.of(other, 1.0, ("nose",)))
    region = HEAD.regions["nose"]
    moved = (vertices(nose) - vertices(person)).norm(dim=-1)
    assert moved[region == 1].max() > 1e-3 and moved[(region == 0) & (HEAD.regions["eyes"] == 0)].max() < 1e-6
    assert torch.allclose(vertices(nose)[region == 1], vertices(other)[region == 1], atol=2e-4)
    store.save(whole, tmp_path / "w.a3d")
    assert torch.equal(vertices(undo(store.load(tmp_path / "w.a3d"))), vertices(person))


def test_symmetry(person) -> None:
    g = person.gaussians
    left = HEAD.template[HEAD.faces[person.binding.face], 0].mean(1) > 0
    coloured = replace(person, gaussians=replace(g, sh=g.sh + torch.where(left, 0.5, 0.0)[:, None, None]))
    asymmetric = edit(coloured, Mix(tuple([0.0] * 72), 0.0), Shape({"ears_wing": 0.3}))
    offsets = torch.zeros_like(HEAD.template)
    offsets[:, 0] = 3e-3 * torch.rand(len(offsets), generator=torch.Generator().manual_seed(1))
    asymmetric = replace(asymmetric, shape=offsets)

    def unlike(avatar) -> float:
        rest = vertices(avatar)
        middle = rest[:, 0].mean()
        flipped = rest[HEAD.mirror] * torch.tensor([-1.0, 1, 1]) + torch.tensor([2.0, 0, 0]) * middle
        own = (HEAD.mirror[HEAD.mirror] == torch.arange(len(rest))) & (HEAD.regions["eyes"] == 0)
        return float((flipped - rest)[own].abs().max())

    assert unlike(asymmetric) > 1e-3
    for side in ("both", "left", "right"):
        even = edit(asymmetric, Symmetrise(colours=0.0, side=side))
        assert unlike(even) < 0.1 * unlike(asymmetric) + 1e-5, side
    head = (HEAD.weights[:, 2] > 0.99)[HEAD.faces[person.binding.face]].all(1)
    far = head & (HEAD.template[HEAD.faces[person.binding.face], 0].mean(1).abs() > 0.02)
    even = edit(coloured, Symmetrise(shape=0.0)).gaussians.sh[:, 0].mean(-1) - g.sh[:, 0].mean(-1)
    assert abs(float(even[far & left].median() - even[far & ~left].median())) < 0.1


def test_what_is_wrong_is_said(person) -> None:
    with pytest.raises(AvatarError, match="nearest: nose_width"):
        Shape({"nose_widht": 0.1})
    with pytest.raises(AvatarError, match=r"nose_width is 1\.2; give a number from -1 to 1"):
        Shape({"nose_width": 1.2})
    with pytest.raises(AvatarError, match="age is 50; give a number from -40 to 40"):
        Shape({"age": 50.0})
    with pytest.raises(AvatarError, match="mix: 3 identity numbers, this head takes"):
        edit(person, Mix((0.0, 1.0, 2.0)))
    with pytest.raises(AvatarError, match="base64"):
        edit(person, Mix(tuple([0.0] * 72), shape="*"))
    with pytest.raises(AvatarError, match="this head needs"):
        edit(person, Mix(tuple([0.0] * 72), shape="AAA="))
    with pytest.raises(AvatarError, match="beyond 12 standard deviations"):
        edit(replace(person, identity=person.identity * 5), Caricature(1.0))
    scene = replace(person, head="scene", identity=torch.zeros(0))
    with pytest.raises(AvatarError, match="without a head have no shape"):
        edit(scene, Shape({"nose_width": 0.1}))
