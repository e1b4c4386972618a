import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from avatar3d.core import AvatarError
from avatar3d.ops import native

HEADER = Path(__file__).parents[2] / "cuda" / "avatar3d.h"


def header_functions() -> dict[str, str]:
    """Returns name -> parameter types of the functions that the C header declares."""
    text = re.sub(r"//[^\n]*", "", HEADER.read_text())
    found = {}
    for returns, name, parameters in re.findall(r"A3D_API\s+([\w\s*]+?)\s*\b(a3d_\w+)\s*\(([^)]*)\)", text):
        types = [] if parameters.strip() == "void" else [split_type(p) for p in parameters.split(",")]
        found[name] = (returns.strip(), ", ".join(types))
    return found


def split_type(parameter: str) -> str:
    """Returns `const float*` of `const float* means`."""
    return re.sub(r"\s*\*", "*", re.sub(r"\b\w+\s*$", "", parameter.strip()).strip())


def test_table_equals_the_header():
    header = header_functions()
    assert header.pop("a3d_last_error") == ("const char*", "")
    assert header.pop("a3d_abi_version") == ("int32_t", "")
    assert {name: types for name, (_, types) in header.items()} == native.SIGNATURES
    assert {returns for returns, _ in header.values()} == {"int32_t"}


def test_version_equals_the_header():
    version = re.search(r"#define A3D_ABI_VERSION (\d+)", HEADER.read_text())
    assert version and int(version[1]) == native.ABI_VERSION


def test_instruction_sets_can_be_chosen():
    best = native.isa()
    assert best in native.isas()
    for level in native.isas():
        with native.using_isa(level):
            assert native.isa() == level
    assert native.isa() == best


def test_library_errors_become_one_line():
    with pytest.raises(AvatarError, match="instruction set 9 is above"):
        native.call("a3d_set_isa", 9)


def test_missing_library_says_how_to_build(monkeypatch):
    monkeypatch.setattr(native, "_NAMES", ("absent.so",))
    native.library.cache_clear()
    try:
        with pytest.raises(AvatarError, match="make native"):
            native.library()
        assert not native.available()
    finally:
        monkeypatch.undo()
        native.library.cache_clear()


def test_wrong_tensors_are_refused(monkeypatch):
    monkeypatch.setattr(native, "_functions", lambda: {"f": (lambda *a: 0, [(torch.float32,)])})
    native.call("f", torch.zeros(3))
    for bad in (torch.zeros(3, dtype=torch.float64), torch.zeros(3, 4).T):
        with pytest.raises(TypeError, match="contiguous CPU tensor"):
            native.call("f", bad)


def test_importing_the_package_loads_no_native_code():
    code = "import avatar3d, sys; from avatar3d.ops import native; sys.exit(native.library.cache_info().currsize)"
    assert subprocess.run([sys.executable, "-c", code], cwd=HEADER.parents[1]).returncode == 0


def test_loop_files_leave_no_weak_symbols():
    """A weak symbol compiled for AVX-512 might be the one copy that the linker keeps for every machine."""
    objects = list((HEADER.parents[1] / "build" / "native").glob("CMakeFiles/kernels_*.dir/**/*.o"))
    if not objects or not shutil.which("nm"):
        pytest.skip("no objects of `make native`, or no nm")
    for path in objects:
        symbols = subprocess.run(["nm", "--defined-only", str(path)], capture_output=True, text=True, check=True).stdout
        weak = [line for line in symbols.splitlines() if " W " in line or " V " in line or " u " in line]
        assert not weak, f"{path.name}: {weak[:3]}"


@pytest.mark.skipif(sys.platform != "linux", reason="a setting of glibc")
def test_freed_blocks_are_kept_for_the_next_use():
    # 40 MB: by its defaults glibc asks the system for each block as large as this, 10,000 page faults at a time. One
    # allocation after another in a process of its own, where no test before has left memory lying about.
    code = """
import resource, torch
from avatar3d.ops import native
native.library()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(10_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(sum(faults() for _ in range(12)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 50_000  # the heap grows a few times before it settles
