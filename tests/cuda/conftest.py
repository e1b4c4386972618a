"""Fixtures: the emulated library, built once, in every order of threads."""

import os
from pathlib import Path

import pytest
from emulated import GIVEN, ORDERS, PLANTED, Emulated, build_default


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keeps only what runs kernels when a build with sanitizers or coverage is given."""
    if os.environ.get(GIVEN):
        here = Path(__file__).parent
        items[:] = [i for i in items if here not in i.path.parents or "library" in getattr(i, "fixturenames", ())]


@pytest.fixture(scope="session")
def library() -> Emulated:
    """The kernels and C functions of cuda/gpu, with small broken kernels (planted/) beside them."""
    given = os.environ.get(GIVEN)
    return Emulated(Path(given) if given else build_default(), PLANTED / "planted.h")


@pytest.fixture(params=ORDERS)
def emulated(library: Emulated, request: pytest.FixtureRequest):
    """The library in each order of threads and blocks: a test that takes this runs three times."""
    library.order(request.param)
    yield library
    library.order("forward")
