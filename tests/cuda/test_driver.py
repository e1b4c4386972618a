"""The library for real devices, executed here: a driver that stands in for CUDA's runs its kernels by the emulator."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from emulated import CHILD, ROOT, build_default
from safetensors.torch import load_file
from splats import backward, camera_at, cotangents, forward, random_splats

pytestmark = [
    pytest.mark.cuda_full,
    pytest.mark.xdist_group("driver"),
    pytest.mark.skipif(sys.platform != "linux", reason="the GPU library is built on Linux only"),
]

HERE = Path(__file__).parent
COMMON = """
import sys, torch; from pathlib import Path; from emulated import EmulatorError, Emulated
from splats import *; from safetensors.torch import save_file
library = Emulated(Path(sys.argv[1]))
def load(prefix): library.call("a3d_gpu_load", torch.tensor([*prefix.encode(), 0], dtype=torch.uint8), len(prefix) + 1)
scene = random_splats(60, 4), camera_at(), torch.tensor([0.2, 0.5, 0.7])
"""
DRAW = """
drawn = forward(library, *scene)
save_file({"rgb": drawn.rgb} | backward(library, drawn, cotangents(1, scene[1])), sys.argv[2])
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> tuple[Path, Path]:
    """The GPU library, and a folder with the stand-in for the driver."""
    folder = tmp_path_factory.mktemp("driver")
    compiler, sources = os.environ.get("CXX", "g++"), sorted((ROOT / "cuda/gpu").glob("*.cpp"))
    shared = ("-std=c++20", "-shared", "-fPIC", "-fvisibility=hidden", f"-I{ROOT / 'cuda'}")
    gpu, fake = folder / "libavatar3d_gpu.so", folder / "libcuda.so.1"
    subprocess.run([compiler, *shared, "-O0", *map(str, sources), "-o", str(gpu), "-ldl"], check=True)
    subprocess.run([compiler, *shared, str(HERE / "fake_driver.cpp"), "-o", str(fake), "-ldl"], check=True)
    return gpu, folder


def run(built, code: str, out: Path, **environment: str) -> subprocess.CompletedProcess:
    gpu, folder = built
    env = CHILD | {"LD_LIBRARY_PATH": str(folder), "FAKE_EMULATED": str(build_default())} | environment
    command = [sys.executable, "-c", COMMON + code, str(gpu), str(out)]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)


def test_kernels_are_found_in_any_image_and_launched(built, library, tmp_path):
    """Two images, as two .cu files make; the results are the emulated library's."""
    done = run(built, f"load('a3d_splat'); load('a3d_s'){DRAW}", tmp_path / "out.safetensors")
    assert done.returncode == 0, done.stderr
    drawn = forward(library, random_splats(60, 4), camera_at(), torch.tensor([0.2, 0.5, 0.7]))
    want = {"rgb": drawn.rgb} | backward(library, drawn, cotangents(1, camera_at()))
    got = load_file(tmp_path / "out.safetensors")
    assert got.keys() == want.keys() and all(torch.equal(got[name], want[name]) for name in want)


@pytest.mark.parametrize(
    ("code", "environment", "message"),
    [
        (DRAW, {}, "a3d_splat_begin: no kernels are loaded; call a3d_gpu_load"),
        (f"load('a3d_sort'){DRAW}", {}, "a3d_splat_begin: CUDA error 500, named symbol not found"),
        ("load('a3d')", {"FAKE_BROKEN": "1"}, "error 100, no CUDA-capable device is detected"),
        ("load('a3d')", {"LD_LIBRARY_PATH": "/nowhere"}, "no CUDA driver: libcuda.so.1"),
    ],
)
def test_what_is_missing_is_said(built, tmp_path, code, environment, message):
    if "LD_LIBRARY_PATH" in environment and Path("/dev/nvidiactl").exists():
        pytest.skip("this machine has a driver")
    done = run(built, code, tmp_path / "out.safetensors", **environment)
    assert done.returncode and message in done.stderr, done.stderr[-600:]
