"""`import avatar3d` is light, its names are the documented ones, and verbs are functions and packages at once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import avatar3d

HOME = str(Path(avatar3d.__file__).resolve().parents[1])

HEAVY = (
    "torch",
    "numpy",
    "av",
    "cv2",
    "scipy",
    "ai_edge_litert",
    "PIL",
    "tyro",
    "rich",
    "ctypes",
    "avatar3d.ops.native",
)


def python(code: str) -> str:
    """Runs code in a fresh interpreter and returns what it printed."""
    env = {**os.environ, "PYTHONPATH": HOME}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_loads_nothing_heavy() -> None:
    loaded = set(json.loads(python("import avatar3d, sys, json; print(json.dumps(sorted(sys.modules)))")))
    assert not loaded & set(HEAVY)


def test_using_the_nouns_loads_no_native_code() -> None:
    code = "import avatar3d, sys, json; avatar3d.Avatar, avatar3d.load; print(json.dumps(sorted(sys.modules)))"
    loaded = set(json.loads(python(code)))
    assert "torch" in loaded
    assert not loaded & {"av", "cv2", "scipy", "ai_edge_litert", "tyro", "avatar3d.ops.native"}


def test_every_public_name_is_there() -> None:
    assert 20 <= len(avatar3d.__all__) <= 36
    for name in avatar3d.__all__:
        assert callable(getattr(avatar3d, name)), name
    assert set(avatar3d.__all__) <= set(dir(avatar3d))


def test_a_verb_is_a_function_and_a_package() -> None:
    code = (
        "import avatar3d.render; import avatar3d; from avatar3d.render.path import view; "
        "print(callable(avatar3d.render), avatar3d.render.render is avatar3d.render.image.render); "
        "camera = view(); "
        "import types; print(isinstance(avatar3d.render, types.ModuleType))"
    )
    assert python(code).split() == ["True", "True", "True"]


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(avatar3d, "fitt")
