"""The structure of the code: packages in layers, as CONTRIBUTING.md lists them, and no module too long."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from helpers import ROOT
from source_code import MODULES, imports, package, parse

MAX_MODULE_LINES = 300
MAX_FUNCTION_LINES = 50  # without its docstring


def layers() -> dict[str, set[str]]:
    """The table in CONTRIBUTING.md: for each package, from the bottom up, the packages that it imports."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)(?:/|\.py)` \|.*\|(.*)\|$", text, re.M)
    return {name: set(re.findall(r"\w+", imported)) for name, imported in rows}


def test_contributing_lists_every_package_with_the_packages_it_imports() -> None:
    actual: dict[str, set[str]] = {package(path): set() for path in MODULES}
    for path in MODULES:
        actual[package(path)] |= {package(module) for module in imports(path)} - {package(path)}
    assert not {name for name, imported in actual.items() if "stages" in imported}, "a script is imported"
    del actual["stages"]
    assert layers() == actual


def test_no_package_imports_one_above_it() -> None:
    below: set[str] = set()
    for name, imported in layers().items():
        assert imported <= below, name
        below.add(name)


def test_no_modules_import_each_other_in_a_circle() -> None:
    TopologicalSorter({path: imports(path) for path in MODULES}).prepare()  # else a CycleError, which names them


@pytest.mark.parametrize("path", [path for path in MODULES if package(path) == "stages"], ids=str)
def test_no_script_imports_another(path: Path) -> None:
    assert "stages" not in {package(module) for module in imports(path)}


def test_importing_a_package_runs_no_code() -> None:
    for path in (ROOT / "stages" / "lib").rglob("__init__.py"):
        assert path.read_text() == "", path


@pytest.mark.parametrize("folder", ["stages", "benchmarks", "docs", "security"])
def test_modules_and_functions_are_short(folder: str) -> None:
    for path in (ROOT / folder).rglob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_MODULE_LINES, path
        for node in ast.walk(parse(path.relative_to(ROOT))):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
                assert lines <= MAX_FUNCTION_LINES, f"{path}: {node.name} has {lines} lines"
