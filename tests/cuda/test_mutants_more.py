"""Every barrier of the kernels of posing, loss and networks, taken away one at a time, must be missed by name."""

import re
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import test_loss
import test_pose
import torch
from emulated import PLANTED, ROOT, Emulated, EmulatorError, build_default

pytestmark = [pytest.mark.cuda_full, pytest.mark.xdist_group("mutants")]

BARRIER = re.compile(r"__syncthreads\(\);")


def pose(library: Emulated) -> None:
    """Two blocks, more blendshapes than fit in shared memory at a time, two groups of poses."""
    test_pose.run(test_pose.by_emulator(library), 300, 20, 6)


def loss(library: Emulated) -> None:
    test_loss.run(library, *test_loss.pictures(1, 20, 30), 0.2)


def mlp(library: Emulated) -> None:
    """Three layers of one tile; one layer, and one block with two tiles."""
    for m, widths in ((70, (20, 40, 33, 4)), (256 * 64 + 1, (2, 3))):
        sizes = (torch.tensor(widths), m, len(widths) - 1)
        x, out = torch.randn(m, widths[0]), torch.empty(m, widths[-1])
        parameters = torch.randn(sum((i + 1) * o for i, o in pairwise(widths)))
        library.call("a3d_gpu_mlp_forward", x, parameters, *sizes, out, None)
        floats = torch.zeros(1, dtype=torch.int64)
        library.call("a3d_gpu_mlp_workspace", *sizes, floats)
        grads = torch.empty(int(floats)), torch.empty_like(x), torch.empty_like(parameters)
        library.call("a3d_gpu_mlp_backward", x, parameters, *sizes, out, *grads, None)


SCENES: dict[str, Callable[[Emulated], None]] = {"pose_backward.cu": pose, "loss.cu": loss, "mlp.cu": mlp}


def mutants() -> list[tuple[str, int]]:
    """Returns (file, which barrier) of all barriers."""
    found = {name: len(BARRIER.findall((ROOT / "cuda/gpu" / name).read_text())) for name in SCENES}
    return [(name, i) for name, count in found.items() for i in range(count)]


@pytest.fixture(scope="module")
def kernels(tmp_path_factory) -> Path:
    """A folder with copies of the kernels: one file changes at a time."""
    copies = tmp_path_factory.mktemp("mutants") / "gpu"
    copies.mkdir()
    for name in ("fill.cu", "pose.cu", *SCENES):
        shutil.copy(ROOT / "cuda/gpu" / name, copies)
    return copies


def mutated(copies: Path, name: str, which: int | None) -> Emulated:
    """The library with one barrier less, under a name of its own: the loader knows libraries by their names."""
    text = (ROOT / "cuda/gpu" / name).read_text()
    if which is not None:
        start, end = list(BARRIER.finditer(text))[which].span()
        text = text[:start] + text[end:]
    (copies / name).write_text(text)
    built = build_default(copies.parent / "build", f"-DGPU={copies}")
    shutil.copy(ROOT / "cuda/gpu" / name, copies / name)
    own = copies.parent / f"{Path(name).stem}_{which}.so"
    shutil.copy(built, own)
    return Emulated(own, PLANTED / "planted.h")


@pytest.mark.parametrize("name", SCENES)
def test_whole_kernels_run(kernels, name):
    SCENES[name](mutated(kernels, name, None))


@pytest.mark.parametrize(("name", "which"), mutants())
def test_a_missing_barrier_is_a_race(kernels, name, which):
    library = mutated(kernels, name, which)
    with pytest.raises(EmulatorError, match=r"a3d_\w+: (race|shared) "):
        SCENES[name](library)
