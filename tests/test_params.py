"""params.yaml is checked as a whole, and a mistake in it is an error of one line."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from helpers import REMOVED, ROOT, RunStage, WriteParams, load_error

from stages.lib.common.model_params import ModelConfig
from stages.lib.common.params import Params

PARAMS = Path("params.yaml")


def test_the_committed_params_load() -> None:
    params = Params.load(ROOT / "params.yaml")
    assert params.seed == 42
    assert params.simulate.start == date(2015, 1, 1)
    assert params.train_base.training.learning_rate == 5e-5
    assert "" in params.prepare.na_values


def test_params_are_read_from_the_working_folder_by_default(write_params: WriteParams) -> None:
    write_params(**{"split.test_size": 0.3, "seed": 7})
    params = Params.load()
    assert (params.seed, params.split.test_size) == (7, 0.3)


def test_an_integer_is_accepted_as_a_number(write_params: WriteParams) -> None:
    write_params(**{"train_base.network.l2": 0})
    assert Params.load().train_base.network.l2 == 0


@pytest.mark.parametrize("start", ["2016-02-29", date(2016, 2, 29)], ids=["in quotes", "without"])
def test_a_date_may_be_in_quotes_or_not(write_params: WriteParams, start: str | date) -> None:
    write_params(**{"simulate.start": start})
    assert Params.load().simulate.start == date(2016, 2, 29)


@pytest.mark.parametrize(("value", "size"), [(None, None), ("1GB", 10**9), ("1.5 GiB", 3 * 2**29), (10**9, 10**9)])
def test_a_memory_limit_is_a_size_or_null(write_params: WriteParams, value: str | int | None, size: int | None) -> None:
    write_params(**{"runtime.memory_limit": value})
    assert Params.load().runtime.memory_limit == size


def test_sections_are_immutable() -> None:
    split = Params.load(ROOT / "params.yaml").split
    with pytest.raises(ValueError, match="frozen"):
        split.strategy = "temporal"  # type: ignore[misc]


@pytest.mark.parametrize(("base", "expected"), [("train_base", [80, 40, 10]), ("train_strong", [256, 128])])
def test_the_grid_s_base_is_one_of_the_networks(write_params: WriteParams, base: str, expected: list[int]) -> None:
    write_params(**{"grid_search.base": base})
    assert Params.load().grid_base.network.layers == expected


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        # unknown and missing keys
        ("splits", {}, "splits: unknown key"),
        ("split.test_sze", 0.2, "split.test_sze: unknown key"),
        ("prepare.csv.quote", "'", "prepare.csv.quote: unknown key"),
        ("split", REMOVED, "split: missing"),
        ("seed", REMOVED, "seed: missing"),
        ("train_base.training.epochs", REMOVED, "train_base.training.epochs: missing"),
        # values in place of sections
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
        ("prepare.strict", "yes", "prepare.strict: expected a valid boolean, got 'yes'"),
        # costs
        ("decision.costs", 20, "decision.costs: expected a section of keys, got 20"),
        ("decision.costs", {"contact": 1}, "decision.costs.missed_purchase: missing"),
        (
            "decision.costs",
            {"contact": 0, "missed_purchase": 20},
            "decision.costs.contact: expected greater than 0, got 0",
        ),
        (
            "decision.costs",
            {"contact": 20.0, "missed_purchase": 1.0},
            "decision.costs: contact must cost less than missed_purchase: otherwise no contact pays",
        ),
        ("prepare.date_format", "DD.MM.YYYY", "prepare.date_format: expected the form of a date for strptime"),
        ("prepare.date_format", "%H:%M", "prepare.date_format: expected the form of a date for strptime"),
        ("prepare.decimal", ";", "prepare.decimal: expected '.' or ',', got ';'"),
        ("prepare.thousands", "5", "prepare.thousands: expected a character between digits, such as ',', or null"),
        ("prepare.thousands", ".", "prepare: thousands must be another character than decimal"),
        ("prepare.units", ["5%"], "prepare.units.0: expected a text before or after a number, such as '%' or EUR"),
        ("prepare.csv.names", [], "prepare.csv.names: expected at least 1 entry"),
        ("prepare.csv.names", ["a", " "], "prepare.csv.names.1: expected the name of a column, got ' '"),
        ("prepare.csv.skip_rows", -1, "prepare.csv.skip_rows: expected greater than or equal to 0, got -1"),
        ("prepare.clicks.session_ids", "visitor", "prepare.clicks.session_ids: expected 'global' or 'per_visitor'"),
        ("prepare.clicks.session_gap", 0, "prepare.clicks.session_gap: expected greater than 0, got 0"),
        ("prepare.clicks.missing_session", None, "prepare.clicks.missing_session: expected 'error' or 'drop'"),
        ("prepare.clicks.duplicates", True, "prepare.clicks.duplicates: expected 'drop' or 'keep', got True"),
        ("prepare.clicks.max_events_per_session", 0, "max_events_per_session: expected greater than or equal to 1"),
        ("simulate.start", "soon", "simulate.start: expected a date such as 2015-01-31, got 'soon'"),
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
        ("train_base.network.layers", [], "train_base.network.layers: expected at least 1 entry"),
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
        ("prepare.clicks.score_at_views", [0], "prepare.clicks.score_at_views.0: expected greater than or equal to 1"),
        ("prepare.clicks.score_at_views", [3, 1], "prepare.clicks.score_at_views: expected ascending numbers"),
        ("prepare.clicks.score_at_views", [], "prepare.clicks.score_at_views: expected"),
        ("grid_search.grid", {}, "grid_search.grid: expected at least 1 entry"),
        ("grid_search.n_points", 0, "grid_search.n_points: expected greater than or equal to 1, got 0"),
        ("grid_search.halving_factor", 1, "grid_search.halving_factor: expected greater than or equal to 2, got 1"),
        ("grid_search.grid.batch_size", [], "grid_search.grid.batch_size: expected at least 1 entry"),
        ("grid_search.grid.batch_size", 24, "grid_search.grid.batch_size: expected a valid list, got 24"),
        ("train_strong.candidates", [], "train_strong.candidates: expected at least 1 entry"),
        ("train_strong.candidates", [{}, {"layer": [4]}], "train_strong: candidates: number 2: layer: unknown key"),
        ("train_strong.candidates", [{"distilation": 1}], "epochs, patience, class_weight, distillation"),
        ("train_strong.candidates", [{"dropout": 1}], "candidates: number 1: network.dropout: expected less than 1"),
        ("train_strong.candidates", [{"patience": 1}], "number 1: training.patience needs a validation_split"),
        ("train_strong.candidates", [{}, {"l2": 0.1}, {}], "train_strong: candidates: number 3 is listed twice"),
        (
            "train_strong.candidates",
            [{"distillation": 2}],
            "candidates: number 1: distillation: expected less than or equal to 1",
        ),
        ("train_strong.distillation", -0.1, "train_strong.distillation: expected greater than or equal to 0"),
        ("grid_search.grid", {"distillation": [1.0]}, "grid_search.grid.distillation: unknown key"),
        ("train_strong.candidates", [{"ensemble_size": 3}], "ensemble_size in number 1: all candidates have the same"),
        ("train_reference.trees.l2_regularization", -1, "l2_regularization: expected greater than or equal to 0"),
        ("train_reference.trees.max_features", 0, "train_reference.trees.max_features: expected greater than 0"),
        ("train_reference.trees.max_features", 1.1, "max_features: expected less than or equal to 1, got 1.1"),
        ("evaluate.slices", "month", "evaluate.slices: expected auto or a list of columns, got 'month'"),
        ("evaluate.slices", ["a", ""], "evaluate.slices: expected auto or a list of columns, got ['a', '']"),
        # unknown choices
        ("split.strategy", "date", "split.strategy: expected 'stratified', 'grouped' or 'temporal', got 'date'"),
        (
            "runtime.backend",
            "127.0.0.1:8786",
            "runtime.backend: expected local or the address of a Dask scheduler, such as tcp://127.0.0.1:8786, got",
        ),
        (
            "runtime.engine",
            "spark",
            "runtime.engine: expected a URL that Ibis connects to, such as duckdb:// or pyspark://, got 'spark'",
        ),
        ("runtime.memory_limit", "much", "runtime.memory_limit: expected a size such as 1GB, or null, got 'much'"),
        ("runtime.memory_limit", True, "runtime.memory_limit: expected a size such as 1GB, or null, got True"),
        ("runtime.memory_limit", "100MB", "runtime.memory_limit: expected at least 500MB, got 100MB"),
        ("smote_train.variant", "svm", "smote_train.variant: expected 'smote'"),
        ("prepare.csv.encoding", "ansi", "prepare.csv.encoding: expected the name of an encoding, such as utf-8"),
        ("prepare.csv.encoding", "rot13", "prepare.csv.encoding: expected the name of an encoding"),
        ("prepare.csv.encoding", "a\0b", "prepare.csv.encoding: expected the name of an encoding"),
        ("prepare.csv.names", [], "prepare.csv.names: expected at least 1 entry, got []"),
        ("prepare.csv.names", ["a", ""], "prepare.csv.names.1: expected the name of a column, got ''"),
        ("prepare.csv.names", "a,b", "prepare.csv.names: expected a valid list, got 'a,b'"),
        ("prepare.csv.skip_rows", -1, "prepare.csv.skip_rows: expected greater than or equal to 0, got -1"),
        ("prepare.csv.delimiter", "", "prepare.csv.delimiter: expected auto or one character, got ''"),
        ("prepare.csv.delimiter", ";;", "prepare.csv.delimiter: expected auto or one character, got ';;'"),
        # keys that contradict each other
        ("simulate.purchases", 51349, "simulate: purchases must be fewer than sessions"),
        ("train_base.training.patience", 3, "train_base: training.patience needs a validation_split above 0"),
        # a line break in a value, which is none in the message
        ("split.strategy", "grouped\nor temporal", "split.strategy: expected"),
    ],
)
def test_a_mistake_is_named_in_one_line(write_params: WriteParams, key: str, value: Any, message: str) -> None:
    write_params(**{key: value})
    text = load_error()
    assert text.startswith("params.yaml: ")
    assert message in text


@pytest.mark.parametrize(("stage", "n_paths"), [("simulate", 1), ("prepare", 2), ("split", 5)])
def test_every_stage_checks_the_whole_file_first(
    run_stage: RunStage, write_params: WriteParams, stage: str, n_paths: int
) -> None:
    write_params(**{"smote_train.k_neighbors": 0})
    ran = run_stage(stage, *["nowhere"] * n_paths)
    assert ran.error.startswith(f"{stage}: params.yaml: smote_train.k_neighbors: expected greater")


@pytest.fixture
def base() -> ModelConfig:
    return Params.load(ROOT / "params.yaml").train_base


def test_a_grid_point_changes_encoding_network_and_training(base: ModelConfig) -> None:
    config = base.with_point({"bins": 8, "layers": [8], "learning_rate": 0.5})
    assert config.encoding == base.encoding.model_copy(update={"bins": 8})
    assert config.network == base.network.model_copy(update={"layers": [8]})
    assert config.training == base.training.model_copy(update={"learning_rate": 0.5})
    assert base.training.learning_rate == 5e-5


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ({"learning_rates": 0.1}, "grid.learning_rates: unknown key; known are scaling, bins"),
        ({"validation_split": 0.1}, "grid.validation_split: unknown key"),
        ({"learning_rate": "0.00005"}, "training.learning_rate: expected a valid number, got '0.00005'"),
        ({"learning_rate": 0}, "training.learning_rate: expected greater than 0"),
        ({"batch_size": 2.5}, "training.batch_size: expected a valid integer"),
        ({"batch_size": True}, "training.batch_size: expected a valid integer"),
        ({"layers": 80}, "network.layers: expected a valid list"),
        ({"class_weight": "even"}, "training.class_weight: expected 'none' or 'balanced'"),
    ],
)
def test_a_mistake_in_a_grid_is_named_in_one_line(
    write_params: WriteParams, point: dict[str, Any], message: str
) -> None:
    write_params(**{"grid_search.grid": {name: [value] for name, value in point.items()}})
    assert load_error().startswith("params.yaml: grid_search.grid")
    assert message in load_error()


def test_a_value_that_a_grid_lists_twice_is_an_error(write_params: WriteParams) -> None:
    write_params(**{"grid_search.grid": {"batch_size": [24, 48, 24]}})
    assert load_error() == "params.yaml: grid_search.grid.batch_size: 24 is listed twice"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"grid_search.folds": 1}, "grid_search.folds: expected 2 or more, or 0 for none, got 1"),
        ({"validation.folds": 1}, "validation.folds: expected 2 or more, or 0 for none, got 1"),
        ({"validation.folds": 0, "validation.calibration": "sigmoid"}, "validation: calibration needs folds"),
        ({"grid_search.folds": 0, "grid_search.halving_factor": 3}, "grid_search: halving_factor needs folds"),
    ],
)
def test_impossible_folds_are_an_error(write_params: WriteParams, changes: dict[str, Any], message: str) -> None:
    write_params(**changes)
    assert load_error() == f"params.yaml: {message}"
