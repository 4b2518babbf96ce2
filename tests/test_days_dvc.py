"""A folder of days under DVC: one more day is prepared alone, and every way to a set of days gives the same bytes."""

import json
import os
import shlex
import shutil
import signal
import time
from pathlib import Path

import documentation
import pandas as pd
import pyarrow.parquet as pq
import pytest
from checkout import LEAST, TINY, Checkout, Clone
from helpers import ROOT

from stages.lib.common.params import Params
from stages.lib.dataset.sessions import read_sessions
from stages.lib.evaluation.registry import MODELS
from stages.lib.simulation.click_log import simulate_log
from stages.simulate import by_day

pytestmark = pytest.mark.slow

SOURCE, SESSIONS = "data/days", "data/prepared/sessions.parquet"
DAYS = TINY | {"prepare.source": SOURCE, "prepare.clicks.days": "*.parquet"}


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The first eight days of a shop, each a file."""
    settings = Params.load(ROOT / "params.yaml").simulate
    shop = settings.model_copy(update={"sessions": 600, "purchases": 120, "days": 12})
    folder = tmp_path_factory.mktemp("days")
    for date, log in by_day(simulate_log(shop, 7)).items():
        pq.write_table(log, folder / f"{date}.parquet")
    return sorted(folder.iterdir())[:8]


def files(checkout: Checkout) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((checkout.folder / SESSIONS).iterdir())}


def add_days(checkout: Checkout, days: list[Path]) -> None:
    (checkout.folder / SOURCE).mkdir(parents=True, exist_ok=True)
    for day in days:
        shutil.copy(day, checkout.folder / SOURCE)
    checkout.dvc("add", SOURCE)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory, days: list[Path]) -> tuple[Checkout, list[dict[str, bytes]]]:
    """A repository with a commit of seven days and one of eight, pushed after each, and the sessions of both."""
    checkout = Checkout(tmp_path_factory.mktemp("history") / "checkout", **DAYS)
    storage = checkout.folder.parent / "storage"
    checkout.dvc("remote", "add", "--default", "storage", str(storage))
    tables = []
    for number, arrived in enumerate([days[:7], days[7:]], start=7):
        add_days(checkout, arrived)
        output = checkout.dvc("repro", "split")
        assert f"{len(arrived)} new of {number} parts" in output
        tables.append(files(checkout))
        checkout.commit(f"{number} days")
        checkout.dvc("push")
    return checkout, tables


def test_one_more_day_changes_that_day_and_sessions_that_span_midnight(
    history: tuple[Checkout, list[dict[str, bytes]]],
) -> None:
    seven, eight = history[1]
    changed = {name for name in eight if eight[name] != seven.get(name)}
    assert [*eight][-2] in changed and changed <= {*[*eight][-3:]}, changed  # the last name is what was left out


def test_only_new_parts_are_pushed(history: tuple[Checkout, list[dict[str, bytes]]]) -> None:
    checkout, (seven, eight) = history
    storage = {path.name for path in (checkout.folder.parent / "storage").rglob("*") if path.is_file()}
    old = [name for name in seven if eight[name] == seven[name]]
    new = [name for name in eight if name not in old]
    assert len(new) <= 3 and len(old) >= 5
    assert len(storage) < 2 * len(eight) + 30


def test_other_ways_to_the_same_days_give_the_same_bytes(
    history: tuple[Checkout, list[dict[str, bytes]]], days: list[Path], tmp_path: Path
) -> None:
    checkout, (seven, eight) = history
    # An older commit, and back
    checkout.git("checkout", "--quiet", "HEAD~1")
    checkout.dvc("checkout", SOURCE, "prepare", "split")
    assert files(checkout) == seven and json.loads(checkout.dvc("status", "--json", "split", "prepare")) == {}
    checkout.git("checkout", "--quiet", "main")
    checkout.dvc("checkout", SOURCE, "prepare", "split")
    assert files(checkout) == eight and json.loads(checkout.dvc("status", "--json", "split", "prepare")) == {}
    # The run cache, without outputs
    shutil.rmtree(checkout.folder / SESSIONS)
    assert "is cached - skipping run" in checkout.dvc("repro", "split")
    assert files(checkout) == eight
    # Without what prepare knows
    shutil.rmtree(checkout.folder / ".prepare")
    lock = checkout.file("dvc.lock")
    assert "8 new of 8 parts" in checkout.dvc("repro", "--force", "--single-item", "prepare")
    assert files(checkout) == eight and checkout.file("dvc.lock") == lock
    # A colleague who pulls, and adds nothing
    clone = Clone(checkout, tmp_path / "clone")
    clone.dvc("pull", SOURCE, SESSIONS)
    assert files(clone) == eight
    # A branch on which another day is missing
    clone.git("checkout", "--quiet", "-b", "other")
    (clone.folder / SOURCE / days[3].name).unlink()
    clone.dvc("add", SOURCE)
    clone.dvc("repro", "split")
    without = files(clone)
    assert f"{days[3].stem}.parquet" not in without
    add_days(clone, [days[3]])
    assert "1 new of 8 parts" in clone.dvc("repro", "split")
    assert files(clone) == eight


def test_split_reads_the_latest_days_only(history: tuple[Checkout, list[dict[str, bytes]]], tmp_path: Path) -> None:
    checkout, (_, eight) = history
    clone = Clone(checkout, tmp_path / "clone")
    clone.set_params(**DAYS | {"split.days": 3, "split.strategy": "temporal"})
    sessions = tmp_path / "sessions.parquet"
    shutil.copytree(checkout.folder / SESSIONS, sessions)
    for day in sorted(sessions.glob("*.parquet"))[:-3]:
        day.unlink()
        day.write_bytes(b"not read")
    names = ("train.parquet", "test.parquet", "targets.parquet", "data.json")
    ran = clone.run("python", "-m", "stages.split", str(sessions), *[str(tmp_path / name) for name in names])
    assert ran.returncode == 0, ran.stderr
    train, test = (pq.read_table(tmp_path / name)["time"].to_pandas() for name in names[:2])
    latest = sorted(eight)[-4]  # before it the older days, after it two more and what was left out
    assert f"{train.min().date()}.parquet" == latest and train.max() < test.min()
    left_out = json.loads((tmp_path / "data.json").read_text())["left_out"]
    days = {"what": f"left out the days before {train.min().date()}", "count": 5, "example": None, "hint": "split.days"}
    assert days in left_out


# The example of the docs --------------------------------------------

SHOP = {"simulate.sessions": 600, "simulate.purchases": 120, "simulate.days": 12, "simulate.daily": True}
VIEWS = [1, 3, 5]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkout, set[documentation.Command], str]:
    """A checkout in which the commands were run, these, and what they have printed.

    On the first morning no model is trained: on the second one all are, by the same command.
    """
    scored = {"prepare.clicks.score_at_views": VIEWS, "split.strategy": "temporal"}
    checkout = Checkout(tmp_path_factory.mktemp("example") / "shop", **DAYS | LEAST | SHOP | scored)
    # In order, with those that come twice
    (commands,) = [commands for commands in documentation.sections() if ("mkdir", "data/days") in commands]
    output, training = "", ("dvc", "repro", "evaluate")
    first = commands.index(training)
    assert training in commands[first + 1 :]
    for command in [*commands[:first], ("dvc", "repro", "split"), *commands[first + 1 :]]:
        # As a shell reads it, which replaces patterns
        line = " ".join(word if "[" in word else shlex.quote(word) for word in command)
        ran = checkout.run("bash", "-c", line)
        assert ran.returncode == 0, f"{line}: {ran.stdout}{ran.stderr}"
        output += ran.stdout
    return checkout, {*commands}, output


def test_the_example_of_the_docs(example: tuple[Checkout, set[documentation.Command], str]) -> None:
    checkout, executed, output = example
    assert not documentation.not_run("python -m stages.simulate data/nine_days", executed)
    assert [line for line in output.splitlines() if "new of" in line] == [
        f"{new} new of {parts} parts" for new, parts in ((7, 7), (1, 8), (0, 8))
    ]
    scores = pd.read_csv(checkout.folder / "scores.csv")
    assert {*scores["time"].str[:10]} == {"2015-01-08"} and not scores["session"].duplicated().any()


def test_every_model_predicts_and_is_evaluated_at_each_view(
    example: tuple[Checkout, set[documentation.Command], str],
) -> None:
    data = example[0].folder / "data"
    evaluation, test = example[0].json("metrics/evaluation.json"), read_sessions(data / "split/test_targets.parquet")
    views, targets = test.column("view"), test.column("target")
    assert [each["view"] for each in evaluation["by_view"]] == VIEWS
    for each in evaluation["by_view"]:
        assert each["rows"] == (views == each["view"]).sum()
        assert each["purchases"] == targets[views == each["view"]].sum()
        for model in MODELS:
            figures = each["models"][model.name]
            assert figures["auc_ci_low"] <= figures["auc"] <= figures["auc_ci_high"]
    for model in MODELS:
        predictions = read_sessions(data / f"predictions/{model.name}.parquet")
        assert (predictions.column("view") == views).all()
        assert (predictions.column("key") == test.column("key")).all()


def test_the_report_has_a_section_by_page_view(example: tuple[Checkout, set[documentation.Command], str]) -> None:
    for name in ("metrics/report.html", "metrics/summary.md", "MODEL_CARD.md"):
        document = example[0].file(name).decode()
        assert "By page view" in document and "worth acting on" in document and "DeLong" not in document


def test_a_killed_prepare_goes_on(history: tuple[Checkout, list[dict[str, bytes]]], tmp_path: Path) -> None:
    checkout, (_, eight) = history
    clone = Clone(checkout, tmp_path / "clone")
    shutil.copytree(checkout.folder / SOURCE, clone.folder / SOURCE)
    command = ("python", "-m", "stages.prepare", SOURCE, SESSIONS)
    process = clone.start(*command)
    time.sleep(4)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (clone.folder / SESSIONS).exists()
    ran = clone.run(*command)
    assert ran.returncode == 0, ran.stderr
    assert files(clone) == eight
