"""Action units to ARKit weights and back."""

import numpy as np
import pytest
import torch

from avatar3d.core import AvatarError, Pose
from avatar3d.edit.acting import units
from avatar3d.heads import load
from avatar3d.heads.arkit import ARKIT

EXACT = [u for u in units.table().values() if u.confidence == "exact" and u.read and u.weights]


def test_letters_and_numbers_mean_the_same() -> None:
    assert units.weights({"AU12": "C"}) == units.weights({"12": 0.5}) == {"mouthSmileLeft": 0.5, "mouthSmileRight": 0.5}
    levels = [units.intensity(letter) for letter in "ABCDE"]
    assert levels == sorted(levels) and levels[-1] == 1 and units.intensity("c") == 0.5


def test_sides() -> None:
    assert units.weights({"AU12L": 0.5}) == units.weights({"L12": 0.5}) == {"mouthSmileLeft": 0.5}
    assert units.weights({"AU46R": "E"}) == {"eyeBlinkRight": 1.0}
    with pytest.raises(AvatarError, match="AU46L or AU46R"):
        units.weights({"AU46": 1})
    with pytest.raises(AvatarError, match="no sides"):
        units.weights({"AU1L": 1})


@pytest.mark.parametrize("unit", EXACT, ids=lambda u: u.name)
def test_exact_units_come_back(unit: units.Unit) -> None:
    name = "AU30L" if unit.name == "AU30" else unit.name
    for level in (0.1, 0.37, 1.0):
        found = units.read(units.weights({name: level}))
        want = {"AU26": level / 0.4} if name == "AU27" and level <= 0.4 else {name: level}
        assert found.units == pytest.approx(want, abs=1e-6) and not found.rest


def test_many_units_come_back_together() -> None:
    rng = np.random.default_rng(0)
    names = [u.name for u in EXACT if u.name not in ("AU27", "AU30", "AU6", "AU7")]
    given = dict(zip(names, rng.uniform(0.1, 0.9, len(names)).tolist(), strict=True)) | {"AU6": 0.4, "AU7": 0.3}
    found = units.read(units.weights(given | {"AU26": 0.7}))
    assert found.units == pytest.approx(given | {"AU26": 0.7}, abs=1e-6) and not found.rest


def test_what_no_unit_explains_is_told() -> None:
    found = units.read({"mouthLeft": 0.4, "mouthSmileLeft": 0.2, "mouthSmileRight": 0.6})
    assert found.units == pytest.approx({"AU12L": 0.2, "AU12R": 0.6}) and found.rest == pytest.approx(
        {"mouthLeft": 0.4}
    )


def test_weights_stay_within_one_and_zero_is_nothing() -> None:
    assert units.weights({"AU10": 1, "AU25": 1})["mouthUpperUpLeft"] == 1 and units.weights({"AU12": 0}) == {}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"AU99": 1}, "nearest"),
        ({"AU12": 1.2}, "0 to 1"),
        ({"AU12": "F"}, "A to E"),
        ({"AU12": float("nan")}, "0 to 1"),
        ({"AU35": 0.5}, "cannot be shown"),
    ],
)
def test_what_cannot_be_is_said(given: dict, said: str) -> None:
    with pytest.raises(AvatarError, match=said):
        units.weights(given)


def test_turns_of_the_head() -> None:
    assert units.weights({"AU51": 1}) == {}
    x, y, z = units.turn({"AU51": "E", "AU53": 0.5})
    assert y > 0.5 and x < 0 and z == 0  # to its left, and up


def test_every_weight_is_reached_or_known_not_to_be() -> None:
    reached = {name for unit in units.table().values() for name in unit.weights}
    assert set(ARKIT) - reached == {"mouthLeft", "mouthRight"}


@pytest.mark.parametrize(
    ("name", "axis", "sign"),
    [("AU1", 1, 1), ("AU4", 1, -1), ("AU12", 1, 1), ("AU27", 1, -1)],
)
def test_units_move_the_mesh_the_way_they_are_called(name: str, axis: int, sign: int) -> None:
    head = load("anny")
    rows = []
    for level in (0.0, 0.25, 0.5, 1.0):
        w = units.weights({name: level})
        rows.append([w.get(n, 0.0) for n in head.expressions])
    pose = Pose(torch.tensor(rows), torch.zeros(4, len(head.joints), 3), torch.eye(4).expand(4, 4, 4))
    moved = 1e3 * (
        head.vertices(torch.zeros(len(head.identities)), pose)
        - head.vertices(torch.zeros(len(head.identities)), pose[:1])
    )
    most = head.deltas[[head.expressions.index(n) for n in units.weights({name: 1})]].abs().sum((0, 2)).argmax()  # type: ignore[attr-defined]
    path = sign * moved[:, most, axis]
    assert (path.diff() > 0).all() and path[-1] > 1.0
