"""Fixtures: the emulated library, built once, in every order of threads."""

import os
from pathlib import Path

import pytest
from emulated import GIVEN, ORDERS, PLANTED, Emulated, build_default

from avatar3d.ops import gpu
from avatar3d.ops.backends import registry


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keeps only what runs kernels when a build with sanitizers or coverage is given."""
    if os.environ.get(GIVEN):
        here = Path(__file__).parent
        items[:] = [i for i in items if here not in i.path.parents or "library" in getattr(i, "fixturenames", ())]


@pytest.fixture(scope="session")
def library():
    """The kernels and C functions of cuda/gpu, with small broken kernels (planted/) beside them.

    The package finds the same library, wherever it is installed.
    """
    given = os.environ.get(GIVEN)
    path = Path(given) if given else build_default()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(GIVEN, str(path))
        gpu.library.cache_clear()
        registry._gpu.cache_clear()
        yield Emulated(path, PLANTED / "planted.h")


@pytest.fixture(params=ORDERS)
def emulated(library: Emulated, request: pytest.FixtureRequest):
    """The library in each order of threads and blocks: a test that takes this runs three times."""
    library.order(request.param)
    yield library
    library.order("forward")
