"""The prepare stage's table of a click log: the columns of the reference, and notes on what is left out."""

import csv
from pathlib import Path

import pyarrow as pa
import pytest
from click_logs import KEYS, as_table, click_settings, random_log, session_table
from click_oracle import Event
from helpers import ROOT

from stages.lib.common.errors import InputError
from stages.lib.common.params import Params
from stages.lib.dataset.left_out import LeftOut
from stages.lib.preparation.engine import open_engine
from stages.lib.preparation.prepare import Prepared, prepare_clicks

REFERENCE = ROOT.parent / "shared/reference/session_columns.csv"


@pytest.fixture(scope="module")
def log() -> list[Event]:
    return random_log(4)


def prepare_without_price(log: list[Event], drop: list[str], left_out: LeftOut) -> Prepared:
    settings = Params.load(ROOT / "params.yaml").prepare.model_copy(
        update={"target": "Kauf", "drop": drop, "clicks": click_settings()}
    )
    with open_engine(Path("prepared.parquet")) as engine:
        table = engine.local.create_table("log", as_table(log).drop(["price"]))
        return prepare_clicks(table, settings, engine, left_out)


def test_the_columns_are_those_of_the_reference(log: list[Event]) -> None:
    if not REFERENCE.is_file():
        pytest.skip(f"{REFERENCE.name}, the reference of the columns, is not beside the project")
    with REFERENCE.open(encoding="utf-8", newline="") as file:
        reference = {row["name"]: row["dtype"] for row in csv.DictReader(file)}
    dtypes = {pa.int64(): "int64", pa.float64(): "float64", pa.string(): "object"}
    columns = {field.name: dtypes.get(field.type) for field in session_table(log).drop(KEYS).schema}
    assert columns == reference
    # The target comes last.
    assert [*columns] == [*(name for name in reference if name != "Kauf"), "Kauf"]


def test_prepare_names_the_features_that_it_leaves_out(workdir: Path, log: list[Event]) -> None:
    left_out = LeftOut()
    prepared = prepare_without_price([event | {"screen_width": 1} for event in log], ["hurry"], left_out)
    events, *lines = [str(finding) for finding in left_out.findings]
    assert events.startswith("column 'event': left out the events 'hover': ")
    needed = "left out the features that need a column for price, amountBasketSession, totPurchasesAmount"
    assert lines[0].startswith(f"no column 'price' in the log: {needed}")
    assert lines[1].startswith("left out the features that are the same in every session: ")
    assert "screenWidth" in lines[1]
    assert prepared.roles == {"session": "key", "visitor": "visitor", "time": "time", "Kauf": "target"}
    assert not {"hurry", "screenWidth", "amountBasketSession"} & {*prepared.table.columns}
    assert [*prepared.dtypes] == [name for name in prepared.table.columns if name not in prepared.roles]


def test_an_unknown_feature_to_drop_is_an_error_that_names_it(workdir: Path, log: list[Event]) -> None:
    with pytest.raises(InputError, match=r"no feature 'hury' \(prepare\.drop\)"):
        prepare_without_price(log, ["hury"], LeftOut())
