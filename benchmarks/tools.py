"""Shared by benchmarks and tests: the committed params with some of them changed."""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
PARAMS = ROOT / "params.yaml"
REMOVED = object()  # in place of a value: leave the key out


def params_with(changes: Mapping[str, Any], base: Path = PARAMS) -> dict[str, Any]:
    """The params of `base` with other values at these dotted keys, such as "train_base.training.epochs"."""
    params = yaml.load(base.read_text(encoding="utf-8"), yaml.CSafeLoader)  # seven times as fast as yaml.safe_load
    for key, value in changes.items():
        *sections, name = key.split(".")
        section = params
        for part in sections:
            section = section[part]
        if value is REMOVED:
            del section[name]
        else:
            section[name] = deepcopy(value)  # since a key within it may be the next one to change
    return params


def write_params(path: Path, changes: Mapping[str, Any], base: Path = PARAMS) -> None:
    """Write `params_with(changes, base)` to `path`, which may be `base` itself."""
    text = yaml.dump(params_with(changes, base), Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)
    path.write_text(text, encoding="utf-8")
