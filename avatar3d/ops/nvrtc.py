"""Compiles the CUDA kernels at first use where no library was built ahead of time: NVRTC, which comes with torch.

Each file of kernels becomes a cubin for one architecture in the cache; the library of launchers (`libavatar3d_gpu`)
hands them to the driver. Nothing here needs a device, so tests compile with it everywhere.
"""

import ctypes
import functools
import hashlib
import os
import sys
from pathlib import Path

from avatar3d.assets import cache_dir
from avatar3d.core import AvatarError
from avatar3d.files import write_bytes

FLAGS = ("-std=c++20",)
"""As in `tools/cuda_static.py` and CMakeLists.txt: what is gated is what runs."""

_HEADERS = dict.fromkeys(("stdint.h", "stddef.h", "math.h", "cuda_runtime.h"), "")
"""NVRTC has no host headers and needs none: cuda/gpu/kernel.h gives it the types."""


def sources() -> Path:
    """Returns the folder of the CUDA sources: inside the installed package, or the source tree's.

    Raises:
        AvatarError: The package was installed without them.
    """
    here = Path(__file__).resolve()
    for folder in (here.parents[2] / "cuda", here.parent / "cuda"):
        if (folder / "gpu" / "kernel.h").exists():
            return folder
    raise AvatarError(f"no CUDA sources beside {here.parent}: install avatar3d again with `pip install .`")


def cubins(arch: str) -> list[Path]:
    """Returns the files of all kernels compiled for an architecture such as `sm_86`; made once, then cached.

    Raises:
        AvatarError: NVRTC is missing, or a kernel does not compile.
    """
    folder = sources()
    stamp = hashlib.sha256(repr((version(), arch, FLAGS, _HEADERS)).encode())
    for path in sorted([*folder.glob("gpu/*.h"), *folder.glob("math/*.h")]):
        stamp.update(path.name.encode() + path.read_bytes())
    found = []
    for source in sorted(folder.glob("gpu/*.cu")):
        key, text = stamp.copy(), source.read_bytes()
        key.update(text)
        kept = cache_dir() / "kernels" / f"{source.stem}-{arch}-{key.hexdigest()[:24]}.cubin"
        if not kept.exists():
            write_bytes(kept, compiled(text, source.name, (*FLAGS, f"--gpu-architecture={arch}", f"-I{folder}")))
        found.append(kept)
    return found


def compiled(text: bytes, name: str, options: tuple[str, ...]) -> bytes:
    """Returns the cubin of one translation unit.

    Raises:
        AvatarError: It does not compile; the first error is in the message.
    """
    nvrtc, program = _library(), ctypes.c_void_p()
    headers = (ctypes.c_char_p * len(_HEADERS))(*(body.encode() for body in _HEADERS.values()))
    names = (ctypes.c_char_p * len(_HEADERS))(*(name.encode() for name in _HEADERS))
    _check(nvrtc.nvrtcCreateProgram(ctypes.byref(program), text, name.encode(), len(_HEADERS), headers, names))
    try:
        flags = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        if nvrtc.nvrtcCompileProgram(program, len(options), flags) != 0:
            log = _answer("nvrtcGetProgramLog", program).decode(errors="replace").rstrip("\0")
            errors = [line for line in log.splitlines() if "error" in line] or log.splitlines() or ["no message"]
            raise AvatarError(f"NVRTC {version()} cannot compile the kernels: {errors[0].strip()}")
        return _answer("nvrtcGetCUBIN", program)
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def version() -> str:
    """Returns NVRTC's version, such as `13.0`.

    Raises:
        AvatarError: NVRTC is missing.
    """
    major, minor = ctypes.c_int(), ctypes.c_int()
    _check(_library().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
    return f"{major.value}.{minor.value}"


def _answer(name: str, program: ctypes.c_void_p) -> bytes:
    """Returns what a pair of functions, `nameSize` and `name`, has to say about a program."""
    size = ctypes.c_size_t()
    _check(getattr(_library(), f"{name}Size")(program, ctypes.byref(size)))
    buffer = ctypes.create_string_buffer(size.value)
    _check(getattr(_library(), name)(program, buffer))
    return buffer.raw


def _check(code: int) -> None:
    if code != 0:
        raise AvatarError(f"NVRTC: {_library().nvrtcGetErrorString(code).decode()}")


@functools.cache
def _library() -> ctypes.CDLL:
    names = ("libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so", "nvrtc64_130_0.dll", "nvrtc64_120_0.dll")
    given = os.environ.get("AVATAR3D_NVRTC")
    # Wheels put it into site-packages/nvidia/<package>/lib, which the system's loader does not search.
    folders = [Path(entry) / "nvidia" for entry in sys.path if entry]
    packaged = [path for folder in folders for name in names for path in sorted(folder.glob(f"*/lib/{name}"))]
    for candidate in [given] if given else [*map(str, packaged), *names]:
        try:
            # NVRTC opens its builtins by bare name: they must be loaded already where no search path leads to them.
            for builtins in sorted(Path(candidate).parent.glob("libnvrtc-builtins.so*")) if "/" in candidate else []:
                ctypes.CDLL(str(builtins))
            library = ctypes.CDLL(candidate)
        except OSError:
            continue
        library.nvrtcGetErrorString.restype = ctypes.c_char_p
        return library
    if given:
        raise AvatarError(f"AVATAR3D_NVRTC={given} does not load as NVRTC")
    raise AvatarError(
        "NVRTC (libnvrtc.so) is not here: it comes with CUDA builds of torch, with the CUDA toolkit, "
        "or by `pip install nvidia-cuda-nvrtc`"
    )
