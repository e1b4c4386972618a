"""Controls made from an edit's own words."""

from types import SimpleNamespace

import pytest

from avatar3d.core import AvatarError
from avatar3d.edit import KINDS, describe, from_json
from avatar3d.studio.controls import control


class Gui:
    """Stands in for viser's: remembers what was added."""

    def __getattr__(self, name):
        def add(label, *arguments, **settings):
            value = settings.get("initial_value", arguments[-1] if arguments else None)
            return SimpleNamespace(kind=name, label=label, value=value, arguments=arguments)

        return add


def made(**row):
    return control(Gui(), {"name": "x", "what": "", **row})


def test_each_type_has_its_control() -> None:
    cases = (
        ({"type": "bool", "default": True}, "add_checkbox", True),
        ({"type": "float", "range": [-1, 1], "default": 0.25}, "add_slider", 0.25),
        ({"type": "int", "range": [0, 9], "default": 3}, "add_slider", 3),
        ({"type": "float", "default": 2.5}, "add_number", 2.5),
        ({"type": "str", "names": ["nose", "lips"], "default": "lips"}, "add_dropdown", "lips"),
        ({"type": "str | None", "names": ["nose"], "default": None}, "add_dropdown", ...),
        ({"type": "str", "default": "hello"}, "add_text", "hello"),
        ({"type": "tuple[float, float, float]", "what": "A colour.", "default": [1, 0, 0]}, "add_rgb", (1.0, 0.0, 0.0)),
    )
    for row, kind, value in cases:
        handle, read = made(**row)
        assert handle.kind == kind and read() == value


def test_values_by_name_are_typed_as_people_write_them() -> None:
    handle, read = made(type="Mapping[str, float]", default={"jawOpen": 0.5})
    assert read() == {"jawOpen": 0.5}
    handle.value = "jawOpen=0.1, mouthSmileLeft: .2"
    assert read() == {"jawOpen": 0.1, "mouthSmileLeft": 0.2}
    handle.value = ""
    assert read() is ...
    handle.value = "AU12=C"
    assert read() == {"AU12": "C"}
    handle.value = "jawOpen 0.5"
    with pytest.raises(AvatarError, match=r"jawOpen 0\.5"):
        read()
    handle, read = made(type="tuple[float, float]", default=[1, 2])
    assert read() == [1, 2]
    handle.value = "__import__('os')"
    with pytest.raises(AvatarError):
        read()


def test_the_chosen_region_is_offered() -> None:
    handle, read = control(
        Gui(), {"name": "region", "type": "str", "names": ["nose", "lips"], "required": True}, None, "lips"
    )
    assert handle.value == "lips" == read()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_example_of_every_edit_survives_its_controls(kind) -> None:
    for example in KINDS[kind].examples().values():
        known = example.to_json()
        values = {}
        for row in describe(KINDS[kind])["fields"]:
            _, read = control(Gui(), row, known.get(row["name"]))
            if (value := read()) is not ...:
                values[row["name"]] = value
        again = from_json({"kind": kind, **values}).to_json()
        assert set(again) == set(known)
        for name, value in known.items():
            assert again[name] == value or again[name] == pytest.approx(value, abs=3e-3)
