"""Fixtures: the emulated library, built once, in every order of threads."""

import importlib.util
import sys
from pathlib import Path

import pytest

for name in ("emulated", "splats"):  # pytest's importlib mode puts no folder of tests on the path
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
        assert spec and spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])

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
