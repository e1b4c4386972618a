"""The kernels of cuda/gpu, compiled by g++ and run by the emulator (cuda/emulator)."""

import ctypes
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from filelock import FileLock
from torch import Tensor

ROOT = Path(__file__).resolve().parents[2]
ORDERS = {"forward": (0, 0), "reverse": (1, 0), "random": (2, 1)}
"""Orders of threads and blocks, with a seed: a kernel without races gives the same bits in each."""

GIVEN = "AVATAR3D_EMULATED"
"""Environment variable: another build of the library to test, with sanitizers or coverage."""

CHILD = {**os.environ, "PYTHONPATH": f"{ROOT / 'tests/cuda'}:{ROOT}"}
"""Environment of a Python process that uses these modules."""

KERNEL_TESTS = [sys.executable, "-m", "pytest", str(ROOT / "tests/cuda"), *["-q", "-x", "-p", "no:cacheprovider"]]
KERNEL_TESTS += [f"--ignore={ROOT / 'tests/cuda/test_static.py'}"]
"""Runs what the quick tests run of the kernels, on the library that `GIVEN` names."""

PLANTED = ROOT / "tests/cuda/planted"
EVENTS = 8
_COUNTERS = ("launches", "blocks", "warps", "threads", "barriers", "warp_operations", "shared_reads", "shared_writes")
_SCALARS = {"int32_t": ctypes.c_int32, "int64_t": ctypes.c_int64, "float": ctypes.c_float, "double": ctypes.c_double}
_DTYPES = {
    "float*": (torch.float32,),
    "double*": (torch.float64,),
    "int32_t*": (torch.int32,),
    "int64_t*": (torch.int64,),
    "uint8_t*": (torch.uint8, torch.bool),
    "void*": (),
}


class EmulatorError(Exception):
    """What the emulated library reported."""


def header_functions(*paths: Path) -> dict[str, list[str]]:
    """Returns name -> parameter types, `const` left out, of the functions that C headers declare."""
    found = {}
    for path in paths:
        text = re.sub(r"//[^\n]*", "", path.read_text())
        for name, parameters in re.findall(r"A3D_API\s+[\w\s*]+?\s*\b(a3d_\w+)\s*\(([^)]*)\)", text):
            found[name] = [_type_of(p) for p in parameters.split(",") if p.strip() != "void"]
    return found


def _type_of(parameter: str) -> str:
    return re.sub(r"\s*\*", "*", re.sub(r"\b\w+\s*$", "", parameter.replace("const ", "").strip()).strip())


def build(folder: Path, *options: str) -> Path:
    """Returns the library that cmake builds from cuda/emulator in `folder`; one process builds, others wait."""
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock", timeout=600):
        cmake = shutil.which("cmake") or Path(sys.executable).with_name("cmake")  # of the system, or pip's
        _run(cmake, "-S", ROOT / "cuda/emulator", "-B", folder, *options)
        _run(cmake, "--build", folder, "--parallel", "2")
    return folder / "libavatar3d_emulated.so"


def build_default(folder: Path = ROOT / "build/emulator", *options: str) -> Path:
    """Returns the library with the broken kernels of planted/ beside the real ones."""
    return build(folder, f"-DEXTRA={PLANTED / 'planted.cu'};{PLANTED / 'planted_api.cpp'}", *options)


def _run(*command) -> None:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{done.stdout[-2000:]}{done.stderr[-4000:]}")


@dataclass(frozen=True)
class Counters:
    """What a kernel's launches added up to; `lane` and `warp` hold its events 0 to 7 by lane and by warp."""

    launches: int
    blocks: int
    warps: int
    threads: int
    barriers: int
    warp_operations: int
    shared_reads: int
    shared_writes: int
    lane: tuple[int, ...]
    warp: tuple[int, ...]


class Emulated:
    """An emulated library. One thread may use it at a time."""

    def __init__(self, path: Path, *more_headers: Path) -> None:
        self._library = ctypes.CDLL(str(path))
        self._library.a3d_gpu_last_error.restype = ctypes.c_char_p
        headers = (ROOT / "cuda/avatar3d_gpu.h", ROOT / "cuda/emulator/a3d_emulator.h", *more_headers)
        self._types = header_functions(*headers)

    def call(self, name: str, *arguments: Tensor | int | float | str | None) -> None:
        """Calls a C function: contiguous tensors for pointers (None for null), numbers for scalars.

        Raises:
            EmulatorError: The function returned an error; its text.
        """
        types = self._types[name]
        values = []
        for argument, kind in zip(arguments, types, strict=True):
            if isinstance(argument, Tensor):
                assert argument.dtype in _DTYPES[kind] and argument.is_contiguous(), (name, len(values), argument.dtype)
                values.append(ctypes.c_void_p(argument.data_ptr()))
            elif isinstance(argument, str):
                values.append(argument.encode())
            else:
                values.append(argument if kind.endswith("*") else _SCALARS[kind](argument))
        if getattr(self._library, name)(*values):
            raise EmulatorError(self._library.a3d_gpu_last_error().decode())

    def order(self, name: str) -> None:
        """Runs threads and blocks in one of `ORDERS` from now on."""
        self.call("a3d_emulator_order", *ORDERS[name])

    def kernels(self) -> list[str]:
        """Returns the names of all kernels."""
        names: list[str] = []
        self._library.a3d_emulator_kernel.restype = ctypes.c_char_p
        while name := self._library.a3d_emulator_kernel(ctypes.c_int64(len(names))):
            names.append(name.decode())
        return sorted(names)

    def counters(self, kernel: str) -> Counters:
        """Returns what the kernel's launches added up to since `reset`."""
        numbers = torch.zeros(len(_COUNTERS) + 2 * EVENTS, dtype=torch.int64)
        self.call("a3d_emulator_counters", kernel, numbers)
        named, events = numbers[: len(_COUNTERS)].tolist(), numbers[len(_COUNTERS) :].view(2, EVENTS).tolist()
        return Counters(*named, lane=tuple(events[0]), warp=tuple(events[1]))

    def reset(self) -> None:
        """Sets all counters to zero."""
        self.call("a3d_emulator_reset")
