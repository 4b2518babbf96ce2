"""dvc.yaml tells the truth: what a stage's code imports and reads is what the stage declares."""

import ast
import hashlib
from collections.abc import Iterator
from functools import reduce
from operator import getitem
from pathlib import Path

import pytest
import yaml
from ruamel.yaml import YAML

from stages.lib.common.params import Params

ROOT = Path(__file__).parents[1]
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())
STAGES = PIPELINE["stages"]
LOCK = ROOT / "dvc.lock"
# Where a stage works, not what it finds: a laptop and a cluster write the same lock.
NOT_TRACKED = {"grid_search": {"backend"}, "prepare": {"engine", "memory_limit"}}


def imported(path: Path) -> Iterator[Path]:
    """The project's files that the file at `path` imports, itself included, wherever the import stands."""
    yield path
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            module = Path(*name.split(".")).with_suffix(".py")
            if (ROOT / module).exists() and module != path:
                yield from imported(module)


def outputs(stage: dict, *kinds: str) -> list[tuple[str, dict]]:
    """Path and settings of what the stage writes, of these kinds of outputs or of all."""
    listed = [out for kind in kinds or ("outs", "metrics", "plots") for out in stage.get(kind, [])]
    return [(out, {}) if isinstance(out, str) else next(iter(out.items())) for out in listed]


def sections_read(path: Path) -> set[str]:
    """The sections that the file asks params.load for."""
    calls = [node for node in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(node, ast.Call)]
    loads = [call for call in calls if ast.unparse(call.func) == "params.load"]
    return {ast.literal_eval(argument) for call in loads for argument in call.args}


@pytest.mark.parametrize("name", STAGES)
def test_the_code_a_stage_imports_is_what_it_depends_on(name: str) -> None:
    declared = {dep for dep in STAGES[name]["deps"] if dep.endswith(".py")}
    assert declared == {str(path) for path in imported(Path(f"stages/{name}.py"))}


def tracked(section: str) -> set[str]:
    """The section, or all its keys but those that are not tracked."""
    if section not in NOT_TRACKED:
        return {section}
    keys = Params.model_fields[section].annotation.model_fields
    return {f"{section}.{key}" for key in keys.keys() - NOT_TRACKED[section]}


@pytest.mark.parametrize("name", STAGES)
def test_the_params_a_stage_reads_are_what_it_declares(name: str) -> None:
    read = sections_read(Path(f"stages/{name}.py"))
    assert set(STAGES[name].get("params", [])) == {key for section in read for key in tracked(section)}


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_has_a_description_and_its_command_names_every_file(name: str) -> None:
    stage = STAGES[name]
    assert stage["desc"]
    files = [dep for dep in stage["deps"] if not dep.startswith(("stages/", "params.yaml"))]
    files += [path for path, _ in outputs(stage, "outs", "plots")]
    for file in files:
        # evaluate and report are given the folders that hold them
        assert any(str(part) in stage["cmd"] for part in (file, *list(Path(file).parents)[:-1])), file


def test_all_stages_but_those_that_judge_are_kept_in_the_run_cache() -> None:
    # DVC keeps no run of a stage that has a plain output out of its cache; metrics and plots may be.
    never = {
        name for name in STAGES for _, settings in outputs(STAGES[name], "outs") if not settings.get("cache", True)
    }
    assert never == {"evaluate", "report"}


def test_only_evaluate_depends_on_the_test_targets() -> None:
    assert [name for name in STAGES if "data/split/test_targets.parquet" in STAGES[name]["deps"]] == ["evaluate"]


def test_only_modules_that_train_import_tensorflow() -> None:
    for name in ("simulate", "prepare", "split", "train_reference", "evaluate", "report"):
        assert Path("stages/lib/backend.py") not in imported(Path(f"stages/{name}.py"))


def test_no_script_imports_another_and_no_library_a_script() -> None:
    for path in (ROOT / "stages").rglob("*.py"):
        others = set(imported(path.relative_to(ROOT))) - {path.relative_to(ROOT)}
        assert all(other.parts[1] == "lib" for other in others), path


def test_every_stage_but_the_default_data_is_wired_by_files() -> None:
    outs = {path for stage in STAGES.values() for path, _ in outputs(stage)}
    for name, stage in STAGES.items():
        inputs = [dep for dep in stage["deps"] if not dep.startswith("stages/")]
        assert name == "simulate" or all(dep in (*outs, "${prepare.source}", "params.yaml") for dep in inputs)


def test_the_report_depends_on_its_templates_and_on_the_text_of_the_params() -> None:
    templates = {f"stages/lib/{path.name}" for path in (ROOT / "stages/lib").glob("*.jinja")}
    assert templates | {"params.yaml"} <= set(STAGES["report"]["deps"])


def locked_stages() -> dict:
    # DVC writes YAML 1.2, where 5e-05 is a number.
    return YAML(typ="safe").load(LOCK.read_text())["stages"]


def test_the_lock_is_true_for_the_committed_code_and_params() -> None:
    locked = locked_stages()
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    assert set(locked) == set(STAGES)
    for name, stage in locked.items():
        code = {dep["path"]: dep["md5"] for dep in stage["deps"] if dep["path"].endswith(".py")}
        assert code == {path: hashlib.md5((ROOT / path).read_bytes()).hexdigest() for path in code}, name
        for key, value in stage.get("params", {}).get("params.yaml", {}).items():
            assert value == reduce(getitem, key.split("."), values), f"{name}: {key}"


def test_committed_metrics_are_those_of_the_lock() -> None:
    locked = locked_stages()
    for out in (out for stage in locked.values() for out in stage.get("outs", [])):
        if out["path"].startswith("metrics/") and not out["md5"].endswith(".dir"):
            assert hashlib.md5((ROOT / out["path"]).read_bytes()).hexdigest() == out["md5"]


def test_params_of_every_section_are_read_by_some_stage() -> None:
    read = {key.split(".")[0] for stage in STAGES.values() for key in stage.get("params", [])}
    assert read == set(Params.model_fields)
