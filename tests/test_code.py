"""The code itself: style, types, import rules, and what must not stand in it."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(p for folder in ("avatar3d", "tests", "tools") for p in (ROOT / folder).rglob("*.py"))


def run(*command: str) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-6000:]}\n{done.stderr[-2000:]}"


def test_style() -> None:
    run("ruff", "check", "avatar3d", "tests", "tools")


def test_format() -> None:
    run("ruff", "format", "--check", "avatar3d", "tests", "tools")


def test_types() -> None:
    run("pyright", "--pythonpath", sys.executable)


def test_import_rules() -> None:
    # The command reads the package from the working directory, that is: these sources, not an installed copy.
    code = "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command as f; f()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_stay_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 350, "about 300 lines a file: is it one thing?"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_is_executed_from_files(path: Path) -> None:
    """No pickle except the arrays-only reader, no evaluation, no shell."""
    called = {ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)}
    risky = {"pickle.load", "pickle.loads", "torch.load", "eval", "exec", "os.system", "os.popen"}
    assert not called & risky
    if path != Path(__file__):
        assert not re.search(r"allow_pickle\s*=\s*True|shell\s*=\s*True", path.read_text())


def test_every_dependency_is_imported() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[<>=\[ ]", text)[0] for text in project["dependencies"]}
    modules = {"pillow": "PIL", "opencv-python-headless": "cv2", "ai-edge-litert": "ai_edge_litert"}
    text = "\n".join(p.read_text() for p in (ROOT / "avatar3d").rglob("*.py"))
    for name in names:
        module = modules.get(name, name)
        assert re.search(rf"^\s*(from|import) {module}\b", text, re.MULTILINE), f"{name} is required but never imported"


def test_constraints_pin_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = set(re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    assert {re.split(r"[<>=\[ ]", text)[0] for text in wanted} <= pinned
