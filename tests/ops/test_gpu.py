"""The GPU library's door: its table, its loader on machines without a driver, and kernels by NVRTC."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from avatar3d.core import AvatarError
from avatar3d.ops import gpu, gpu_table, native, nvrtc

ROOT = Path(__file__).resolve().parents[2]
HEADER = ROOT / "cuda" / "avatar3d_gpu.h"
BUILT = (Path(gpu.__file__).with_name("libavatar3d_gpu.so")).exists()


def header_functions() -> dict[str, str]:
    """Returns name -> parameter types of the functions that the C header declares."""
    text = re.sub(r"//[^\n]*", "", HEADER.read_text())
    found = {}
    for returns, name, parameters in re.findall(r"A3D_API\s+([\w\s*]+?)\s*\b(a3d_\w+)\s*\(([^)]*)\)", text):
        types = [] if parameters.strip() == "void" else parameters.split(",")
        named = (re.sub(r"\s*\*", "*", re.sub(r"\b\w+\s*$", "", p.strip()).strip()) for p in types)
        found[name] = ", ".join(named) if returns.strip() == "int32_t" else returns.strip()
    return found


def test_table_equals_the_header():
    header = header_functions()
    assert header.pop("a3d_gpu_last_error") == "const char*" and header.pop("a3d_gpu_abi_version") == ""
    assert header == gpu_table.SIGNATURES


def test_version_equals_the_header():
    version = re.search(r"#define A3D_GPU_ABI_VERSION (\d+)", HEADER.read_text())
    assert version and int(version[1]) == gpu_table.ABI_VERSION


def test_ops_of_both_libraries_take_the_same_arguments():
    """`gpu.run` calls either one: the functions differ by threads and stream at the end, and nothing else."""
    shared = [n for n in gpu_table.SIGNATURES if n.replace("_gpu", "") in native.SIGNATURES]
    assert len(shared) >= 8
    for name in shared:
        ours, cpu = (
            native.c_types(x) for x in (gpu_table.SIGNATURES[name], native.SIGNATURES[name.replace("_gpu", "")])
        )
        if name.endswith("_workspace"):
            assert ours == cpu, name
        else:
            assert ours[-1] == "void*" and cpu[-1] == "int32_t", name
            assert len(ours) == len(cpu), name
            differ = [(a, b) for a, b in zip(ours[:-1], cpu[:-1], strict=True) if a != b]
            assert all(pair == ("float*", "double*") for pair in differ), (name, differ)  # the loss's workspace


def python(code: str, **environment: str) -> str:
    """Runs code in a process of its own, where nothing is loaded yet, and returns what it printed."""
    env = {**os.environ, **environment, "PYTHONPATH": os.pathsep.join([str(Path(gpu.__file__).parents[2])])}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


def no_driver() -> bool:
    import ctypes

    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return True
    return False


@pytest.mark.skipif(not BUILT, reason="no GPU library: `make native`")
@pytest.mark.skipif(not no_driver(), reason="this machine has an NVIDIA driver")
def test_without_a_driver_the_library_loads_and_says_so():
    """The library itself needs nothing: it loads, answers its version, and its calls fail in words."""
    with pytest.raises(AvatarError, match="no NVIDIA driver on this machine"):
        gpu.library("cuda")
    library = gpu.Library("cuda", Path(gpu.__file__).with_name("libavatar3d_gpu.so"), "a test")
    with pytest.raises(AvatarError, match=r"a3d_gpu_load: no CUDA driver: libcuda.so.1"):
        library.call("a3d_gpu_load", gpu.Host(torch.zeros(4, dtype=torch.uint8)), 4)
    with pytest.raises(AvatarError, match="no kernels are loaded"):
        x = torch.zeros(4)
        gpu.Library.call(
            library, "a3d_gpu_adam_step", *(gpu.Host(x) for _ in range(4)), None, 4, 1, 1, 0.1, 0.9, 0.999, 1e-8
        )


@pytest.mark.skipif(not BUILT, reason="no GPU library: `make native`")
def test_the_library_needs_nothing_of_nvidia():
    said = subprocess.run(
        ["ldd", str(Path(gpu.__file__).with_name("libavatar3d_gpu.so"))], capture_output=True, text=True
    )
    assert "libc.so" in said.stdout and "cuda" not in said.stdout.replace("libavatar3d", "")


@pytest.mark.skipif(sys.platform != "linux", reason="builds a stand-in for the driver by a C compiler")
@pytest.mark.skipif(not BUILT, reason="no GPU library: `make native`")
def test_kernels_are_launched_through_the_driver(tmp_path):
    """A stand-in for libcuda.so.1 writes down what it is asked for: images of all files, and launches by name."""
    source = tmp_path / "driver.c"
    source.write_text(
        """
#include <stdio.h>
#include <string.h>
#define F __attribute__((visibility("default")))
F int cuInit(unsigned f) { return 0; }
F int cuDriverGetVersion(int* v) { *v = 13010; return 0; }
F int cuDeviceGetCount(int* n) { *n = 1; return 0; }
F int cuGetErrorString(int c, const char** s) { *s = "stand-in"; return 0; }
F int cuCtxGetCurrent(void** c) { *c = (void*)1; return 0; }
F int cuDevicePrimaryCtxRetain(void** c, int d) { *c = (void*)1; return 0; }
F int cuCtxSetCurrent(void* c) { return 0; }
F int cuLibraryLoadData(void** l, const void* image, void* a, void* b, unsigned c, void* d, void* e, unsigned f) {
  *l = (void*)(1 + (long)((const char*)image)[0]); printf("load %s\\n", (const char*)image); return 0; }
F int cuLibraryGetKernel(void** k, void* l, const char* name) {
  if ((long)l != 1 + 'a') return 500; *k = strdup(name); return 0; }
F int cuEventCreate(void** e, unsigned f) { *e = (void*)7; return 0; }
F int cuEventRecord(void* e, void* s) { printf("record on %ld\\n", (long)s); return 0; }
F int cuEventSynchronize(void* e) { return 0; }
F int cuEventElapsedTime(float* ms, void* a, void* b) { *ms = 0.25f; return 0; }
F int cuEventDestroy_v2(void* e) { return 0; }
F int cuLaunchKernel(void* k, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned s,
                     void* stream, void** p, void** x) {
  printf("launch %s %u %u %u x %u %u %u, %u B, stream %ld\\n", (char*)k, gx, gy, gz, bx, by, bz, s, (long)stream);
  fflush(stdout); return 0; }
"""
    )
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(tmp_path / "libcuda.so.1"), str(source)], check=True)
    code = """
import torch
from pathlib import Path
from avatar3d.ops import gpu
library = gpu.Library("cuda", Path(gpu.__file__).with_name("libavatar3d_gpu.so"), "a test")
for name in ("abc", "xyz"):  # the kernel is in the first image; the last one is asked first
    image = torch.tensor(list(name.encode()) + [0], dtype=torch.uint8)
    library.call("a3d_gpu_load", gpu.Host(image), 4)
text = torch.zeros(4096, dtype=torch.uint8)
library.call("a3d_gpu_timing", 1, gpu.Host(text), 4096)
x = gpu.Host(torch.zeros(1000))
library.call("a3d_gpu_adam_step", x, x, x, x, None, 500, 2, 1, 0.1, 0.9, 0.999, 1e-8)
library.call("a3d_gpu_timing", 0, gpu.Host(text), 4096)
print(bytes(text.tolist()).split(b"\\0")[0].decode())
print(gpu.driver_version())
"""
    said = python(code, LD_LIBRARY_PATH=str(tmp_path)).splitlines()
    assert said[:2] == ["load abc", "load xyz"]
    assert re.fullmatch(r"launch a3d_adam\w* \d+ 1 1 x \d+ 1 1, 0 B, stream 0", said[3]), said
    assert said[2] == said[4] == "record on 0"
    assert re.fullmatch(r"a3d_adam\w* 1 0.25000", said[5])
    assert said[-1] == "13.1"


@pytest.mark.parametrize("prebuilt", [True, False])
def test_images_are_loaded_once_for_all_devices(monkeypatch, tmp_path, prebuilt):
    loaded, archs = [], {0: "sm_80", 1: "sm_80", 2: "sm_90"}
    library = gpu.Library.__new__(gpu.Library)
    library.kind, library._ready, library._built = "cuda", set(), None

    def load(address, size):
        loaded.append(size)
        return 0

    library._functions = {"a3d_gpu_load": (load, [], False)}
    (tmp_path / "a.fatbin").write_bytes(b"12345")
    (tmp_path / "b.fatbin").write_bytes(b"123")
    images = sorted(tmp_path.glob("*.fatbin"))
    monkeypatch.setattr(gpu, "_prebuilt", lambda: images if prebuilt else [])
    monkeypatch.setattr(gpu.nvrtc, "cubins", lambda arch: images)
    monkeypatch.setattr(gpu, "arch", lambda device: archs[device.index])
    monkeypatch.setattr(gpu.torch, "empty", lambda *size, device: None)
    for index in (0, 1, 0):
        library._prepare(torch.device("cuda", index))
    assert loaded == [5, 3]
    if prebuilt:
        library._prepare(torch.device("cuda", 2))
        assert loaded == [5, 3]
    else:
        with pytest.raises(AvatarError, match="kernels are loaded for sm_80, and cuda:2 is sm_90"):
            library._prepare(torch.device("cuda", 2))


def test_a_missing_nvrtc_says_where_it_comes_from(monkeypatch):
    monkeypatch.setenv("AVATAR3D_NVRTC", "/nowhere/libnvrtc.so")
    nvrtc._library.cache_clear()
    try:
        with pytest.raises(AvatarError, match=r"AVATAR3D_NVRTC=/nowhere/libnvrtc.so does not load"):
            nvrtc.version()
    finally:
        nvrtc._library.cache_clear()


def test_wrong_tensors_are_refused(monkeypatch):
    library = gpu.Library.__new__(gpu.Library)
    library.kind = "emulated"
    library._functions = {"f": (lambda *a: 0, [(torch.float32,)], False)}
    library.call("f", torch.zeros(3))
    for bad in (torch.zeros(3, dtype=torch.float64), torch.zeros(3, 4).T):
        with pytest.raises(TypeError, match="contiguous tensor"):
            library.call("f", bad)
