"""Fixtures: the emulated library, built once, in every order of threads."""

import importlib.util
import sys
from pathlib import Path

import pytest

if "emulated" not in sys.modules:  # pytest's importlib mode puts no folder of tests on the path
    spec = importlib.util.spec_from_file_location("emulated", Path(__file__).with_name("emulated.py"))
    assert spec and spec.loader
    sys.modules["emulated"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["emulated"])

from emulated import ORDERS, ROOT, Emulated, build


@pytest.fixture(scope="session")
def library() -> Emulated:
    """The kernels and C functions of cuda/gpu, with small broken kernels of cuda/emulator/planted.cu beside them."""
    planted = ROOT / "tests/cuda/planted"
    extra = f"-DEXTRA={planted / 'planted.cu'};{planted / 'planted_api.cpp'}"
    return Emulated(build(ROOT / "build/emulator", extra), planted / "planted.h")


@pytest.fixture(params=ORDERS)
def emulated(library: Emulated, request: pytest.FixtureRequest):
    """The library in each order of threads and blocks: a test that takes this runs three times."""
    library.order(request.param)
    yield library
    library.order("forward")
