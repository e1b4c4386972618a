"""What the CUDA compiler makes of every kernel, without a device: registers, memory, occupancy, instructions.

`python -m tools.cuda_static` compiles cuda/gpu/*.cu for every architecture and compares with perf/cuda_static.json;
`--write` renews that file, to be committed with the change that explains it. nvcc and nvdisasm are taken from PATH,
CUDA_HOME, or from the wheels nvidia-cuda-nvcc, nvidia-cuda-runtime and nvidia-cuda-nvdisasm.
"""

import argparse
import hashlib
import json
import os
import re
import site
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a file
    sys.path.append(str(Path(__file__).resolve().parents[1]))

from tools.cuda_occupancy import ARCHS, occupancy
from tools.cuda_sass import read, short_name

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "perf" / "cuda_static.json"
FLAGS = ("-std=c++20", "-I", str(ROOT / "cuda"))
TOLERANCE, OTHER_RELEASE = 0.05, 0.3
"""Change of registers, shared memory and the hottest loop that passes unrecorded; with another release of nvcc than the
record's, only what looks like another kernel is said."""

Figures = dict[str, dict[str, dict[str, Any]]]
"""Kernel -> architecture -> figures."""


class ToolMissing(Exception):
    """nvcc or nvdisasm is neither on the machine nor installed from the package index."""


def tool(name: str) -> Path:
    """Returns the path of a program of the CUDA toolkit.

    Raises:
        ToolMissing: It is nowhere.
    """
    homes = [Path(home) / "bin" for home in (os.environ.get("CUDA_HOME"), "/usr/local/cuda") if home]
    packages = [Path(folder) / "nvidia" for folder in (*site.getsitepackages(), site.getusersitepackages())]
    wheels = [folder for package in packages for folder in sorted(package.glob("*/bin"), reverse=True)]
    for folder in (*(Path(p) for p in os.environ.get("PATH", "").split(os.pathsep)), *homes, *wheels):
        if (folder / name).is_file() and os.access(folder / name, os.X_OK):
            return folder / name
    raise ToolMissing(f"{name} is not here: install the CUDA toolkit, or `pip install nvidia-cuda-nvcc "
                      "nvidia-cuda-runtime nvidia-cuda-nvdisasm`")  # fmt: skip


def measure(sources: Sequence[Path] = (), archs: Sequence[str] = tuple(ARCHS), workers: int = 2) -> Figures:
    """Returns the figures of every kernel of the sources (all of cuda/gpu without any).

    What did not change since the last call is taken from build/cuda_static.

    Raises:
        ToolMissing: There is no compiler or no disassembler.
        RuntimeError: A source does not compile.
    """
    sources = sources or sorted((ROOT / "cuda" / "gpu").glob("*.cu"))
    nvcc, nvdisasm = tool("nvcc"), tool("nvdisasm")
    headers = [p for p in sorted((ROOT / "cuda").rglob("*")) if p.suffix in (".h", ".cuh")]
    stamp = hashlib.sha256(repr(FLAGS).encode() + version(nvcc).encode() + _own_code())
    for header in headers:
        stamp.update(header.read_bytes())

    def one(job: tuple[Path, str]) -> dict[str, dict[str, Any]]:
        source, arch = job
        key = stamp.copy()
        key.update(source.read_bytes() + f"{source.name} {arch}".encode())
        cached = ROOT / "build" / "cuda_static" / f"{key.hexdigest()[:24]}.json"
        if cached.exists():
            return json.loads(cached.read_text())
        figures = compiled(source, arch, nvcc, nvdisasm)
        cached.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=cached.parent, delete=False) as file:
            json.dump(figures, file)
        os.replace(file.name, cached)
        return figures

    jobs = [(source, arch) for source in sources for arch in archs]
    found: Figures = {}
    with ThreadPoolExecutor(workers) as pool:
        for (_, arch), figures in zip(jobs, pool.map(one, jobs), strict=True):
            for kernel, row in figures.items():
                found.setdefault(kernel, {})[arch] = row
    return dict(sorted(found.items()))


def compiled(
    source: Path, arch: str, nvcc: Path, nvdisasm: Path, flags: Sequence[str] = FLAGS
) -> dict[str, dict[str, Any]]:
    """Returns kernel -> figures of one source on one architecture."""
    with tempfile.TemporaryDirectory() as folder:
        cubin = Path(folder) / "kernels.cubin"
        command = [str(nvcc), *flags, f"-arch={arch}", "-cubin", "-Xptxas", "-v", str(source), "-o", str(cubin)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{source.name} does not compile for {arch}:\n{done.stderr[-2000:]}")
        kernels = {kernel.name: kernel for kernel in read(cubin, nvdisasm)}
    figures = {}
    for name, resources in ptxas(done.stderr).items():
        kernel = kernels[name]
        loop = kernel.hottest()
        row = resources | {"block": kernel.block, "instructions": len(kernel.instructions), "mix": kernel.mix()}
        if kernel.block:
            row["occupancy"] = round(occupancy(arch, row["registers"], row["shared"], kernel.block), 3)
        if loop is not None:
            row["loop"] = {"instructions": loop[1] - loop[0], "mix": kernel.mix(*loop)}
            row["loop"] |= {"least": kernel.way_out(loop), "nest": kernel.nest(loop)}
        figures[short_name(name)] = row
    return figures


def ptxas(text: str) -> dict[str, dict[str, int]]:
    """Returns registers, shared memory, stack (local memory) and spills of each kernel, as ptxas reports them."""
    found, current = {}, None
    for line in text.splitlines():
        if match := re.search(r"Compiling entry function '(\S+)'", line):
            current = found.setdefault(match[1], {"registers": 0, "shared": 0, "local": 0, "spills": 0})
        elif re.search(r"Function properties for", line) or current is None:
            continue
        elif match := re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", line):
            current["local"], current["spills"] = int(match[1]), int(match[2]) + int(match[3])
        elif match := re.search(r"Used (\d+) registers", line):
            current["registers"] = int(match[1])
            shared = re.search(r"(\d+) bytes smem", line)
            current["shared"] = int(shared[1]) if shared else 0
    return found


def regressions(found: Figures, record: Figures, tolerance: float = TOLERANCE) -> list[str]:
    """Returns, one a line, what differs from the record by more than the tolerance, and what is never allowed."""
    said = [f"{name}: not in the record" for name in found.keys() - record.keys()]
    said += [f"{name}: in the record, but no source has it" for name in record.keys() - found.keys()]
    for name in sorted(found.keys() & record.keys()):
        for arch, row in found[name].items():
            before = record[name].get(arch)
            if before is None:
                said.append(f"{name} on {arch}: not in the record")
                continue
            pairs = [(key, row[key], before[key]) for key in ("registers", "shared")]
            pairs.append(
                ("loop", row.get("loop", {}).get("instructions", 0), before.get("loop", {}).get("instructions", 0))
            )
            for key, now, then in pairs:
                # Less is better, but an improvement that is not recorded would hide the next regression.
                if abs(now - then) > tolerance * then + (2 if key != "shared" else 0):
                    said.append(f"{name} on {arch}: {key} {then} -> {now}")
            if row.get("occupancy", 0) < before.get("occupancy", 0) * (1 - tolerance) - 1e-6:
                said.append(f"{name} on {arch}: occupancy {before['occupancy']} -> {row['occupancy']}")
    return sorted(said) + forbidden(found)


def compared(found: Figures) -> list[str]:
    """Returns what `regressions` says of the committed record."""
    record = json.loads(RECORD.read_text())
    same = version(tool("nvcc")) == record["nvcc"]
    return regressions(found, record["kernels"], TOLERANCE if same else OTHER_RELEASE)


def forbidden(found: Figures) -> list[str]:
    """Returns what no kernel may do: spill, use local memory or float64, or outgrow the rasterizer's budget."""
    said = []
    for name, rows in found.items():
        for arch, row in rows.items():
            said += [f"{name} on {arch}: {row[key]} bytes of {key}" for key in ("spills", "local") if row[key]]
            if row["mix"].get("FP64"):
                said.append(f"{name} on {arch}: {row['mix']['FP64']} float64 instructions")
            limit = BUDGETS.get(name)
            if limit and arch != "sm_75" and row["registers"] > limit:
                said.append(f"{name} on {arch}: {row['registers']} registers, at most {limit} are allowed")
            if row["block"] and not row["occupancy"]:
                said.append(f"{name} on {arch}: a block does not fit on a multiprocessor")
    return said


BUDGETS = {"a3d_splat_blend": 40, "a3d_splat_blend_backward": 64, "a3d_splat_blend_backward_depth": 64}
"""Most registers of the rasterizer on sm_80 and later."""


def version(nvcc: Path) -> str:
    """Returns nvcc's release, such as `13.0`."""
    said = subprocess.run([str(nvcc), "--version"], capture_output=True, text=True, check=True).stdout
    match = re.search(r"release ([\d.]+)", said)
    return match[1] if match else "unknown"


def _own_code() -> bytes:
    return b"".join(
        Path(__file__).with_name(n).read_bytes() for n in ("cuda_static.py", "cuda_sass.py", "cuda_occupancy.py")
    )


def main() -> int:
    """Compares or renews the record; returns 1 where they differ."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="renew perf/cuda_static.json")
    arguments = parser.parse_args()
    try:
        found = measure()
    except (ToolMissing, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    if arguments.write:
        RECORD.parent.mkdir(exist_ok=True)
        RECORD.write_text(dump(found, version(tool("nvcc"))))
        said = forbidden(found)
    else:
        said = compared(found)
    for name, rows in found.items():
        row = rows.get("sm_86", next(iter(rows.values())))
        loop = row.get("loop", {}).get("instructions", "-")
        print(f"{name:40} {row['registers']:4} registers {row['shared']:6} B shared, loop {loop}, "
              f"occupancy {row.get('occupancy', '-')}")  # fmt: skip
    print("\n".join(said), file=sys.stderr)
    return int(bool(said))


def dump(found: Figures, nvcc: str) -> str:
    """Returns the record's text: one line for each kernel and architecture, so that a diff reads well."""
    kernels = []
    for name, rows in found.items():
        lines = ",\n".join(f"   {json.dumps(arch)}: {json.dumps(row)}" for arch, row in rows.items())
        kernels.append(f"  {json.dumps(name)}: {{\n{lines}\n  }}")
    flags = json.dumps([flag.replace(str(ROOT) + "/", "") for flag in FLAGS])
    return f'{{\n "nvcc": {json.dumps(nvcc)},\n "flags": {flags},\n "kernels": {{\n' + ",\n".join(kernels) + "\n }\n}\n"


if __name__ == "__main__":
    sys.exit(main())
