"""params.yaml is checked as a whole, and what is wrong in it is said in one line."""

from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest
from dvc.utils.serialize import modify_yaml
from helpers import REMOVED, ROOT, RunStage, WriteParams

from stages.lib.common.errors import InputError
from stages.lib.common.params import ModelConfig, Split, load

SECTIONS = ("seed", "simulate", "prepare", "split", "train_base", "grid_search", "smote_train")


def refusal() -> str:
    with pytest.raises(InputError) as refused:
        load("seed")
    text = str(refused.value)
    assert len(text.splitlines()) == 1
    return text


def test_the_committed_params_load() -> None:
    loaded = SimpleNamespace(**dict(zip(SECTIONS, load(*SECTIONS, path=ROOT / "params.yaml"), strict=True)))
    assert loaded.seed == 42
    assert loaded.simulate.start == date(2015, 1, 1)
    assert loaded.train_base.training.learning_rate == 5e-5
    assert "" in loaded.prepare.na_values


def test_sections_come_in_the_order_asked_for(write_params: WriteParams) -> None:
    write_params(**{"split.test_size": 0.3})
    seed, split = load("seed", "split")
    assert (seed, split.test_size) == (42, 0.3)
    assert [type(part) for part in load("split", "seed")] == [Split, int]


def test_a_whole_number_will_do_for_a_number(write_params: WriteParams) -> None:
    write_params(**{"train_base.network.l2": 0})
    assert load("train_base")[0].network.l2 == 0


@pytest.mark.parametrize("start", ["2016-02-29", date(2016, 2, 29)], ids=["in quotes", "without"])
def test_a_day_may_stand_in_quotes_or_not(write_params: WriteParams, start) -> None:
    write_params(**{"simulate.start": start})
    assert load("simulate")[0].start == date(2016, 2, 29)


@pytest.mark.parametrize(("written", "size"), [(None, None), ("1GB", 10**9), ("1.5 GiB", 3 * 2**29), (10**9, 10**9)])
def test_a_limit_of_memory_is_a_size_or_null(write_params: WriteParams, written, size) -> None:
    write_params(**{"runtime.memory_limit": written})
    assert load("prepare")[0].memory_limit == size


def test_sections_can_not_be_changed() -> None:
    (split,) = load("split", path=ROOT / "params.yaml")
    with pytest.raises(ValueError, match="frozen"):
        split.strategy = "time"


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        # unknown and missing keys
        ("splits", {}, "splits: unknown key"),
        ("split.shre", 0.2, "split.shre: unknown key"),
        ("prepare.csv.quote", "'", "prepare.csv.quote: unknown key"),
        ("split", REMOVED, "split: missing"),
        ("seed", REMOVED, "seed: missing"),
        ("train_base.training.epochs", REMOVED, "train_base.training.epochs: missing"),
        # sections that are none
        ("prepare", None, "prepare: expected a section"),
        ("prepare.keys", "session", "prepare.keys: expected a section"),
        ("train_base.network", [80, 40], "train_base.network: expected a section"),
        # wrong types
        ("seed", "42", "seed: expected a valid integer, got '42'"),
        ("seed", 4.5, "seed: expected a valid integer"),
        ("seed", None, "seed: expected"),
        (
            "train_base.training.epochs",
            True,
            "train_base.training.epochs: expected a valid integer, got True",
        ),
        ("split.test_size", True, "split.test_size: expected a valid number, got True"),
        (
            "train_base.network.layers",
            [80, True],
            "train_base.network.layers.1: expected a valid integer, got True",
        ),
        ("train_base.network.layers", 80, "train_base.network.layers: expected a valid list, got 80"),
        (
            "train_base.network.layers",
            [8, "a"],
            "train_base.network.layers.1: expected a valid integer, got 'a'",
        ),
        ("prepare.drop", "month", "prepare.drop: expected a valid list, got 'month'"),
        ("prepare.na_values", ["", None], "prepare.na_values.1: expected"),
        ("prepare.positive_class", [1], "prepare.positive_class: expected"),
        (
            "prepare.clicks.events.view",
            "view",
            "prepare.clicks.events.view: expected a valid list, got 'view'",
        ),
        (
            "train_base.training.learning_rate",
            "0.00005",
            "expected a valid number, got '0.00005'",
        ),
        ("simulate.start", "soon", "simulate.start: Invalid isoformat string: 'soon'"),
        ("simulate.start", 2015, "simulate.start: expected a valid date, got 2015"),
        # out of range
        ("seed", -1, "seed: expected greater than or equal to 0, got -1"),
        ("seed", 2**32, "seed: expected less than 4294967296"),
        ("split.test_size", 0, "split.test_size: expected greater than 0"),
        ("split.test_size", 1.0, "split.test_size: expected less than 1"),
        ("train_base.encoding.min_frequency", float("nan"), "train_base.encoding.min_frequency: expected"),
        (
            "train_base.training.learning_rate",
            float("inf"),
            "train_base.training.learning_rate: expected a finite",
        ),
        ("train_base.network.dropout", 1, "train_base.network.dropout: expected less than 1"),
        ("train_base.network.layers", [], "train_base.network.layers: List should have at least 1 item"),
        (
            "train_base.network.layers",
            [80, 0],
            "train_base.network.layers.1: expected greater than or equal to 1",
        ),
        (
            "train_base.training.batch_size",
            0,
            "train_base.training.batch_size: expected greater than or equal to 1",
        ),
        ("smote_train.sampling_strategy", 1.5, "smote_train.sampling_strategy: expected less than or equal to 1"),
        ("prepare.clicks.score_at_view", 0, "prepare.clicks.score_at_view: expected greater than or equal to 1"),
        ("grid_search.grid", {}, "grid_search.grid: Dictionary should have at least 1 item"),
        ("grid_search.grid.batch_size", [], "grid_search.grid.batch_size: List should have at least 1 item"),
        ("grid_search.grid.batch_size", 24, "grid_search.grid.batch_size: expected a valid list, got 24"),
        # no such choice
        ("split.strategy", "date", "split.strategy: expected 'target', 'visitor' or 'time', got 'date'"),
        (
            "runtime.backend",
            "127.0.0.1:8786",
            "runtime.backend: expected loky or the address of a Dask scheduler, such as tcp://127.0.0.1:8786, got",
        ),
        (
            "runtime.engine",
            "spark",
            "runtime.engine: expected an address as Ibis takes it, such as duckdb:// or pyspark://, got 'spark'",
        ),
        ("runtime.memory_limit", "much", "runtime.memory_limit: expected a size such as 1GB, or null, got 'much'"),
        ("runtime.memory_limit", True, "runtime.memory_limit: expected a size such as 1GB, or null, got True"),
        ("runtime.memory_limit", "100MB", "runtime.memory_limit: expected at least 500MB, got 100MB"),
        ("smote_train.variant", "svm", "smote_train.variant: expected 'smote'"),
        ("prepare.csv.encoding", "cp1252", "prepare.csv.encoding: expected 'utf-8'"),
        ("prepare.csv.delimiter", "", "prepare.csv.delimiter: expected auto or one character, got ''"),
        ("prepare.csv.delimiter", ";;", "prepare.csv.delimiter: expected auto or one character, got ';;'"),
        # keys that do not go together
        ("simulate.purchases", 51349, "simulate: purchases must be fewer than sessions"),
        ("train_base.training.patience", 3, "train_base: training.patience needs a validation_share above 0"),
        # a line break in a value is no line break in the message
        ("split.strategy", "target\nor time", "split.strategy: expected"),
    ],
)
def test_what_does_not_fit_is_named_in_one_line(write_params: WriteParams, key, value, says: str) -> None:
    write_params(**{key: value})
    text = refusal()
    assert text.startswith("params.yaml: ")
    assert says in text


def test_the_file_is_read_as_dvc_reads_and_writes_it(write_params: WriteParams) -> None:
    """In YAML 1.2; to 1.1, 1e-05, which `dvc exp run --set-param` writes for 0.00001, is text, and no is false."""
    write_params(**{"prepare.positive_class": None})
    path = Path("params.yaml")
    with modify_yaml(path) as document:
        document["train_base"]["training"]["learning_rate"] = 0.00001
        document["prepare"]["positive"] = "no"
    assert "learning_rate: 1e-05" in path.read_text() and "positive: no\n" in path.read_text()
    base, prepare = load("train_base", "prepare")
    assert base.training.learning_rate == 0.00001 and prepare.positive_class == "no"


def test_a_key_that_stands_twice_is_refused(project) -> None:
    Path("params.yaml").write_text((ROOT / "params.yaml").read_text() + "\nseed: 43\n")
    assert "found duplicate key" in refusal()


def test_an_unknown_key_is_named_before_the_missing_one_it_was_meant_to_be(write_params: WriteParams) -> None:
    write_params(**{"split.test_size": REMOVED, "split.testshare": 0.2})
    assert refusal() == "params.yaml: split.testshare: unknown key"


@pytest.mark.parametrize(
    ("content", "says"),
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
def test_a_file_that_holds_no_params_is_refused(project, content, says: str) -> None:
    Path("params.yaml").write_bytes(content)
    assert refusal().startswith(f"params.yaml: {says}")


def test_no_file_is_refused(project) -> None:
    assert refusal() == "params.yaml: no such file"


def test_a_folder_is_refused(project) -> None:
    Path("params.yaml").mkdir()
    assert refusal().startswith("params.yaml: not readable")


@pytest.mark.parametrize("stage", ["simulate", "prepare", "split"])
def test_every_stage_checks_the_whole_file_first(run_stage: RunStage, write_params: WriteParams, stage) -> None:
    write_params(**{"smote_train.k_neighbors": 0})
    ran = run_stage(stage, *["nowhere"] * {"simulate": 1, "prepare": 2, "split": 6}[stage])
    assert ran.error.startswith(f"{stage}: params.yaml: smote_train.k_neighbors: expected greater")


@pytest.fixture
def base() -> ModelConfig:
    return load("train_base", path=ROOT / "params.yaml")[0]


def test_a_grid_point_changes_network_and_training(base) -> None:
    settings = base.with_point({"layers": [8], "learning_rate": 0.5})
    assert settings.network == base.network.model_copy(update={"layers": [8]})
    assert settings.training == base.training.model_copy(update={"learning_rate": 0.5})
    assert base.training.learning_rate == 5e-5


@pytest.mark.parametrize(
    ("point", "says"),
    [
        ({"learning_rates": 0.1}, "grid.learning_rates: unknown key; known are numbers, bins"),
        ({"validation_split": 0.1}, "grid.validation_share: unknown key"),
        (
            {"learning_rate": "0.00005"},
            "training.learning_rate: expected a valid number, got '0.00005'",
        ),
        ({"learning_rate": 0}, "training.learning_rate: expected greater than 0"),
        ({"batch_size": 2.5}, "training.batch_size: expected a valid integer"),
        ({"batch_size": True}, "training.batch_size: expected a valid integer"),
        ({"layers": 80}, "network.layers: expected a valid list"),
        ({"class_weight": "even"}, "training.class_weight: expected 'none' or 'balanced'"),
    ],
)
def test_a_grid_that_does_not_fit_is_refused(write_params: WriteParams, point, says: str) -> None:
    write_params(**{"grid_search.grid": {name: [value] for name, value in point.items()}})
    assert refusal().startswith("params.yaml: grid_search.grid")
    assert says in refusal()


def test_a_value_that_stands_twice_in_a_grid_is_refused(write_params: WriteParams) -> None:
    write_params(**{"grid_search.grid": {"batch_size": [24, 48, 24]}})
    assert refusal() == "params.yaml: grid_search.grid.batch_size: 24 stands there twice"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"grid_search.folds": 1}, "grid_search.folds: expected 2 or more, or 0 for none, got 1"),
        ({"validation.folds": 1}, "validation.folds: expected 2 or more, or 0 for none, got 1"),
        ({"validation.folds": 0, "validation.calibration": "sigmoid"}, "validation: recalibrate needs folds"),
    ],
)
def test_folds_that_cannot_be(write_params: WriteParams, changes, says: str) -> None:
    write_params(**changes)
    assert refusal() == f"params.yaml: {says}"
