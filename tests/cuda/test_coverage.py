"""Lines of the kernels that their tests run."""

import gzip
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from emulated import GIVEN, KERNEL_TESTS, ROOT, build_default

pytestmark = [pytest.mark.cuda_full, pytest.mark.xdist_group("coverage")]


@pytest.mark.skipif(not shutil.which("gcov"), reason="no gcov")
def test_tests_run_nine_lines_of_ten(tmp_path):
    folder = ROOT / "build/emulator-coverage"
    library = build_default(folder, "-DCOVERAGE=ON")
    for old in folder.rglob("*.gcda"):
        old.unlink()
    environment = os.environ | {GIVEN: str(library)}
    done = subprocess.run(KERNEL_TESTS, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:]
    data = [str(p.resolve()) for p in folder.rglob("*.cu.gcda") if "planted" not in p.name]
    subprocess.run(["gcov", "--json-format", *data], cwd=tmp_path, check=True, capture_output=True)

    lines: dict[str, dict[int, int]] = {}  # file -> line -> runs, over all templates and includes
    for path in tmp_path.glob("*.json.gz"):
        for source in json.loads(gzip.decompress(path.read_bytes()))["files"]:
            name = Path(source["file"])
            if name.suffix == ".cu" and name.parent.name == "gpu":
                seen = lines.setdefault(name.name, {})
                for line in source["lines"]:
                    seen[line["line_number"]] = seen.get(line["line_number"], 0) + line["count"]
    assert lines.keys() == {p.name for p in (ROOT / "cuda/gpu").glob("*.cu")}
    shares = {name: sum(c > 0 for c in seen.values()) / len(seen) for name, seen in lines.items()}
    print({name: f"{share:.1%}" for name, share in sorted(shares.items())})
    assert min(shares.values()) >= 0.9, shares
