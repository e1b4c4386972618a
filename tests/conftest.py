"""Shared fixtures. Shapes are checked at run time here and only here (jaxtyping + beartype)."""

import os
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch is loaded; the package says why

import pytest
from jaxtyping import install_import_hook

install_import_hook("avatar3d", "beartype.beartype")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real clips, head scans and photos that are not part of the repository."""
    given = os.environ.get("AVATAR3D_DATA")
    folder = Path(given) if given else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not (folder / "clips").is_dir():
        pytest.skip(f"no test data at {folder}; set AVATAR3D_DATA to the folder that holds clips/, heads/, photos/")
    return folder
