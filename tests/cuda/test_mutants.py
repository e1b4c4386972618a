"""Every barrier of the real kernels, taken away one at a time, must be missed: by name, on small scenes."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from emulated import CHILD, ROOT, build_default

pytestmark = [pytest.mark.cuda_full, pytest.mark.xdist_group("mutants")]

HERE = Path(__file__).parent
BARRIER = re.compile(r"__syncthreads\(\);|__syncthreads_count\((?=open|walk)")
FILES = ("sort.cu", "splat_blend.cu", "splat_blend_backward.cu", "splat_project_backward.cu")


def mutants() -> list[tuple[str, int]]:
    """Returns (file, which barrier) of all barriers."""
    found = {name: len(BARRIER.findall((ROOT / "cuda/gpu" / name).read_text())) for name in FILES}
    return [(name, i) for name, count in found.items() for i in range(count)]


@pytest.fixture(scope="module")
def kernels(tmp_path_factory) -> tuple[Path, Path]:
    """A copy of the kernels of splats, and a folder to build it in: one file changes at a time."""
    folder = tmp_path_factory.mktemp("mutants")
    copies = folder / "gpu"
    copies.mkdir()
    for path in (ROOT / "cuda/gpu").glob("*.cu"):
        if path.name.startswith("splat_") or path.name == "sort.cu":
            shutil.copy(path, copies)
    return copies, folder / "build"


def test_there_are_barriers_to_take_away():
    assert len(mutants()) > 10


@pytest.mark.parametrize(("name", "which"), mutants())
def test_a_missing_barrier_is_a_race(kernels, name, which):
    copies, folder = kernels
    text = (ROOT / "cuda/gpu" / name).read_text()
    start, end = list(BARRIER.finditer(text))[which].span()
    instead = "" if text[start:end].endswith(";") else "1 + 0 * int("
    (copies / name).write_text(text[:start] + instead + text[end:])
    try:
        library = build_default(folder, f"-DGPU={copies}")
        command = [sys.executable, str(HERE / "small_scenes.py"), str(library)]
        done = subprocess.run(command, env=CHILD, capture_output=True, text=True, timeout=120)
    finally:
        shutil.copy(ROOT / "cuda/gpu" / name, copies / name)
    assert done.returncode and re.search(r"EmulatorError: a3d_\w+: (race|shared) ", done.stderr), done.stderr[-600:]
