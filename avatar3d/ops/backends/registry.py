"""The table of ops and their backends, what is live on this machine, and the choice between them.

A choice is made by, in this order: the op's `backend` argument; `AVATAR3D_BACKEND`, which is either one name for all
ops that have it (`cpu`: a wish, followed where tensors allow) or `op=name` pairs with commas between them
(`splat=gsplat,mesh=cpu`: an order, refused aloud where it cannot be followed); the device of the tensors and then the
order of preference below. Tensors are never moved.
"""

import functools
import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from avatar3d.core import AvatarError
from avatar3d.ops import gpu, native

OPS: dict[str, tuple[str, ...]] = {
    "splat": ("cuda", "gsplat", "cpu", "reference"),
    "mesh": ("pytorch3d", "cpu", "reference"),
    "pose": ("cuda", "cpu", "reference"),
    "loss": ("cuda", "cpu", "reference"),
    "adam": ("cuda", "cpu", "reference"),
    "composite": ("cuda", "cpu", "reference"),
    "bytes": ("cuda", "cpu", "reference"),
    "encode": ("cuda", "tinycudann", "cpu", "reference"),
    "march": ("cuda", "nerfacc", "cpu", "reference"),
    "volume": ("cuda", "nerfacc", "cpu", "reference"),
    "mlp": ("cuda", "cpu", "reference"),
    "closest": ("cuda", "cpu", "reference"),
}
"""Backends of each op in order of preference; a test keeps this and the ops' own tables equal."""

_ASKED_ONLY = {("splat", "reference"), ("mesh", "reference")}
"""Never chosen by themselves: a thousand times slower than what a user expects. A forgotten build should be said, not
felt."""

_PACKAGES = {"gsplat": "gsplat", "nerfacc": "nerfacc", "tinycudann": "tinycudann", "pytorch3d": "pytorch3d"}
_INSTALL = {
    "gsplat": "`pip install gsplat` beside a CUDA build of torch (it compiles at first use and needs nvcc)",
    "nerfacc": "`pip install nerfacc` beside a CUDA build of torch (it compiles at first use and needs nvcc)",
    "tinycudann": "`pip install git+https://github.com/NVlabs/tiny-cuda-nn/#subdirectory=bindings/torch` (needs nvcc)",
    "pytorch3d": "`pip install git+https://github.com/facebookresearch/pytorch3d` (needs nvcc)",
}
_DEVICE = {"cuda": "cuda", "cpu": "cpu", "emulated": "cpu"} | dict.fromkeys(_PACKAGES, "cuda")
"""Device type whose tensors a backend takes; `reference` takes any."""


@dataclass(frozen=True)
class Row:
    """One backend of one op on this machine."""

    live: bool
    why: str
    """What it is when live; what is missing and what to install when not."""


def rows() -> dict[str, dict[str, Row]]:
    """Returns op -> backend -> whether it is live and why; what cannot load is a row, never an error."""
    return {op: {name: _row(op, name) for name in names} for op, names in OPS.items()}


def named(backend: str, ops: Mapping[str, tuple[str, ...]] = OPS) -> tuple[str, ...]:
    """Returns the ops that have a backend of this name."""
    return tuple(op for op, names in ops.items() if backend in names)


def choose(op: str, tensors: Mapping[str, Tensor], backend: str = "auto") -> str:
    """Returns the backend that serves `op` for these tensors.

    Args:
        op: A key of `OPS`.
        tensors: The op's inputs by the names its caller knows; all on one device.
        backend: `auto`, a name in `OPS[op]`, or `emulated` (the CUDA sources run on the CPU, for tests).

    Raises:
        AvatarError: Tensors on several devices, an unknown name, a backend that is not live or takes other tensors.
    """
    devices = {tensor.device for tensor in tensors.values()}
    if len(devices) > 1:
        where = ", ".join(f"{name} is on {tensor.device}" for name, tensor in tensors.items())
        raise AvatarError(f"{op}: tensors on several devices: {where}; move them to one with `.to(device)`")
    strict = backend != "auto"
    if not strict:
        backend, strict = _wish(op)
    if backend != "auto":
        refusal = _refusal(op, backend, tensors)
        if refusal is None:
            return backend
        if strict:
            raise AvatarError(f"{op}: {refusal}")
    automatic = [name for name in OPS[op] if (op, name) not in _ASKED_ONLY]
    for name in automatic:
        if all(_takes(name, tensor) for tensor in tensors.values()) and _row(op, name).live:
            return name
    reasons = "; ".join(filter(None, (_refusal(op, name, tensors) for name in automatic)))
    slow = ', or pass backend="reference", which is slow' if "reference" in OPS[op] else ""
    raise AvatarError(f"{op}: no backend can serve this: {reasons}{slow}")


def _wish(op: str) -> tuple[str, bool]:
    """Returns what the environment asks for this op, and whether it insists."""
    given = os.environ.get("AVATAR3D_BACKEND", "")
    if not given:
        return "auto", False
    everywhere, here = "auto", None
    for part in filter(None, (part.strip() for part in given.split(","))):
        name, equals, value = part.partition("=")
        if not equals:
            if name != "auto" and name != "emulated" and not named(name):
                raise AvatarError(f"AVATAR3D_BACKEND={given}: no op has a backend '{name}'; see `avatar3d doctor`")
            everywhere = name
        elif name not in OPS or (value not in ("auto", "emulated") and value not in OPS[name]):
            known = f"choose from {', '.join(OPS[name])}" if name in OPS else f"ops are {', '.join(OPS)}"
            raise AvatarError(f"AVATAR3D_BACKEND={given}: cannot read '{part}'; {known}")
        elif name == op:
            here = value
    if here is not None:
        return here, here != "auto"
    return everywhere if everywhere in (*OPS[op], "emulated") else "auto", False


def _refusal(op: str, backend: str, tensors: Mapping[str, Tensor]) -> str | None:
    """Returns why a backend cannot serve these tensors; None if it can."""
    if backend not in OPS[op] and not (backend == "emulated" and "cuda" in OPS[op]):
        return f"unknown backend '{backend}'; choose from auto, {', '.join(OPS[op])}"
    for name, tensor in tensors.items():
        if not _takes(backend, tensor):
            return f"'{backend}' takes float32 on {_DEVICE[backend]}, {name} is {tensor.dtype} on {tensor.device}"
    row = _row(op, backend)
    return None if row.live else f"'{backend}' is not live: {row.why}"


def _takes(backend: str, tensor: Tensor) -> bool:
    if backend == "reference":
        return True
    whole = not tensor.dtype.is_floating_point  # bytes, masks and ids: the op itself knows which it takes
    return tensor.device.type == _DEVICE[backend] and (whole or tensor.dtype == torch.float32)


def _row(op: str, backend: str) -> Row:
    if backend == "reference":
        return Row(True, "PyTorch, any device and float type, slow")
    if backend == "cpu":
        return _native()
    if backend in ("cuda", "emulated"):
        return _gpu(backend)
    return package(backend)


@functools.cache
def _native() -> Row:
    try:
        native.library()
    except AvatarError as error:
        return Row(False, str(error))
    return Row(True, f"native library, {native.isa()}")


@functools.cache
def _gpu(kind: str) -> Row:
    try:
        return Row(True, gpu.library(kind).origin)
    except AvatarError as error:
        return Row(False, str(error))


@functools.cache
def package(name: str) -> Row:
    """Returns whether an optional package imports, compiles or loads its kernels, and finds a device.

    Whatever it raises on the way is a finding: such packages fail by ImportError, OSError (a symbol of another torch),
    RuntimeError (no compiler, no driver) and, in gsplat's case, by leaving a None behind.
    """
    if not torch.cuda.is_available():
        built = torch.version.cuda
        reason = "torch sees no CUDA device" if built else "this torch is built without CUDA"
        return Row(False, f"{reason}; on a machine with one: {_INSTALL[name]}")
    try:
        module = importlib.import_module(_PACKAGES[name])
        importlib.import_module(f"avatar3d.ops.backends.via_{name}").probe()
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name == _PACKAGES[name]:
            return Row(False, f"not installed: {_INSTALL[name]}")
        said = " ".join(str(error).split())[:200]
        return Row(False, f"installed but broken: {type(error).__name__}: {said}; reinstall: {_INSTALL[name]}")
    return Row(True, f"{name} {getattr(module, '__version__', '(no version)')}")
