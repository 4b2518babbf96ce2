"""Whatever the file or the params: a stage ends in exit code 0, or 1 with one line, and an earlier output is kept."""

import random
import traceback
from collections.abc import Iterator
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bad_input import EARLIER
from click_logs import as_table, random_log
from click_oracle import REQUIRED
from helpers import ROOT, SHARED_DATA, RunStage, WriteParams, WriteSource, sessions_frame
from mutations import mutate
from real_data import BANK, REES46

from benchmarks.tools import params_with
from stages.lib.common.errors import InputError
from stages.lib.common.params import Params
from stages.lib.dataset.sessions import read_sessions

pytestmark = pytest.mark.slow

OUTPUT = Path("prepared.parquet")
TABLE = {"prepare.source_type": "sessions", "prepare.target": "buys"}
# A column of each type: with the others, each run would take half as long again.
LOG_COLUMNS = (*REQUIRED, "page", "page_type", "price", "quantity", "tab_visible")
LOG = {"prepare.clicks.columns": {name: name for name in LOG_COLUMNS}}
ROWS, COLUMNS = 200, 8  # of a table
N_BATCHES, TABLES = 10, 20  # mutants of tables in a batch; of each log it has one, which takes ten times as long

Source = tuple[pd.DataFrame, dict[str, Any]]


def own_table() -> pd.DataFrame:
    born = pd.date_range("2024-01-01", periods=ROWS, freq="h").strftime("%Y-%m-%d %H:%M:%S")
    return sessions_frame(ROWS).assign(born=born, region=np.arange(ROWS) % 3 + 1, known=np.arange(ROWS) % 2 == 0)


def own_log() -> pd.DataFrame:
    return as_table(random_log(4, visitors=8)).to_pandas()[[*LOG_COLUMNS]]


@cache
def sources() -> tuple[list[Source], list[Source]]:
    """Tables, and logs, of a few hundred rows that can be prepared, and the params that read them."""
    tables, logs = [(own_table(), TABLE)], [(own_log(), LOG)]
    known = [
        ("online_shoppers_intention.csv", ",", TABLE | {"prepare.target": "Revenue"}),
        (BANK.name, ";", {name: value for name, value in BANK.params.items() if name != "prepare.drop"}),
        ("coil2000.csv", ",", TABLE | {"prepare.target": "CARAVAN"}),
    ]
    for name, delimiter, params in known:
        if (SHARED_DATA / name).is_file():
            table = pd.read_csv(SHARED_DATA / name, sep=delimiter)
            table = table[:: len(table) // ROWS][:ROWS].iloc[:, -COLUMNS:]
            tables.append((table[[column for column in table if table[column].nunique() > 1]], params))
    if Path(REES46.path).is_file():
        log = pd.read_csv(REES46.path)
        buyers = log.user_id[log.event_type == "purchase"].unique()[:40]
        logs.append((log[log.user_id.isin([*buyers, *log.user_id.unique()[:40]])], REES46.params))
    return tables, logs


def fault(run_stage: RunStage, source: Path, what: str) -> str | None:
    """What is wrong with how the prepare stage ended, if anything."""
    OUTPUT.write_bytes(EARLIER)
    before = {path.name for path in Path().iterdir()}
    try:
        ran = run_stage("prepare", source, OUTPUT)
    except Exception as error:
        return f"{what}: {type(error).__name__}: {error}\n{traceback.format_exc()[-1500:]}"
    if {path.name for path in Path().iterdir()} != before:
        return f"{what}: other files are left behind"
    if ran.code == 0:
        return None if len(read_sessions(OUTPUT)) and not ran.err else f"{what}: exit code 0, but {ran.err}"
    # Several problems of a table are told at once, a line each.
    is_one_line = len(ran.err.splitlines()) == 1 or " problems:\n" in ran.err
    if ran.code != 1 or not is_one_line or not ran.err.startswith("prepare: "):
        return f"{what}: exit code {ran.code}: {ran.err!r}"
    return None if OUTPUT.read_bytes() == EARLIER else f"{what}: the earlier output is gone"


@pytest.mark.parametrize("batch", range(N_BATCHES))
def test_a_mutated_file_is_prepared_or_refused_in_one_line(
    run_stage: RunStage, write_params: WriteParams, write_source: WriteSource, batch: int
) -> None:
    rng, faults, (tables, logs) = random.Random(batch), [], sources()
    for number, (table, params) in enumerate([*logs, *islice(cycle(tables), TABLES)]):
        mutant = mutate(rng, table)
        write_params(**params | {f"prepare.csv.{name}": value for name, value in mutant.csv.items()})
        path = write_source(mutant.content, mutant.name)
        faults.append(fault(run_stage, path, f"{batch}.{number} {mutant.what}"))
        path.unlink()
    found = [text for text in faults if text]
    assert not found, "\n\n".join(found)


# Params -----------------------------------------------------------

# For each key, or for the keys of a mapping that are tried together; a log takes ten times as long as a table.
MAX_RUNS = {"table": 2, "log": 1}
MAPPINGS = ("prepare.clicks.columns.", "prepare.clicks.events.", "prepare.clicks.page_types.")
# Without these, nothing is aggregated, which would hide what the other keys of their mapping do.
ALONE = {*(MAPPINGS[0] + name for name in REQUIRED), MAPPINGS[1] + "view", MAPPINGS[1] + "purchase"}
SHAPES: list[Any] = [
    None,
    {},
    [],
    "",
    " ",
    0,
    -1,
    True,
    "nonsense",
    ["nonsense"],
    [None],
    [[]],
    {"nonsense": 1},
    {"": None},
]


def keys_of(document: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """The dotted path of each section and each key."""
    for name, value in document.items():
        yield prefix + name
        if isinstance(value, dict):
            yield from keys_of(value, f"{prefix}{name}.")


def mapping_of(key: str) -> str:
    """The mapping whose keys are tried together with this key; a key that is tried by itself is its own."""
    return next((mapping for mapping in MAPPINGS if key.startswith(mapping) and key not in ALONE), key)


@pytest.mark.parametrize("section", params_with({}))
def test_params_that_are_empty_or_of_another_shape_are_used_or_refused_in_one_line(
    section: str, run_stage: RunStage, write_params: WriteParams
) -> None:
    own_table().to_csv("table.csv", index=False)
    own_log().to_parquet("log.parquet")
    faults: list[str | None] = []
    runs: dict[tuple[str, int], dict[str, Any]] = {}  # the changes of each run of the prepare stage
    for key in keys_of({section: params_with({})[section]}):
        n_accepted = 0
        for shape in SHAPES:
            write_params(**{key: shape})
            try:
                Params.load()
            except InputError as error:
                if len(str(error).splitlines()) != 1 or not str(error).startswith("params.yaml: "):
                    faults.append(f"{key}: {shape!r}: {error}")
                continue
            runs.setdefault((mapping_of(key), n_accepted), {})[key] = shape
            n_accepted += 1
    # What the params can do is tried on a table or a log, with the first shapes of a key that are accepted.
    for (key, number), changes in runs.items():
        is_log = key.startswith("prepare.clicks")
        if section == "prepare" and number < MAX_RUNS["log" if is_log else "table"]:
            write_params(**(LOG if is_log else TABLE) | changes)
            faults.append(fault(run_stage, Path("log.parquet" if is_log else "table.csv"), f"{changes}"))
    found = [text for text in faults if text]
    assert not found, "\n\n".join(found)


def test_every_section_is_tried() -> None:
    assert {*params_with({})} == {*Params.load(ROOT / "params.yaml").model_dump()}
