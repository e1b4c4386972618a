"""All kernel tests once more, on a build with the address and undefined-behaviour sanitizers."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from emulated import CHILD, GIVEN, KERNEL_TESTS, ROOT, build_default

pytestmark = [pytest.mark.cuda_full, pytest.mark.xdist_group("sanitizers")]

HERE = Path(__file__).parent
RUN = """
import torch; from pathlib import Path; from emulated import PLANTED, Emulated
library = Emulated(Path({library!r}), PLANTED / "planted.h")
library.call("a3d_planted", torch.zeros(128), torch.zeros(128), 128, {bug})
print("finished")
"""


@pytest.fixture(scope="module")
def sanitized() -> tuple[Path, dict[str, str]]:
    """The library and the environment that it needs: sanitizers must be loaded before everything else."""
    path = build_default(ROOT / "build/emulator-sanitized", "-DSANITIZE=ON")
    compiler = os.environ.get("CXX", "g++")
    found = [
        subprocess.run([compiler, f"-print-file-name={name}"], capture_output=True, text=True).stdout.strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    if not all(Path(f).is_absolute() for f in found):
        pytest.skip(f"{compiler} has no shared sanitizers (libasan.so, libubsan.so)")
    options = {"ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"}
    return path, CHILD | options | {"LD_PRELOAD": ":".join(found), GIVEN: str(path)}


def test_kernels_run_clean(sanitized):
    _, environment = sanitized
    command = [*KERNEL_TESTS, "--capture=sys"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert re.search(r"\d\d passed", done.stdout) or "[100%]" in done.stdout


@pytest.mark.parametrize(
    ("bug", "message"), [(0, None), (11, "heap-buffer-overflow.*planted.cu"), (12, "planted.cu.*shift exponent")]
)
def test_sanitizers_are_awake(sanitized, bug, message):
    library, environment = sanitized
    code = RUN.format(library=str(library), bug=bug)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (message is None) == (done.returncode == 0 and "finished" in done.stdout)
    assert message is None or re.search(message, done.stderr, re.DOTALL), done.stderr[-2000:]
