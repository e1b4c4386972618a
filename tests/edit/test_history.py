"""Editing, undoing, storing: for every kind of edit that is registered."""

import contextlib
import json
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from avatar3d import edit as editing
from avatar3d import store
from avatar3d.core import Avatar, AvatarError
from avatar3d.edit import KINDS, edit, from_json, settled, undo

EXAMPLES = [(kind, name, one) for kind, made in KINDS.items() for name, one in made.examples().items()]


def tensors(avatar: Avatar) -> dict[str, torch.Tensor]:
    return store._avatar_parts(replace(avatar, original=None))[0]


def same(one: Avatar, other: Avatar) -> bool:
    a, b = tensors(one), tensors(other)
    return set(a) == set(b) and all(a[k].dtype == b[k].dtype and torch.equal(a[k], b[k]) for k in a)


@pytest.fixture(scope="module")
def small(doll) -> Avatar:
    """The doll as somebody with a splat on every fifth triangle: the price of edits is not looked at here."""
    index = torch.arange(0, len(doll.gaussians), 5)
    identity = torch.randn(doll.identity.shape, generator=torch.Generator().manual_seed(3))
    return replace(doll, identity=identity, gaussians=doll.gaussians.gather(index), binding=doll.binding.gather(index))


@pytest.mark.parametrize(("kind", "name", "one"), EXAMPLES, ids=[f"{k}: {n}" for k, n, _ in EXAMPLES])
def test_every_edit(small, tmp_path, kind, name, one) -> None:
    """Each example changes the avatar, repeats itself, leaves what it got alone, survives JSON and file, is undone."""
    before = {k: v.clone() for k, v in tensors(small).items()}
    if getattr(one, "region", "") in ("hair", "clothes"):  # the doll has neither; tests/edit/look tries them
        with contextlib.suppress(AvatarError):
            assert same(edit(small, one), small)
        return
    edited = edit(small, one)
    assert all(torch.equal(before[k], v) for k, v in tensors(small).items()), "the avatar it was given was changed"
    assert not same(edited, small), "an example must do something"
    text = json.dumps(one.to_json(), allow_nan=False)
    assert from_json(json.loads(text)) == one
    assert same(edit(small, json.loads(text)), edited)
    store.save(edited, tmp_path / "e.a3d")
    read = store.load(tmp_path / "e.a3d")
    assert same(read, edited) and list(read.edits) == [one.to_json()]
    assert read.original is not None and same(read.original, small)
    back = undo(read)
    assert same(back, small) and back.edits == () and back.original is None


def test_lists_compose(small) -> None:
    first, second = {"kind": "face", "values": {"jawOpen": 0.3}}, {"kind": "close", "lips": 0.5}
    both = edit(small, first, second)
    assert same(both, edit(edit(small, first), second))
    assert same(undo(both), edit(small, first)) and undo(both).edits == (first,)
    assert same(undo(both, 2), small)
    assert not same(edit(small, second, first), both), "the order of these two matters"


def test_what_undo_needs(small) -> None:
    with pytest.raises(AvatarError, match="cannot undo 1: the avatar has 0 edits"):
        undo(small)
    edited = edit(small, {"kind": "close", "lips": 1.0})
    with pytest.raises(AvatarError, match=r"cannot undo 2: the avatar has 1 edit$"):
        undo(edited, 2)
    final = settled(edited)
    assert final.edits == () and final.original is None and same(final, edited)
    with pytest.raises(AvatarError, match="take the avatar it was made from"):
        undo(replace(edited, original=None))


def test_a_file_repeats_only_what_changed(small, tmp_path) -> None:
    store.save(small, tmp_path / "a.a3d")
    store.save(edit(small, {"kind": "face", "values": {"jawOpen": 0.3}}), tmp_path / "b.a3d")
    assert (tmp_path / "b.a3d").stat().st_size < (tmp_path / "a.a3d").stat().st_size + 6000
    red = replace(small.gaussians, sh=small.gaussians.sh + 0.1)
    store.save(replace(small, gaussians=red, original=small, edits=({"kind": "x"},)), tmp_path / "c.a3d")
    back = store.load(tmp_path / "c.a3d")
    assert back.original is not None and torch.equal(back.original.gaussians.sh, small.gaussians.sh)
    assert back.original.gaussians.means is back.gaussians.means


def test_more_and_fewer_splats_than_before(small, tmp_path) -> None:
    """An edit may add and remove splats: the file holds both sets."""
    g = small.gaussians
    more = g.map(lambda x: torch.cat([x, x[:7]]))
    binding = small.binding.map(lambda x: torch.cat([x, x[:7]]))
    grown = replace(small, gaussians=more, binding=binding, original=small, edits=({"kind": "x"},))
    store.save(grown, tmp_path / "g.a3d")
    back = store.load(tmp_path / "g.a3d")
    assert same(back, grown) and back.original is not None and same(back.original, small)


def test_files_without_edits_stay_of_version_1(small, tmp_path) -> None:
    store.save(small, tmp_path / "a.a3d")
    header = (tmp_path / "a.a3d").read_bytes()[:3000]
    assert b'\\"version\\": 1' in header
    back = store.load(tmp_path / "a.a3d")
    assert back.original is None and back.shape is None and back.bearing is None


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        ({"kind": "fase", "values": {}}, "nearest: face"),
        ([], 'an object with a "kind"'),
        ({"kind": "face", "value": {}}, "unknown name 'value'; nearest: values"),
        ({"kind": "face"}, "'values' is missing"),
        ({"kind": "face", "values": {"jawOpn": 0.1}}, "nearest: jawOpen"),
        ({"kind": "face", "values": {"jawOpen": 1.5}}, "jawOpen is 1.5; give a number from -1 to 1"),
        ({"kind": "face", "values": {"headYaw": 90}}, "headYaw is 90; give a number from -60 to 60"),
        ({"kind": "face", "values": {"jawOpen": "C"}}, "letters are for FACS units"),
        ({"kind": "face", "values": {"AU12": "Q"}}, "A to E"),
        ({"kind": "gain", "values": {"mouth": 9}}, "gain of mouth is 9; give a number from 0 to 3"),
        ({"kind": "close", "lips": True}, "give float"),
        ({"kind": "close", "lips": float("nan")}, "give float"),
        ({"kind": "gaze_at", "point": [0, 0]}, r"give tuple\[float, float, float\]"),
        ({"kind": "gaze_at", "point": [0, 0, -1]}, "give a point before the eyes"),
    ],
)
def test_what_is_wrong_is_said(given_, said) -> None:
    with pytest.raises(AvatarError, match=said):
        from_json(given_)


def test_settings_know_their_ranges() -> None:
    with pytest.raises(AvatarError, match="unknown name 'jawOpeen'; nearest: jawOpen"):
        editing.setting("jawOpeen", 0.1)
    for name, one in editing.settings().items():
        assert one.what and one.group and one.low < one.high
        for value in (one.low, one.high):
            made = editing.setting(name, value)
            assert from_json(made.to_json()) == made
        with pytest.raises(AvatarError, match="give a number from"):
            editing.setting(name, one.high + 0.01)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=3),
    lambda x: (
        st.lists(x, max_size=3) | st.dictionaries(st.sampled_from(["kind", "values", "lips", "a"]), x, max_size=3)
    ),
    max_leaves=6,
)


@given(st.sampled_from(sorted(KINDS)), JSON)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_json_gets_through_unchecked(kind, value) -> None:
    """Whatever is read either is an edit whose JSON reads the same, or an `AvatarError`."""
    for item in (value, {"kind": kind, **(value if isinstance(value, dict) else {"values": value})}):
        if isinstance(item, dict):
            item = item | {"kind": kind}
        try:
            made = from_json(item)
        except AvatarError:
            continue
        assert from_json(made.to_json()) == made
