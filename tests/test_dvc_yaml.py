"""dvc.yaml is honest: a stage declares the code that it imports, the params that it reads and all of its files."""

import re
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers import ROOT
from source_code import import_closure, params_read

from stages.lib.common.params import PARAMS, Params
from stages.lib.evaluation.registry import MODELS

TEXT = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
VALUES = yaml.safe_load((ROOT / PARAMS).read_text(encoding="utf-8"))
# As DVC reads it: ${key} stands for the value in params.yaml.
PIPELINE = yaml.safe_load(re.sub(r"\$\{([\w.]+)\}", lambda key: reduce(getitem, key[1].split("."), VALUES), TEXT))
STAGES: dict[str, dict[str, Any]] = PIPELINE["stages"]
NAMES = [model.name for model in MODELS]
NETWORKS = [model.name for model in MODELS if model.is_network]
SAVED = [name for name in NAMES if name != "logistic"]

MAX_LINES = 260
# They read `runtime`, and test_engines.py and test_cluster_grid.py show that it changes none of their results.
READ_RUNTIME = {"prepare", "grid_search"}
SECTIONS = set(Params.model_fields) - {"runtime"}
# What code reads that uses the property of Params, or the text of PARAMS, of which the report shows all but runtime
READ_BY_USING = {"grid_base": {"grid_search.base", VALUES["grid_search"]["base"]}, "PARAMS": SECTIONS}


def commands(stage: str) -> str:
    """The stage's command line, or several as one text."""
    cmd = STAGES[stage]["cmd"]
    return cmd if isinstance(cmd, str) else "\n".join(cmd)


def scripts(stage: str) -> set[Path]:
    return {Path(f"stages/{name}.py") for name in re.findall(r"python -m stages\.(\w+)", commands(stage))}


def imported(stage: str) -> set[Path]:
    return set().union(*map(import_closure, scripts(stage)))


def code_deps(stage: str) -> set[Path]:
    return {Path(dep) for dep in STAGES[stage]["deps"] if dep.startswith("stages/")}


def file_deps(stage: str) -> list[str]:
    return [dep for dep in STAGES[stage]["deps"] if not dep.startswith("stages/")]


def outputs(stage: str, *kinds: str) -> dict[str, dict[str, Any]]:
    """Paths and settings of the stage's outputs of these kinds, or of all kinds."""
    listed = [out for kind in kinds or ("outs", "metrics", "plots") for out in STAGES[stage].get(kind, [])]
    return dict((out, {}) if isinstance(out, str) else next(iter(out.items())) for out in listed)


def all_outputs(*kinds: str) -> list[str]:
    return [path for stage in STAGES for path in outputs(stage, *kinds)]


def is_within(inner: str | Path, outer: str | Path) -> bool:
    return Path(inner).is_relative_to(outer)


def is_key_within(key: str, section: str) -> bool:
    return f"{key}.".startswith(f"{section}.")


def params_of(stage: str) -> set[str]:
    """The keys that the stage's code reads."""
    keys = set().union(*map(params_read, imported(stage)))
    return set().union(*(READ_BY_USING.get(key, {key}) for key in keys))


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_declares_all_code_that_it_imports_and_no_other(stage: str) -> None:
    declared = code_deps(stage)
    assert all((ROOT / dep).exists() for dep in declared)
    undeclared = {path for path in imported(stage) if not any(is_within(path, dep) for dep in declared)}
    unused = {dep for dep in declared if not any(is_within(path, dep) for path in imported(stage))}
    assert (undeclared, unused) == (set(), set())


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_declares_all_params_that_it_reads_and_no_other(stage: str) -> None:
    read = {key for key in params_of(stage) if not is_key_within(key, "runtime")}
    declared = set(STAGES[stage].get("params", []))
    undeclared = {key for key in read if not any(is_key_within(key, section) for section in declared)}
    assert not undeclared
    unused = {
        section
        for section in declared
        if not any(is_key_within(key, section) or is_key_within(section, key) for key in read)
    }
    assert not unused


def test_no_stage_depends_on_where_it_runs() -> None:
    declared = {key for stage in STAGES.values() for key in stage.get("params", [])}
    assert not [key for key in declared if is_key_within(key, "runtime")]
    assert {stage for stage in STAGES if any(is_key_within(key, "runtime") for key in params_of(stage))} == READ_RUNTIME


def test_every_section_of_params_but_runtime_is_declared_by_a_stage() -> None:
    declared = {key.split(".")[0] for stage in STAGES.values() for key in stage.get("params", [])}
    assert declared == SECTIONS


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_has_a_description_and_its_command_names_all_of_its_files(stage: str) -> None:
    assert STAGES[stage]["desc"]
    for file in (*file_deps(stage), *outputs(stage)):
        # Or a folder that holds them, as evaluate and report take
        folders = [str(folder) for folder in Path(file).parents][:-1]
        assert any(name in commands(stage) for name in (file, *folders)), file


def test_each_output_belongs_to_one_stage() -> None:
    paths = all_outputs()
    for position, path in enumerate(paths):
        assert not [other for other in paths[position + 1 :] if is_within(path, other) or is_within(other, path)], path


def test_what_a_stage_reads_is_written_by_an_earlier_one() -> None:
    written: list[str] = []
    if VALUES["prepare"]["source"] not in all_outputs():
        written.append(VALUES["prepare"]["source"])
    for stage in STAGES:
        for dep in file_deps(stage):
            assert any(is_within(path, dep) for path in written), f"{stage}: {dep}"
        written += outputs(stage)


def test_metrics_are_in_git_and_data_and_models_are_not() -> None:
    for stage in STAGES:
        for path, settings in outputs(stage).items():
            is_cached = settings.get("cache", True)
            assert is_cached == path.startswith(("data/", "models/")), path


def test_every_stage_that_trains_or_prepares_is_in_the_run_cache() -> None:
    # DVC leaves a stage out of its run cache if a plain output of it is not cached; metrics and plots are no obstacle.
    left_out = {stage for stage in STAGES if not all(out.get("cache", True) for out in outputs(stage, "outs").values())}
    assert left_out == {"evaluate"}


def test_only_evaluate_depends_on_the_test_targets() -> None:
    assert [stage for stage in STAGES if "data/split/test_targets.parquet" in STAGES[stage]["deps"]] == ["evaluate"]


@pytest.mark.parametrize("stage", ["simulate", "prepare", "split", "train_reference", "evaluate"])
def test_a_stage_that_trains_no_network_does_not_import_tensorflow(stage: str) -> None:
    assert Path("stages/lib/modeling/backend.py") not in imported(stage)


def test_templates_of_the_report_lie_under_a_declared_folder() -> None:
    (stage,) = [stage for stage in STAGES if Path("stages/report.py") in scripts(stage)]
    templates = [path.relative_to(ROOT) for path in (ROOT / "stages").rglob("*.jinja")]
    assert templates and all(any(is_within(path, dep) for dep in code_deps(stage)) for path in templates)


@pytest.mark.parametrize("folder", ["predictions", "out_of_fold"])
def test_each_model_predicts_the_test_set_and_the_folds(folder: str) -> None:
    written = [path for path in all_outputs() if path.startswith(f"data/{folder}")]
    assert sorted(written) == sorted(f"data/{folder}/{name}.parquet" for name in NAMES)


def test_each_model_but_logistic_regression_is_saved() -> None:
    written = [path for path in all_outputs() if path.startswith("models")]
    assert sorted(written) == sorted(f"models/{name}" for name in SAVED)


def test_evaluate_depends_on_all_models_and_writes_their_metrics() -> None:
    predictions = [f"data/predictions/{name}.parquet" for name in NAMES]
    out_of_fold = [f"data/out_of_fold/{name}.parquet" for name in NAMES]
    models = [f"models/{name}" for name in NETWORKS]
    inputs = [dep for dep in file_deps("evaluate") if dep.startswith(("data/", "models"))]
    assert inputs == ["data/split/test.parquet", "data/split/test_targets.parquet", *predictions, *out_of_fold, *models]
    metrics = [f"metrics/{name}.json" for name in NAMES]
    assert list(outputs("evaluate", "metrics")) == metrics
    assert all_outputs("metrics") == metrics, "dvc metrics shows models only"


def test_plots_show_all_models() -> None:
    plots = dict(next(iter(plot.items())) for plot in PIPELINE["plots"] if isinstance(plot, dict))
    drawn = {path: plot["y"] for path, plot in plots.items() if isinstance(plot["y"], list)}
    assert drawn == {path: NETWORKS if path == "metrics/loss.csv" else NAMES for path in drawn}
    assert {
        "metrics/loss.csv",
        "metrics/roc.csv",
        "metrics/precision_recall.csv",
        "metrics/cumulative_gains.csv",
    } == set(drawn)


def test_every_plot_and_artifact_is_an_output() -> None:
    plots = [plot if isinstance(plot, str) else next(iter(plot)) for plot in PIPELINE["plots"]]
    artifacts = {name: artifact["path"] for name, artifact in PIPELINE["artifacts"].items()}
    assert artifacts == {name: f"models/{name}" for name in SAVED}
    assert set(plots) | set(artifacts.values()) <= set(all_outputs())


def test_dvc_yaml_is_short() -> None:
    assert len(TEXT.splitlines()) <= MAX_LINES
