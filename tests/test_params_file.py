"""The file params.yaml: how it is read, and keys of earlier versions."""

from functools import reduce
from operator import getitem
from pathlib import Path

import pytest
import yaml
from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize import load_yaml, modify_yaml
from helpers import REMOVED, ROOT, RunStage, WriteParams, load_error

from benchmarks.tools import params_with
from stages.lib.common.params import Params
from stages.lib.common.params_file import RENAMED

PARAMS = Path("params.yaml")


@pytest.mark.parametrize("old", RENAMED)
def test_a_key_of_an_earlier_version_is_an_error_that_names_the_new_one(
    old: str, write_params: WriteParams, run_stage: RunStage
) -> None:
    write_params(**{"evaluate": {"repeats": 1}} if old == "evaluate.repeats" else {old: 1})
    message = f"params.yaml: {old}: renamed to {RENAMED[old]}"
    assert load_error() == message
    assert run_stage("simulate", "clicks.parquet").error == f"simulate: {message}"


@pytest.mark.parametrize("new", RENAMED.values())
def test_the_new_name_of_a_renamed_key_is_a_key(new: str) -> None:
    name = new.split(" ")[0].removeprefix("grid_search.grid.")
    if "." in name:
        *sections, key = name.split(".")
        section = params_with({})
        for part in sections:
            section = section[part]
        assert key in section
    else:  # of a grid point
        with pytest.raises(ValueError, match=rf"unknown key; known are .*\b{name}\b"):
            Params.load(ROOT / "params.yaml").train_base.with_point({"": None})


def test_an_earlier_version_of_the_whole_file_is_an_error_that_names_the_first_renamed_key(
    write_params: WriteParams,
) -> None:
    split = {"by": "visitor", "test_share": 0.2, "leak_limit": 0.75}
    write_params(**{"runtime": REMOVED, "split": split, "smote_train.neighbours": 5})
    assert load_error() == f"params.yaml: split.by: renamed to {RENAMED['split.by']}"


def test_the_file_is_read_as_dvc_reads_and_writes_it(write_params: WriteParams) -> None:
    """YAML 1.2: in YAML 1.1, 1e-05, which `dvc exp run --set-param` writes for 0.00001, is text, and no is false."""
    write_params()
    with modify_yaml(PARAMS) as document:
        document["train_base"]["training"]["learning_rate"] = 0.00001
        document["prepare"]["positive_class"] = "no"
    assert "learning_rate: 1e-05" in PARAMS.read_text() and "positive_class: no\n" in PARAMS.read_text()
    params = Params.load()
    assert params.train_base.training.learning_rate == 0.00001 and params.prepare.positive_class == "no"


@pytest.mark.parametrize("overrides", [["seed=7"], ["train_reference.trees.max_iter=50", "prepare.drop=[a]"]])
def test_an_experiment_changes_the_committed_file_and_nothing_else_in_it(workdir: Path, overrides: list[str]) -> None:
    """`dvc exp run -S` writes the file anew. It loses its way where a list of mappings has a comment beside its key."""
    PARAMS.write_bytes((ROOT / "params.yaml").read_bytes())
    expected = load_yaml(PARAMS)
    for override in overrides:
        key, _, value = override.partition("=")
        *sections, name = key.split(".")
        reduce(getitem, sections, expected)[name] = yaml.safe_load(value)
    for _ in range(2):
        apply_overrides(PARAMS, overrides)
    assert load_yaml(PARAMS) == expected
    Params.load()


def test_a_duplicate_key_is_an_error(workdir: Path) -> None:
    PARAMS.write_text((ROOT / "params.yaml").read_text() + "\nseed: 43\n")
    assert "found duplicate key" in load_error()


def test_an_unknown_key_is_named_before_the_missing_one_that_it_stands_for(write_params: WriteParams) -> None:
    write_params(**{"split.test_size": REMOVED, "split.testsize": 0.2})
    assert load_error() == "params.yaml: split.testsize: unknown key"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file: expected a section of keys"),
        (b"# nothing yet\n", "the file: expected a section of keys"),
        (b"- seed\n", "the file: expected a section of keys"),
        (b"seed: [1\n", "not YAML"),
        (b"a: b: c\n", "not YAML"),
        (b"\tseed: 1\n", "not YAML"),
        (b"seed: \xff\n", "not readable"),
    ],
)
def test_a_file_without_params_is_an_error(workdir: Path, content: bytes, message: str) -> None:
    PARAMS.write_bytes(content)
    assert load_error().startswith(f"params.yaml: {message}")


def test_a_missing_file_is_an_error(workdir: Path) -> None:
    assert load_error() == "params.yaml: no such file"


def test_a_folder_is_an_error(workdir: Path) -> None:
    PARAMS.mkdir()
    assert load_error().startswith("params.yaml: not readable")
