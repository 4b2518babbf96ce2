"""The files in metrics/ that the report shows, read and checked."""

import json
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from stages.lib.common.errors import InputError, file_errors
from stages.lib.evaluation import registry
from stages.lib.evaluation.registry import RegisteredModel

HINT = "dvc repro writes it"


def read_evaluation(metrics: Path) -> tuple[dict[str, Any], list[RegisteredModel]]:
    """The content of evaluation.json, and those of the registry's models that are in it.

    Raises:
        InputError: the file is missing or broken, or was written for other models.
    """
    path = metrics / "evaluation.json"
    evaluation = read_json(path, ["test", "models", "comparisons"])
    models = [model for model in registry.MODELS if model.name in evaluation["models"]]
    if unknown := set(evaluation["models"]) - {model.name for model in models}:
        raise InputError(f"{path}: unknown model '{min(unknown)}': run the evaluate stage again")
    if not any(model.is_network for model in models):
        raise InputError(f"{path}: no network is evaluated: run the evaluate stage again")
    return evaluation, models


def read_json(path: Path, keys: Sequence[str] = ()) -> dict[str, Any]:
    """The object in a JSON file, which must have these keys.

    Raises:
        InputError: the file is missing or broken, or lacks a key.
    """
    with file_errors(path, "a JSON file", HINT):
        content: dict[str, Any] = json.loads(path.read_bytes())
    _require(keys, content, path, "key")
    return content


def read_csv(path: Path, columns: Sequence[str], **options: Any) -> pd.DataFrame:
    """The table in a CSV file, which must have these columns.

    Args:
        path: the file.
        columns: names of columns.
        options: of `pandas.read_csv`.

    Raises:
        InputError: the file is missing or broken, or lacks a column.
    """
    with file_errors(path, "a CSV file", HINT):
        table: pd.DataFrame = pd.read_csv(path, **options)
    _require(columns, table, path, "column")
    return table


def _require(names: Sequence[str], content: Container[str], path: Path, what: str) -> None:
    for name in names:
        if name not in content:
            raise InputError(f"{path}: no {what} '{name}'; {HINT}")
