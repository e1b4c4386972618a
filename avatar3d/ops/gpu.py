"""Loader of the CUDA kernels: C functions that launch them through the driver, and the kernels' machine code.

Two libraries have the same functions (cuda/avatar3d_gpu.h). `libavatar3d_gpu` starts kernels on a device: from the
fatbin that nvcc built ahead of time, else from a cubin that NVRTC makes at first use. `libavatar3d_emulated` runs the
same sources on the CPU, for tests. Neither is loaded before it is asked for.
"""

import ctypes
import functools
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from avatar3d.core import AvatarError
from avatar3d.ops import native, nvrtc
from avatar3d.ops.gpu_table import ABI_VERSION, SIGNATURES

KINDS = ("cuda", "emulated")
_FILES = {"cuda": "libavatar3d_gpu.so", "emulated": "libavatar3d_emulated.so"}
_DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
_HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Host:
    """Marks a CPU tensor for a parameter that the header says is in host memory."""

    tensor: Tensor


class Library:
    """One loaded library; `call` is its only use."""

    kind: str
    origin: str
    """Where kernels come from, in words."""

    def __init__(self, kind: str, path: Path, origin: str) -> None:
        self.kind, self.origin = kind, origin
        try:
            self._library = ctypes.CDLL(str(path))
            self._library.a3d_gpu_last_error.restype = ctypes.c_char_p
            version = self._library.a3d_gpu_abi_version()
        except (OSError, AttributeError) as error:
            raise AvatarError(f"{path.name} does not load: {error}; install avatar3d again") from error
        if version != ABI_VERSION:
            raise AvatarError(
                f"{path.name} has interface version {version}, this package needs {ABI_VERSION}: rebuild it"
            )
        self._functions: dict[str, tuple] = {}
        self._ready: set[int] = set()
        self._built: str | None = None

    def call(self, name: str, *arguments: Tensor | Host | int | float | None) -> None:
        """Calls a function of the library on the current stream of its tensors' device.

        Args:
            name: A key of `SIGNATURES`.
            *arguments: A contiguous tensor on the device (or `Host`, or None) for each pointer, a number for each
                scalar. The stream, which comes last in C, is not among them.

        Raises:
            AvatarError: The library reported an error.
        """
        function, dtypes, has_stream = self._function(name)
        tensors = [x for x in arguments if isinstance(x, Tensor)]
        device = tensors[0].device if tensors else torch.device("cpu")
        values = [self._value(name, i, x, dtypes[i], device) for i, x in enumerate(arguments)]
        if self.kind == "cuda" and tensors:
            with torch.cuda.device(device):
                self._prepare(device)
                stream = [torch.cuda.current_stream(device).cuda_stream] if has_stream else []
                code = function(*values, *stream)
        else:
            code = function(*values, *([None] if has_stream else []))
        if code != 0:
            raise AvatarError(f"{name}: {self._library.a3d_gpu_last_error().decode()}")

    def symbol(self, name: str, arguments: tuple[str, ...] = (), returns: str = "int32_t"):
        """Returns a C function that is in this kind of library only (the emulator's controls)."""
        function = getattr(self._library, name)
        function.argtypes = [native.C_TYPES.get(x, ctypes.c_void_p) for x in arguments]
        function.restype = ctypes.c_char_p if returns == "const char*" else native.C_TYPES[returns]
        return function

    def _value(self, name: str, i: int, x: Tensor | Host | int | float | None, allowed: tuple, device: torch.device):
        if not isinstance(x, Tensor | Host):
            return x
        tensor = x.tensor if isinstance(x, Host) else x
        wanted = torch.device("cpu") if isinstance(x, Host) else device
        # A wrong dtype, layout or device would be read as garbage: refuse it here, in one place for every op.
        if tensor.dtype not in allowed or not tensor.is_contiguous() or tensor.device != wanted:
            raise TypeError(
                f"{name}: argument {i} must be a contiguous tensor of {allowed} on {wanted}, "
                f"got {tensor.dtype} {tuple(tensor.shape)} on {tensor.device}"
            )
        return tensor.data_ptr()

    def _function(self, name: str) -> tuple:
        """Returns (ctypes function, accepted dtypes of each parameter, whether a stream comes last)."""
        if name not in self._functions:
            types = native.c_types(SIGNATURES[name])
            try:
                function = getattr(self._library, name)
            except AttributeError as error:
                raise AvatarError(f"{_FILES[self.kind]} lacks {name}: rebuild it") from error
            function.restype = ctypes.c_int32
            function.argtypes = [native.C_TYPES.get(t, ctypes.c_void_p) for t in types]
            has_stream = bool(types) and types[-1] == "void*"
            dtypes = [native.DTYPES.get(t, ()) for t in types]
            self._functions[name] = (function, dtypes, has_stream)
        return self._functions[name]

    def _prepare(self, device: torch.device) -> None:
        """Hands the kernels' machine code to the driver, once for each device, whose context must be current."""
        index, images = device.index or 0, _prebuilt()
        if index in self._ready:
            return
        torch.empty(1, device=device)  # makes the device's primary context, which the driver calls need
        built = "all" if images else arch(device)
        if self._built not in (None, built):
            raise AvatarError(
                f"kernels are loaded for {self._built}, and {device} is {built}: several kinds of GPUs in one process "
                "need kernels built ahead of time (nvcc on PATH when avatar3d is installed)"
            )
        if self._built is None:  # the driver gives what is loaded to every device
            load = self._function("a3d_gpu_load")[0]
            for path in images or nvrtc.cubins(built):
                image = torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)
                if load(image.data_ptr(), len(image)) != 0:
                    raise AvatarError(f"{path.name}: {self._library.a3d_gpu_last_error().decode()}")
            self._built = built
        self._ready.add(index)


def run(kind: str, name: str, *arguments: Tensor | Host | int | float | None) -> None:
    """Calls `a3d_<name>` of the CPU library or `a3d_gpu_<name>` of another: one path for ops whose interfaces agree.

    Args:
        kind: `cpu`, `cuda` or `emulated`.
        name: Of the function, without its prefix.
        *arguments: As `Library.call` takes them; the CPU library's number of threads is added here.
    """
    if kind == "cpu":
        plain = (x.tensor if isinstance(x, Host) else x for x in arguments)
        native.call(f"a3d_{name}", *plain, *(() if name.endswith("_workspace") else (native.threads(),)))
    else:
        library(kind).call(f"a3d_gpu_{name}", *arguments)


def arch(device: torch.device) -> str:
    """Returns the architecture of a device as compilers name it, such as `sm_86`."""
    major, minor = torch.cuda.get_device_capability(device)
    return f"sm_{major}{minor}"


@functools.cache
def library(kind: str = "cuda") -> Library:
    """Returns the library that runs kernels on a CUDA device, or the one that emulates it.

    Raises:
        AvatarError: Something is missing; the message says what, and what to install.
    """
    if kind == "emulated":
        given = os.environ.get("AVATAR3D_EMULATED")
        path = Path(given) if given else _HERE.parents[1] / "build" / "emulator" / _FILES[kind]
        if not path.exists():
            raise AvatarError(
                "the emulated CUDA library is built by `make test-cuda` in a source tree, for tests alone"
            )
        return Library(kind, path, "the CUDA sources, run on the CPU by the emulator")
    path = _HERE / _FILES[kind]
    if not path.exists():
        raise AvatarError(
            f"no {path.name} in {_HERE}: this build has no CUDA launchers; reinstall with `pip install .`"
        )
    Library(kind, path, "")  # a library that does not load is the first thing to know, on any machine
    _check_device()
    if _prebuilt():
        return Library(kind, path, "kernels built ahead of time by nvcc")
    nvrtc.sources()
    return Library(kind, path, f"kernels compiled at first use by NVRTC {nvrtc.version()}")


def _prebuilt() -> list[Path]:
    """Returns the fatbins that came with the package; none where NVRTC shall do it (AVATAR3D_CUDA_KERNELS=nvrtc)."""
    if os.environ.get("AVATAR3D_CUDA_KERNELS") == "nvrtc":
        return []
    return sorted((_HERE / "cuda" / "fatbin").glob("*.fatbin"))


def _check_device() -> None:
    """Raises an AvatarError that says which part of driver, device and torch is missing.

    The driver is asked first: it is what a user must install by hand.
    """
    try:
        cuda = ctypes.CDLL(_DRIVER)
    except OSError as error:
        raise AvatarError(
            f"no NVIDIA driver on this machine ({_DRIVER} does not load); with an NVIDIA card, install its driver"
        ) from error
    code, count = cuda.cuInit(0), ctypes.c_int()
    if code != 0 or cuda.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value == 0:
        raise AvatarError(f"the NVIDIA driver finds no device (cuInit gives {code}); is one plugged in and visible?")
    if torch.version.cuda is None:
        raise AvatarError(
            f"there is a device, but torch {torch.__version__} is built without CUDA; install a build with it"
        )
    if not torch.cuda.is_available():
        raise AvatarError(
            f"torch {torch.__version__} (CUDA {torch.version.cuda}) sees no device; is the driver too old?"
        )


def driver_version() -> str:
    """Returns the CUDA version that the driver supports, such as `13.0`; `none` without a driver."""
    try:
        cuda = ctypes.CDLL(_DRIVER)
    except OSError:
        return "none"
    version = ctypes.c_int()
    cuda.cuDriverGetVersion(ctypes.byref(version))
    return f"{version.value // 1000}.{version.value % 1000 // 10}"


def counters(kernels: Mapping[str, str] | tuple[str, ...]) -> dict[str, list[int]]:
    """Returns what the emulator counted for kernels since its last reset (cuda/emulator/a3d_emulator.h)."""
    emulated, found = library("emulated"), {}
    function = emulated.symbol("a3d_emulator_counters", ("const char*", "int64_t*"))
    for kernel in kernels:
        numbers = torch.zeros(24, dtype=torch.int64)
        if function(ctypes.c_char_p(kernel.encode()), numbers.data_ptr()) == 0:
            found[kernel] = numbers.tolist()
    return found
