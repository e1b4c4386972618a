"""Loader of the native CPU library: plain C functions called through ctypes, nothing loaded before first use."""

import ctypes
import functools
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from avatar3d.core import AvatarError

ABI_VERSION = 2
"""Must equal A3D_ABI_VERSION of cuda/avatar3d.h."""

SIGNATURES: dict[str, str] = {
    "a3d_isa_supported": "",
    "a3d_isa": "",
    "a3d_set_isa": "int32_t",
    "a3d_splat_workspace": "int64_t, int64_t, int64_t, int64_t, int64_t, int64_t*",
    "a3d_splat_forward": "int64_t, int64_t, int64_t, int64_t, int64_t, const float*, const float*, const float*, "
    "const float*, const float*, int32_t, const float*, const float*, int32_t, const float*, uint8_t*, int64_t, "
    "float*, float*, float*, int64_t*, int32_t",
    "a3d_splat_backward_workspace": "int64_t, int64_t, int64_t, int64_t*",
    "a3d_splat_backward": "int64_t, int64_t, int64_t, int64_t, int64_t, const float*, const float*, const float*, "
    "const float*, const float*, int32_t, const float*, const float*, int32_t, const float*, uint8_t*, int64_t, const "
    "float*, const float*, const float*, const float*, const float*, const float*, int64_t, uint8_t*, float*, "
    "float*, float*, float*, float*, float*, int32_t",
    "a3d_mesh_setup": "const float*, int64_t, const int32_t*, const float*, const float*, int64_t, int64_t, int64_t, "
    "int64_t, int64_t, int32_t, float, double*, double*, int64_t*, int32_t",
    "a3d_mesh_draw": "int64_t, int64_t, int64_t, int64_t, float, double*, int64_t*, int32_t*, int32_t*, float*, "
    "float*, int32_t",
    "a3d_pose_frames": "const float*, const int32_t*, int64_t, int64_t, int64_t, float*, int32_t",
    "a3d_pose_forward": "const float*, const float*, const float*, const float*, const int32_t*, const float*, "
    "const float*, const float*, const float*, const float*, const float*, int64_t, int64_t, int64_t, int64_t, "
    "float*, float*, float*, float*, float*, int32_t",
    "a3d_pose_backward": "const float*, const float*, const int32_t*, const float*, const float*, const float*, "
    "const float*, const float*, const float*, int64_t, int64_t, int64_t, int64_t, float*, float*, float*, "
    "const float*, const float*, const float*, const float*, float*, float*, float*, float*, float*, float*, float*, "
    "float*, float*, float*, int32_t",
    "a3d_pose_scatter": "const float*, const int32_t*, const int32_t*, int64_t, int64_t, int64_t, float*, int32_t",
    "a3d_image_bytes": "const float*, const float*, int64_t, uint8_t*, int32_t",
    "a3d_composite": "const uint8_t*, const uint8_t*, const int64_t*, const float*, int64_t, int64_t, int64_t, "
    "int64_t, int64_t, float*, float*, int32_t",
    "a3d_loss_l1_ssim": "const float*, const float*, const float*, int64_t, int64_t, int64_t, float, double*, float*, "
    "float*, int32_t",
    "a3d_adam_step": "float*, const float*, float*, float*, const uint8_t*, int64_t, int64_t, int64_t, double, double, "
    "double, double, int32_t",
    "a3d_grid_encode": "const float*, const float*, const float*, const int64_t*, int64_t, int64_t, int64_t, int64_t, "
    "float*, int32_t",
    "a3d_grid_backward": "const float*, const float*, const float*, const int64_t*, int64_t, int64_t, int64_t, "
    "int64_t, const float*, float*, float*, int32_t",
    "a3d_mlp_forward": "const float*, const float*, const int64_t*, int64_t, int64_t, float*, int32_t",
    "a3d_mlp_workspace": "const int64_t*, int64_t, int64_t, int64_t*",
    "a3d_mlp_backward": "const float*, const float*, const int64_t*, int64_t, int64_t, const float*, float*, float*, "
    "float*, int32_t",
    "a3d_ray_count": "const float*, const float*, const float*, const float*, const float*, const int32_t*, "
    "const uint8_t*, const int64_t*, const float*, float, int64_t, int64_t, int64_t*, int32_t*, int32_t",
    "a3d_ray_fill": "const float*, const float*, const float*, const float*, const float*, const int32_t*, "
    "const uint8_t*, const int64_t*, const float*, float, int64_t, int64_t, const int64_t*, float*, int32_t*, int32_t",
    "a3d_volume_forward": "const float*, const float*, const float*, const float*, const int64_t*, int64_t, float*, "
    "float*, float*, float*, int32_t*, int32_t",
    "a3d_volume_backward": "const float*, const float*, const float*, const int64_t*, int64_t, float*, float*, "
    "int32_t*, const float*, const float*, const float*, const float*, float*, float*, int32_t",
    "a3d_closest_workspace": "int64_t, int64_t*",
    "a3d_closest_build": "const float*, const int32_t*, int64_t, int64_t, uint8_t*, int32_t",
    "a3d_closest_query": "const float*, const uint8_t*, int64_t, int64_t, float, int32_t*, float*, float*, int32_t",
}
"""C parameter types of every function, as in cuda/avatar3d.h (a test compares them). All return int32_t."""

ISA_LEVELS = ("base", "avx2", "avx512")
"""Instruction sets by level; `base` is SSE4 on x86-64 and NEON on aarch64."""

_RETURNS_VALUE = {"a3d_isa_supported", "a3d_isa"}
C_TYPES = {"int32_t": ctypes.c_int32, "int64_t": ctypes.c_int64, "float": ctypes.c_float, "double": ctypes.c_double}
"""What passes for a scalar; everything else in a signature is a pointer."""
DTYPES = {
    "float*": (torch.float32,),
    "double*": (torch.float64,),
    "int32_t*": (torch.int32,),
    "int64_t*": (torch.int64,),
    "uint8_t*": (torch.uint8, torch.bool),
}
"""Tensor dtypes that may stand for a pointer."""
_NAMES = ("libavatar3d_cpu.so", "libavatar3d_cpu.dylib", "avatar3d_cpu.dll")


def call(name: str, *arguments: Tensor | int | float | None) -> int:
    """Calls a function of the library and returns its code.

    Args:
        name: A key of `SIGNATURES`.
        *arguments: A contiguous CPU tensor of the matching dtype (or None) for each pointer, a number for each scalar.

    Raises:
        AvatarError: The library is missing, or it reported an error.
    """
    function, dtypes = _functions()[name]
    values: list[int | float | None] = []
    for argument, allowed in zip(arguments, dtypes, strict=True):
        if isinstance(argument, Tensor):
            # A wrong dtype or layout would be read as garbage: refuse it here, in one place for every op.
            if argument.dtype not in allowed or not argument.is_contiguous() or argument.device.type != "cpu":
                raise TypeError(
                    f"{name}: argument {len(values)} must be a contiguous CPU tensor of {allowed}, "
                    f"got {argument.dtype} {tuple(argument.shape)} on {argument.device}"
                )
            values.append(argument.data_ptr())
        else:
            values.append(argument)
    code = function(*values)
    if code != 0 and name not in _RETURNS_VALUE:
        raise AvatarError(f"{name}: {library().a3d_last_error().decode()}")
    return code


def c_types(signature: str) -> list[str]:
    """Returns the parameter types of a signature, without `const`."""
    return [t.replace("const ", "").strip() for t in signature.split(",") if t.strip()]


def threads() -> int:
    """Returns the number of threads an op may use: torch's own setting."""
    return torch.get_num_threads()


def available() -> bool:
    """Returns whether the library is built and loads."""
    try:
        library()
    except AvatarError:
        return False
    return True


def isa() -> str:
    """Returns the instruction set in use, one of `ISA_LEVELS`."""
    return ISA_LEVELS[call("a3d_isa")]


def isas() -> tuple[str, ...]:
    """Returns the instruction sets this CPU can run."""
    return ISA_LEVELS[: call("a3d_isa_supported") + 1]


@contextmanager
def using_isa(level: str) -> Iterator[None]:
    """Runs a block with another instruction set than the best one (for tests and benchmarks)."""
    before = call("a3d_isa")
    call("a3d_set_isa", ISA_LEVELS.index(level))
    try:
        yield
    finally:
        call("a3d_set_isa", before)


@functools.cache
def library() -> ctypes.CDLL:
    """Returns the loaded library.

    Raises:
        AvatarError: It is not built, cannot be loaded, or belongs to another version of the package.
    """
    path = next((p for p in map(Path(__file__).with_name, _NAMES) if p.exists()), None)
    if path is None:
        raise AvatarError(
            f"the native library is not built (no {_NAMES[0]} in {Path(__file__).parent}): "
            "run `make native` in a source tree or reinstall with `pip install .`; both need cmake and a C++ compiler"
        )
    try:
        loaded = ctypes.CDLL(str(path))
    except OSError as error:
        raise AvatarError(f"the native library does not load: {error}; rebuild it with `make native`") from error
    _keep_freed_memory()
    loaded.a3d_last_error.restype = ctypes.c_char_p
    version = loaded.a3d_abi_version()
    if version != ABI_VERSION:
        raise AvatarError(
            f"{path.name} has interface version {version}, this package needs {ABI_VERSION}: rebuild by `make native`"
        )
    wanted = os.environ.get("AVATAR3D_ISA")
    if wanted and (wanted not in ISA_LEVELS or loaded.a3d_set_isa(ISA_LEVELS.index(wanted)) != 0):
        raise AvatarError(f"AVATAR3D_ISA={wanted} is not an instruction set of this CPU; choose from {ISA_LEVELS}")
    return loaded


def _keep_freed_memory() -> None:
    """Tells glibc to keep freed blocks of some megabytes for the next use instead of returning them to the system.

    Every step of a fit makes and drops the same tensors: without this it met 20,000 page faults, a fifth of its time.
    Settings that the user made win; other C libraries have no such call.
    """
    if any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for parameter, size in _MALLOC.items():
            mallopt(parameter, size)


_MALLOC = {-1: 1 << 29, -3: 1 << 27}
"""M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h, bytes: larger blocks, such as a clip's frames, still go back."""


@functools.cache
def _functions() -> dict[str, tuple]:
    """Returns name -> (ctypes function, accepted tensor dtypes of each parameter)."""
    loaded, table = library(), {}
    for name, signature in SIGNATURES.items():
        types = c_types(signature)
        try:
            function = getattr(loaded, name)
        except AttributeError as error:
            raise AvatarError(f"the native library lacks {name}: rebuild it with `make native`") from error
        function.restype = ctypes.c_int32
        function.argtypes = [C_TYPES.get(t, ctypes.c_void_p) for t in types]
        table[name] = (function, [DTYPES.get(t, ()) for t in types])
    return table
