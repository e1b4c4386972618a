"""The README: its commands parse, its Python compiles and names what exists, its links lead somewhere."""

import ast
import re
import shlex
from pathlib import Path

import pytest

import avatar3d
from avatar3d.cli.verbs import parse

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text()
COMMANDS = re.findall(r"^avatar3d (.*)$", TEXT, re.MULTILINE)


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_parse(line: str) -> None:
    parse(shlex.split(line, comments=True))


def test_there_are_commands() -> None:
    assert {line.split()[0] for line in COMMANDS} >= {"fit", "render", "track", "score", "doctor"}


def test_python_names_what_exists() -> None:
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "avatar3d":
                assert node.attr in avatar3d.__all__


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake (\w+)", TEXT)) <= targets


def test_links_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"
