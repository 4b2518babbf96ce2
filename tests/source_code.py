"""What the code in stages/ imports, and which params it reads, by static analysis."""

import ast
from functools import cache
from pathlib import Path
from typing import Any

from helpers import ROOT

from stages.lib.common.model_params import Section
from stages.lib.common.params import Params

MODULES = sorted(path.relative_to(ROOT) for path in (ROOT / "stages").rglob("*.py") if path.name != "__init__.py")


def parse(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


@cache
def imports(path: Path) -> set[Path]:
    """The modules of this project that a file imports, in functions and under TYPE_CHECKING too."""
    names: list[str] = []
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, f"{path}:{node.lineno}: a relative import"
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return {module for name in names if (module := Path(*name.split(".")).with_suffix(".py")) in MODULES}


def import_closure(path: Path) -> set[Path]:
    """The file and all modules that it imports, directly or indirectly."""
    closure, pending = set(), {path}
    while pending:
        closure |= pending
        pending = {module for each in pending for module in imports(each)} - closure
    return closure


def package(path: Path) -> str:
    """modeling for stages/lib/modeling/model.py, baselines for stages/lib/baselines.py, and stages for a script."""
    return Path(path.parts[2]).stem if path.parts[1] == "lib" else "stages"


@cache
def params_read(path: Path) -> set[str]:
    """The dotted keys of params.yaml that a file reads as attributes of `params`, which has to be a Params.

    `settings = params.split` reads split, and `params.split.strategy` reads split.strategy. A property of Params, such
    as `params.grid_base`, counts as a key, and so does PARAMS, the path of the file.
    """
    visitor = _AttributesOfParams()
    if path != Path("stages/lib/common/params.py"):
        visitor.visit(parse(path))
    return visitor.keys


class _AttributesOfParams(ast.NodeVisitor):
    def __init__(self) -> None:
        self.keys: set[str] = set()

    def visit_arg(self, node: ast.arg) -> None:
        if node.annotation is not None and ast.unparse(node.annotation).strip("'\"") == "Params":
            assert node.arg == "params", f"{ast.unparse(node)}: a Params has to be called params"

    def visit_Name(self, node: ast.Name) -> None:
        if node.id == "PARAMS":
            self.keys.add(node.id)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        names: list[str] = []
        root: ast.expr = node
        while isinstance(root, ast.Attribute):
            names.insert(0, root.attr)
            root = root.value
        if ast.unparse(root) in ("params", "Params.load()"):
            self.keys.add(_key(names))
        else:
            self.visit(root)


def _key(names: list[str]) -> str:
    """The longest part of the attribute chain that names params, without methods and so on."""
    if isinstance(getattr(Params, names[0], None), property):
        return names[0]
    model: Any = Params
    key = []
    for name in names:
        if not (isinstance(model, type) and issubclass(model, Section) and name in model.model_fields):
            break
        key.append(name)
        model = model.model_fields[name].annotation
    assert key, f"params.{names[0]}: no such section"
    return ".".join(key)
