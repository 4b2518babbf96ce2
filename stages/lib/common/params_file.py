"""The text of params.yaml: read as DVC reads it, with keys of earlier versions and mistakes reported in one line."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from stages.lib.common.errors import InputError

WHOLE_FILE = "the file"

# Keys of earlier versions, and what they are called now.
RENAMED = {
    "prepare.kind": "prepare.source_type",
    "prepare.positive": "prepare.positive_class",
    "prepare.missing": "prepare.na_values",
    "prepare.numbers": "prepare.numeric",
    "prepare.csv.cut_off": "prepare.csv.truncated_last_line",
    "prepare.clicks.page_view": "prepare.clicks.score_at_views",
    "prepare.clicks.score_at_view": "prepare.clicks.score_at_views",
    "prepare.engine": "runtime.engine",
    "prepare.memory_limit": "runtime.memory_limit",
    "split.by": "split.strategy (target: stratified, visitor: grouped, time: temporal)",
    "split.test_share": "split.test_size",
    "split.leak_limit": "split.leakage_auc",
    "validation.recalibrate": "validation.calibration",
    "evaluate.repeats": "validation.extra_seeds",
    **{
        f"{model}.{old}": f"{model}.{new}"
        for model in ("train_base", "train_strong")
        for old, new in {
            "encoding.numbers": "encoding.scaling",
            "encoding.levels": "encoding.max_categories",
            "encoding.rare_share": "encoding.min_frequency",
            "network.members": "network.ensemble_size",
            "training.class_weights": "training.class_weight",
            "validation_share": "validation_split",
        }.items()
    },
    "grid_search.backend": "runtime.backend",
    "grid_search.recipe": "grid_search.base",
    "grid_search.validation_share": "grid_search.validation_split",
    "grid_search.grid.numbers": "grid_search.grid.scaling",
    "grid_search.grid.levels": "grid_search.grid.max_categories",
    "grid_search.grid.rare_share": "grid_search.grid.min_frequency",
    "grid_search.grid.class_weights": "grid_search.grid.class_weight",
    "smote_train.ratio": "smote_train.sampling_strategy",
    "smote_train.neighbours": "smote_train.k_neighbors",
    "train_reference.logistic.c": "train_reference.logistic.C",
}


def read_params_file(path: Path) -> Any:
    """The document in `path`, as plain dicts and lists.

    Raises:
        InputError: the file is missing, is not YAML, or has a key of an earlier version.
    """
    try:
        # YAML 1.2, as DVC: it writes 0.00001 as 1e-05, which is text in YAML 1.1.
        document = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, UnicodeError) as error:
        raise InputError(f"{path}: not readable: {error}") from None
    except YAMLError as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    for key in _keys(document):
        if key in RENAMED:
            raise InputError(f"{path}: {key}: renamed to {RENAMED[key]}")
    return document


def most_telling(errors: list[ErrorDetails]) -> str:
    """One line for the error that says most: an unknown key often explains a missing one beside it."""
    return describe(sorted(errors, key=lambda error: error["type"] != "extra_forbidden")[0])


def describe(error: ErrorDetails) -> str:
    """One line that names the key, what was expected and what was found."""
    # For a union, pydantic adds the name of the member to the path.
    key = ".".join(str(part) for part in error["loc"] if part not in ("str", "int", "float", "bool")) or WHOLE_FILE
    value = error["input"]
    if error["type"] == "missing":
        return f"{key}: missing"
    if error["type"] == "extra_forbidden":
        return f"{key}: unknown key"
    if error["type"] == "value_error":
        return str(error["ctx"]["error"]) if key == WHOLE_FILE else f"{key}: {error['ctx']['error']}"
    if error["type"] == "model_type":
        return f"{key}: expected a section of keys, got {value!r}"
    if error["type"] == "too_short":
        return f"{key}: expected at least {error['ctx']['min_length']} entry, got {value!r}"
    return f"{key}: {error['msg'].replace('Input should be', 'expected')}, got {value!r}"


def _keys(node: Any, prefix: str = "") -> Iterator[str]:
    """The dotted paths of all keys, sections before what is in them."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield f"{prefix}{key}"
            yield from _keys(value, f"{prefix}{key}.")
