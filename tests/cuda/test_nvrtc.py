"""Kernels by NVRTC, which needs no device to compile for one."""

import re

import pytest
from emulated import ROOT

from avatar3d.core import AvatarError
from avatar3d.ops import nvrtc

pytestmark = pytest.mark.cuda_full  # `make test-cuda` installs NVRTC


def needs_nvrtc() -> None:
    try:
        nvrtc.version()
    except AvatarError as error:
        pytest.skip(str(error))


def test_nvrtc_compiles_every_kernel(monkeypatch, tmp_path):
    """Into the cache, once; every name that host code launches is in some image."""
    needs_nvrtc()
    monkeypatch.setenv("AVATAR3D_CACHE", str(tmp_path))
    found = nvrtc.cubins("sm_80")
    assert len(found) == len(list((nvrtc.sources() / "gpu").glob("*.cu")))
    code = b"".join(path.read_bytes() for path in found)
    assert code.count(b"\x7fELF") == len(found)
    for path in sorted((ROOT / "cuda/gpu").glob("*_api.cpp")):
        for kernel in re.findall(r'"(a3d_(?!gpu_)\w+)"', path.read_text()):
            assert kernel.encode() in code, kernel
    monkeypatch.setattr(nvrtc, "compiled", lambda *a: pytest.fail("compiled twice"))
    assert nvrtc.cubins("sm_80") == found


def test_nvrtc_says_what_does_not_compile():
    needs_nvrtc()
    with pytest.raises(AvatarError, match=r'broken.cu\(1\): error: identifier "y" is undefined'):
        nvrtc.compiled(b"__device__ int x() { return y; }", "broken.cu", ("-arch=sm_80",))
