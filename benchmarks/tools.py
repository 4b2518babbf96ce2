"""What benchmarks and tests share: the committed parameters with some of them changed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
REMOVED = object()  # in place of a value: leave the key out


def params_with(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The committed params.yaml with other values at these dotted keys, such as "train_base.training.epochs"."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for key, value in changes.items():
        *sections, name = key.split(".")
        section = params
        for part in sections:
            section = section[part]
        if value is REMOVED:
            del section[name]
        else:
            section[name] = value
    return params


def write_params(path: Path, changes: Mapping[str, Any]) -> None:
    """Write `params_with(changes)` to `path`."""
    path.write_text(yaml.safe_dump(params_with(changes), sort_keys=False, allow_unicode=True), encoding="utf-8")
