"""A log that grows by parts gives the same sessions, whatever the order of the parts and whatever was there before."""

import random
import shutil
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from click_logs import as_table, random_log
from day_logs import KINDS, DayLog, in_order, log_parts, logged_in
from hypothesis import Phase, assume, example, given, settings
from hypothesis import strategies as st

from stages import score
from stages.lib.common.checksums import write_checksums
from stages.lib.common.errors import InputError
from stages.lib.dataset.left_out import LeftOut
from stages.lib.dataset.schema import Dtype, Schema
from stages.lib.days import part as part_module
from stages.lib.days import update
from stages.lib.days.prepare_days import prepare_days
from stages.lib.days.scoring import open_days_to_score
from stages.lib.modeling.calibration import Calibration
from stages.lib.modeling.decision import Decision

pytestmark = pytest.mark.slow

GLOBAL = {"session_ids": "global"}


# Without the search for a smaller example, which would take hours
@settings(max_examples=2, deadline=None, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate])
@given(kind=st.sampled_from(sorted(KINDS)), seed=st.integers(0, 10**6), order=st.permutations(range(3)))
@example(kind="ids of each visitor", seed=0, order=[0, 2, 1])
@example(kind="without visitors", seed=1, order=[1, 0, 2])
@example(kind="several visitors", seed=2, order=[1, 2, 0])
@example(kind="without sessions", seed=13, order=[2, 0, 1])
@example(kind="bots", seed=4, order=[2, 1, 0])
def test_parts_in_any_order_give_what_the_whole_log_gives(
    tmp_path_factory: pytest.TempPathFactory, kind: str, seed: int, order: list[int]
) -> None:
    change, changes = KINDS[kind]
    parts = log_parts(seed, change, n_parts=3)
    one_by_one, at_once = (DayLog(tmp_path_factory.mktemp(name), **changes) for name in ("one_by_one", "at_once"))
    for number in order:
        one_by_one.write(number, parts[number])
        actual = outcome(one_by_one)
    at_once.learn_parts_of(one_by_one)
    for number, part in enumerate(parts):
        at_once.write(number, part)
    assert actual == outcome(at_once)
    assume(isinstance(actual, dict))
    expected = at_once.rows_without_days()
    columns = [*expected.columns]
    pd.testing.assert_frame_equal(in_order(one_by_one.rows, columns), in_order(expected, columns))


def outcome(log: DayLog) -> dict[str, bytes] | str:
    """The files of the session table or, of so few sessions that none or each ends in a purchase, the error."""
    try:
        return log.run()
    except InputError as error:
        assert "ends in a purchase" in str(error)
        return str(error)


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> DayLog:
    """A log of three parts, with sessions of which two have events."""
    log = DayLog(tmp_path_factory.mktemp("grown"), **GLOBAL)
    for number, part in enumerate(log_parts(5, logged_in, n_parts=3)):
        log.write(number, part)
    log.run()
    return log


def test_a_part_that_is_replaced_and_put_back(grown: DayLog, tmp_path: Path) -> None:
    before, path = grown.run(), grown.folder / "log/01.parquet"
    original = path.read_bytes()
    part = pq.ParquetFile(path).read()
    grown.write(1, part.slice(part.num_rows // 2))
    replaced = grown.run()
    fresh = DayLog(tmp_path, **GLOBAL)
    for number in range(3):
        fresh.write(number, pq.ParquetFile(grown.folder / f"log/{number:02}.parquet").read())
    assert replaced == fresh.run() != before
    path.write_bytes(original)
    assert grown.run() == before


def test_what_is_known_already_is_not_made_again(grown: DayLog, monkeypatch: pytest.MonkeyPatch) -> None:
    before = grown.run()
    monkeypatch.setattr(part_module, "write_tables", fail)
    monkeypatch.setattr(update.Update, "run", fail)
    assert grown.run() == before


def test_other_params_begin_anew(grown: DayLog, monkeypatch: pytest.MonkeyPatch) -> None:
    before, prepare = grown.run(), grown.prepare
    clicks = prepare.clicks.model_copy(update={"score_at_views": [2]})
    monkeypatch.setattr(grown, "prepare", prepare.model_copy(update={"clicks": clicks}))
    assert grown.run() != before
    monkeypatch.setattr(grown, "prepare", prepare)
    assert grown.run() == before


@pytest.mark.parametrize("name", ["write_batches", "visit_history", "merge_pieces"])
def test_an_interrupted_run_leaves_nothing_that_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, grown: DayLog, name: str
) -> None:
    log = DayLog(tmp_path, **GLOBAL)
    log.learn_parts_of(grown)
    for number in range(3):
        log.write(number, pq.ParquetFile(grown.folder / f"log/{number:02}.parquet").read())

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(update, name, interrupt)
        with pytest.raises(KeyboardInterrupt):
            log.run()
    assert not (tmp_path / "sessions").exists()
    assert log.run() == grown.run()


@pytest.mark.parametrize("latest_view", [False, True])
def test_sessions_are_scored_with_what_is_known_already(
    grown: DayLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, latest_view: bool
) -> None:
    grown.run()
    rows = grown.rows.sort_values(["time", "visitor", "session", "view"], ignore_index=True)
    features: dict[str, Dtype] = {"visitorKnown": "number", "category": "category"}
    Schema.of(grown.prepare, features).save(tmp_path / "schema.json")
    schema, memo = Schema.load(tmp_path / "schema.json"), grown.folder / "memo"
    monkeypatch.setattr(part_module, "write_tables", fail)
    monkeypatch.setattr(update.Update, "run", fail)
    since = rows["time"].sort_values().iloc[len(rows) // 2].date()
    with open_days_to_score(grown.folder / "log", schema, memo, since, LeftOut(), latest_view=latest_view) as (
        sessions,
        keys,
    ):
        scored = sessions.to_pandas()
    expected = rows[rows["time"] >= pd.Timestamp(since)]
    if latest_view:
        expected = expected.drop_duplicates(["visitor", "session"], keep="last")
    assert keys == ["session", "visitor", "time", "view"] and 10 < len(expected) < len(rows)
    columns = [*keys, *features]
    pd.testing.assert_frame_equal(scored[columns], expected[columns].reset_index(drop=True), check_dtype=False)


def test_mistakes_in_scoring_days(grown: DayLog) -> None:
    memo = grown.folder / "memo"
    schema = Schema.of(grown.prepare, {"nothing": "number"})
    with (
        pytest.raises(InputError, match="no session reaches a scored page view since 2030-01-01"),
        open_days_to_score(grown.folder / "log", schema, memo, date(2030, 1, 1), LeftOut(), latest_view=False),
    ):
        pass
    with (
        pytest.raises(InputError, match="the model was trained on nothing"),
        open_days_to_score(grown.folder / "log", schema, memo, None, LeftOut(), latest_view=False),
    ):
        pass


def test_what_is_passed_over_and_left_out_is_reported(tmp_path: Path) -> None:
    grown = DayLog(tmp_path, **GLOBAL)
    for number, part in enumerate(log_parts(5, logged_in, n_parts=2)):
        grown.write(number, part)
    for name in ("README.md", ".DS_Store"):
        (grown.folder / "log" / name).write_text("")
    grown.prepare = grown.prepare.model_copy(
        update={"clicks": grown.prepare.clicks.model_copy(update={"days": "*.parquet"}), "drop": ["viewNumber"]}
    )
    schema = Schema.of(grown.prepare, {"visitorKnown": "number"})
    prepared, scored = LeftOut(), LeftOut()
    prepare_days(grown.folder / "log", grown.prepare, grown.runtime, grown.folder / "sessions", prepared)
    with open_days_to_score(grown.folder / "log", schema, grown.folder / "memo", None, scored, latest_view=False):
        pass
    lines = [str(finding) for finding in prepared.findings]
    assert "files of the folder that do not match '*.parquet' were passed over, such as 'README.md'" in lines[0]
    assert any("left out the events 'hover'" in line for line in lines)
    assert [str(finding) for finding in scored.findings] == lines
    assert "viewNumber" not in grown.rows and "view" in grown.rows


def test_options_of_score_that_are_for_days(grown: DayLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Schema.of(grown.prepare, {"visitorKnown": "number"}).save(tmp_path / "schema.json")
    Decision(calibration=Calibration(), threshold=0.5).save(tmp_path / "decision.json")
    folder, output = grown.folder / "log", tmp_path / "scores.csv"
    with pytest.raises(InputError, match="--since: expected a date such as 2024-05-31, got 'monday'"):
        score.main(tmp_path, folder, output=output, since="monday", memo=str(grown.folder / "memo"))
    with pytest.raises(InputError, match="--since and --memo are for a folder of days"):
        score.main(tmp_path, folder / "00.parquet", output=output, since="2020-01-01")
    with pytest.raises(InputError, match=r"encoder\.json|network\.keras"):  # there is no model
        score.main(tmp_path, folder / "00.parquet", output=output)
    assert "score: earlier visits are those in this file" in capsys.readouterr().err


def fail(*_: object, **__: object) -> None:
    raise AssertionError("made again")


def test_an_engine_may_write_folders_of_files_as_spark_does(grown: DayLog, tmp_path: Path) -> None:
    log = DayLog(tmp_path, **GLOBAL)
    for folder in ("memo", "log"):
        shutil.copytree(grown.folder / folder, tmp_path / folder, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "memo/states")  # otherwise nothing would be made of the parts
    for part in (tmp_path / "memo/parts").iterdir():
        for file in [*part.glob("*/0.parquet")]:
            content = file.read_bytes()
            file.unlink()
            file.mkdir()
            (file / "part-00000.parquet").write_bytes(content)
            (file / "_SUCCESS").touch()
        (part / "SHA256SUMS").unlink()
        write_checksums(part)
    assert log.run() == grown.run()


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.chmod(0o644)
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("damaged", "damage"),
    [
        ("parts/*/visits/*.parquet", flip_a_bit),
        ("parts/*/part.json", flip_a_bit),
        ("states/*/2*.parquet", flip_a_bit),
        ("parts/*/visits/*.parquet", Path.unlink),
        ("parts/*/moments", shutil.rmtree),
        ("parts/*/SHA256SUMS", Path.unlink),
    ],
)
def test_damage_to_the_memo_is_an_error_that_says_to_delete_it(
    grown: DayLog, tmp_path: Path, damaged: str, damage: Callable[[Path], None]
) -> None:
    log = DayLog(tmp_path, **GLOBAL)
    for folder in ("memo", "log"):
        shutil.copytree(grown.folder / folder, tmp_path / folder, dirs_exist_ok=True)
    if damaged.startswith("parts"):
        shutil.rmtree(tmp_path / "memo/states")  # otherwise nothing would be made of the parts
    for path in (tmp_path / "memo").glob(damaged):
        damage(path)
    with pytest.raises(InputError, match=r": damaged: .*; delete \S+/memo and try again$"):
        log.run()


def test_what_happens_later_changes_no_feature(tmp_path_factory: pytest.TempPathFactory) -> None:
    rng, log = random.Random(3), random_log(3, visitors=25)
    boundary = datetime(2020, 1, 1)
    past = [event for event in log if event["time"] < boundary]
    future = [event for event in log if event["time"] >= boundary]
    others = [
        event | {"event": rng.choice(["view", "add", "purchase"]), "time": event["time"] + timedelta(hours=5)}
        for event in future
        if rng.random() < 0.7
    ]
    tables = []
    for later in (future, others):
        folder = DayLog(tmp_path_factory.mktemp("leak"), session_ids="per_visitor")
        for number, events in enumerate((past, later)):
            folder.write(number, as_table(events))
        folder.run()
        rows = folder.rows
        scored = rows["time"] + pd.to_timedelta(rows["sessionTime"] + 1, "s")
        tables.append(rows[scored < boundary].drop(columns="Kauf").reset_index(drop=True))
    assert len(tables[0]) > 40 and tables[0]["view"].nunique() == 2
    pd.testing.assert_frame_equal(tables[0], tables[1])
