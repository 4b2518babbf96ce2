"""The session tables that benchmarks.quality compares models on, prepared by the prepare stage."""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.tools import PARAMS, ROOT, write_params
from stages import prepare
from stages.lib.common.params import Params
from stages.lib.dataset.sessions import Sessions, read_sessions

PREPARED = ROOT / "data" / "prepared" / "sessions.parquet"
DEFAULT = "default"


@dataclass(frozen=True)
class RealTable:
    """A table in the folder of real data, and what params say of it."""

    title: str
    file: str
    prepare: dict[str, Any] = field(default_factory=dict)


# Columns whose values are only known after the session, or the call, are dropped: bank's duration is.
_SHOPPERS = {"target": "Revenue", "categories": ["OperatingSystems", "Browser", "Region", "TrafficType"]}
_SHOPPERS_FILE = "online_shoppers_intention.csv"
REAL_TABLES = {
    "shoppers": RealTable("Online shoppers", _SHOPPERS_FILE, _SHOPPERS),
    "shoppers-without-values": RealTable(
        "Online shoppers, without PageValues", _SHOPPERS_FILE, _SHOPPERS | {"drop": ["PageValues"]}
    ),
    "bank": RealTable(
        "Bank marketing, without duration",
        "bank_full.csv",
        {"target": "y", "drop": ["duration"], "na_values": ["unknown"]},
    ),
    "coil2000": RealTable("CoIL 2000", "coil2000.csv", {"target": "CARAVAN"}),
}
# BeyondArena's tables and splits: https://tabarena.ai
_JOB = ["job", "marital", "education", "default", "housing", "loan", "contact", "campaign", "previous", "poutcome"]
TABARENA = {
    "shoppers": RealTable(
        "Online shoppers, as in TabArena",
        _SHOPPERS_FILE,
        {"target": "Revenue", "categories": [*_SHOPPERS["categories"], "Month", "VisitorType", "Weekend"]},
    ),
    "bank": RealTable(
        "Bank marketing, as in TabArena",
        "bank_full.csv",
        {"target": "y", "drop": ["duration", "day", "month"], "categories": _JOB},
    ),
}
TITLES = {name: table.title for name, table in REAL_TABLES.items()} | {DEFAULT: "The default data, simulated"}


def load_tables(
    names: list[str], folder: Path, tables: Mapping[str, RealTable] = REAL_TABLES
) -> Iterator[tuple[str, Sessions]]:
    """Prepare the tables of these names one by one; prints a line for each that is missing.

    Args:
        names: of `tables`, or DEFAULT.
        folder: where the files of the real tables are.
        tables: what params say of them.

    Yields:
        Each name with its sessions.
    """
    for name in names:
        table = tables.get(name)
        path = folder / table.file if table else PREPARED
        if not path.is_file():
            print(f"{name}: left out: {path}: no such file" + ("" if table else "; run dvc repro prepare"))
        elif table:
            yield name, prepare_table(path, table.prepare)
        else:
            yield name, read_sessions(path)


def prepare_table(source: Path, changes: Mapping[str, Any]) -> Sessions:
    """Prepare a session table with the committed params and these changes of their section prepare.

    `changes["na_values"]` are added to the committed ones, not put in their place.
    """
    na_values = [*Params.load(PARAMS).prepare.na_values, *changes.get("na_values", [])]
    settings = {**changes, "source": str(source), "source_type": "sessions", "na_values": na_values}
    source = source.resolve()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        write_params(Path("params.yaml"), {f"prepare.{name}": value for name, value in settings.items()})
        prepare.main(source, Path("sessions.parquet"))
        return read_sessions(Path("sessions.parquet"))
