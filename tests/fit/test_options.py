"""Presets load strictly."""

from pathlib import Path

import pytest

from avatar3d.core import AvatarError
from avatar3d.fit import FitOptions, preset

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda p: p.stem)
def test_each_preset_loads(path):
    assert isinstance(preset(path.stem), FitOptions)
    assert preset(str(path)) == preset(path.stem)


def test_changes_replace_the_preset():
    assert preset("fast", steps=7).steps == 7
    assert preset("fast", hold_out=0.2).steps == preset("fast").steps


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("stepps = 3", "did you mean 'steps'"),
        ("steps = 3.5", "type int"),
        ("steps = true", "type int"),
        ("hold_out = 2", "between 0 and 1"),
        ("steps = 0", "1 or more"),
        ("steps = ", "TOML"),
    ],
)
def test_a_wrong_preset_says_why(tmp_path, text, says):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(AvatarError, match=says):
        preset(str(path))


def test_an_unknown_preset_names_the_known_ones():
    with pytest.raises(AvatarError, match=r"fast.*quality"):
        preset("best")
