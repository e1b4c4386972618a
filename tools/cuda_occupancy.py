"""Theoretical occupancy of a kernel on NVIDIA's architectures, without a device or a toolkit."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Arch:
    """Limits of one multiprocessor.

    Source: "Technical Specifications per Compute Capability" of NVIDIA's CUDA C++ Programming Guide 13.0 (threads,
    blocks, registers, shared memory); allocation units from `cuda_occupancy.h` of the toolkit 13.0.
    """

    threads: int
    blocks: int
    shared: int
    """Bytes of shared memory that blocks can have together."""
    reserved: int
    """Bytes of shared memory that the system takes from each block."""
    registers: int = 65536


ARCHS: dict[str, Arch] = {
    "sm_75": Arch(1024, 16, 65536, 0),
    "sm_80": Arch(2048, 32, 167936, 1024),
    "sm_86": Arch(1536, 16, 102400, 1024),
    "sm_89": Arch(1536, 24, 102400, 1024),
    "sm_90": Arch(2048, 32, 233472, 1024),
    "sm_100": Arch(2048, 32, 233472, 1024),
    "sm_120": Arch(1536, 24, 102400, 1024),
}
_WARP, _REGISTER_UNIT, _SCHEDULERS = 32, 256, 4
_SHARED_UNIT = 128  # 256 on sm_75 and older


def occupancy(arch: str, registers: int, shared: int, block: int) -> float:
    """Returns the share of a multiprocessor's warps that can be resident, in [0, 1].

    Args:
        arch: A key of `ARCHS`.
        registers: Of one thread.
        shared: Bytes of a block, static and dynamic.
        block: Threads of a block.
    """
    limits = ARCHS[arch]
    warps = -(-block // _WARP)
    of_warp = -(-registers * _WARP // _REGISTER_UNIT) * _REGISTER_UNIT
    # Registers are dealt out by scheduler: each owns a quarter of them.
    by_registers = limits.registers // _SCHEDULERS // of_warp * _SCHEDULERS // warps if registers else limits.blocks
    unit = 256 if arch == "sm_75" else _SHARED_UNIT
    of_block = -(-(shared + limits.reserved) // unit) * unit
    by_shared = limits.shared // of_block if of_block else limits.blocks
    blocks = min(limits.blocks, limits.threads // _WARP // warps, by_registers, by_shared)
    return blocks * warps * _WARP / limits.threads
