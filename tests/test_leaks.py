"""Nothing that training makes knows a test row, a later event or a target; what the data itself gives away is said."""

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from helpers import ROOT, RunStage, WriteParams, as_sessions, sessions_frame, standard
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import TargetEncoder

from stages.lib.common.params import load
from stages.lib.dataset.sessions import read_sessions, write_sessions
from stages.lib.dataset.splits import train_test_split
from stages.lib.modeling.cross_validation import cross_validate
from stages.lib.modeling.encoder import Encoder, fit_encoder
from stages.lib.oversampling import oversample
from stages.lib.profiling.leakage import FOLDS, PRIOR_ROWS, _folds, count_duplicates, univariate_auc

SHARED = Path(__file__).parents[2] / "shared" / "data"
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
PREPARED = "data/prepared/sessions.parquet"

# What each column reaches alone -----------------------------------


def reached(values, targets) -> float:
    return univariate_auc(pd.DataFrame({"column": values}), np.asarray(targets))["column"]


@pytest.mark.parametrize("seed", range(6))
def test_a_number_reaches_scikit_learn_s_auc_in_the_better_direction(seed) -> None:
    random = np.random.default_rng(seed)
    targets = random.random(500) < 0.2
    values = np.round(random.normal(size=500) + random.choice([-1, 0, 1]) * targets, 1)
    values[random.random(500) < random.choice([0, 0.1, 0.4]) * (1 + targets) / 2] = np.nan
    lowest, highest = (roc_auc_score(targets, np.nan_to_num(values, nan=end)) for end in (-99, 99))
    assert reached(values, targets.astype(int)) == pytest.approx(max(lowest, highest, 1 - lowest, 1 - highest))


def test_a_number_s_auc_is_the_share_of_pairs_in_order() -> None:
    values, targets = [3, 1, 3, 2, 5, np.nan], [1, 0, 0, 1, 0, 1]
    low = [value if value == value else -9 for value in values]
    pairs = [(low[one], low[other]) for one in range(6) for other in range(6) if targets[one] > targets[other]]
    won = sum(one < other or (one == other) / 2 for one, other in pairs) / len(pairs)
    assert reached(values, targets) == won == 6.5 / 9


@pytest.mark.parametrize("seed", range(3))
def test_a_category_reaches_what_scikit_learn_s_encoding_fitted_on_other_folds_does(seed) -> None:
    random = np.random.default_rng(seed)
    levels = random.geometric(0.1, 1000).astype(str)
    targets = (random.random(1000) < random.choice([0.1, 0.2, 0.4], 99)[levels.astype(int)]).astype(int)
    folds, won, pairs = _folds(targets), 0, 0
    for fold in range(FOLDS):
        own = folds == fold
        encoder = TargetEncoder(smooth=PRIOR_ROWS).fit(levels[~own, None], targets[~own])
        weight = targets[own].sum() * (1 - targets[own]).sum()
        won += weight * roc_auc_score(targets[own], encoder.transform(levels[own, None])[:, 0])
        pairs += weight
    assert reached(levels, targets) == pytest.approx(won / pairs, abs=1e-4)


def test_folds_are_of_one_size_and_one_rate() -> None:
    targets = (np.random.default_rng(0).random(1003) < 0.1).astype(int)
    folds = _folds(targets)
    for label in (0, 1):
        assert np.ptp(np.bincount(folds[targets == label], minlength=FOLDS)) <= 1
    assert (_folds(targets) == folds).all()


@pytest.mark.parametrize("rows_a_level", [1, 2, 3, 10, 2000])
def test_a_category_that_tells_nothing_is_no_leak_however_rare_its_levels(rows_a_level) -> None:
    random = np.random.default_rng(3)
    targets = (random.random(4000) < 0.3).astype(int)
    levels = [f"level {number // rows_a_level}" for number in random.permutation(4000)]
    assert abs(reached(levels, targets) - 0.5) < 4 * chance(targets)


def test_a_category_tells_by_its_missing_values_too() -> None:
    targets = np.arange(200) % 4 == 0
    assert reached(np.where(targets, None, "a"), targets.astype(int)) == 1
    assert reached(np.where(targets, "b", "a"), targets.astype(int)) == 1


def test_columns_that_say_nothing_or_all() -> None:
    targets = np.arange(90) % 3 == 0
    frame = pd.DataFrame({"same": 7, "none": np.nan, "one": "a", "less": -1.0 * targets, "more": 2 * targets})
    assert univariate_auc(frame, targets.astype(int)).to_dict() == {
        "same": 0.5,
        "none": 0.5,
        "one": 0.5,
        "less": 1,
        "more": 1,
    }
    assert reached(list("ab" * 45), np.arange(90) == 0) == 0.5  # with one purchase there are no others to judge it by


def chance(targets: np.ndarray) -> float:
    """The standard error of an AUC where nothing can be told, without ties (Hanley & McNeil 1982, Radiology 143:29)."""
    purchases, others = int(targets.sum()), int(len(targets) - targets.sum())
    return math.sqrt((purchases + others + 1) / (12 * purchases * others))


# Rows on both sides -----------------------------------------------


def test_duplicates_are_the_test_rows_that_equal_any_training_row() -> None:
    random = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "number": random.choice([-0.0, 0.0, 1.5, np.nan], 300),
            "whole": random.integers(3, size=300),
            "text": random.choice(np.array(["a", "b", "", "nan", None], object), 300),
            "buys": random.integers(2, size=300),
        }
    )
    train, test = frame[:40], frame[40:]
    known = {tuple(row) for row in train.replace({np.nan: None}).itertuples(index=False)}
    expected = sum(tuple(row) in known for row in test.replace({np.nan: None}).itertuples(index=False))
    assert 20 < expected < 240
    # A column of whole numbers is one of floats on the side where a value is missing.
    assert count_duplicates(train.astype({"whole": float}), test) == count_duplicates(train, test) == expected


def test_test_rows_that_stand_among_the_training_rows_are_counted_and_said(
    run_stage: RunStage, write_params: WriteParams
) -> None:
    write_params()
    frame = sessions_frame(200).assign(place=range(200))
    stay, held = train_test_split(as_sessions(frame, buys="target"), "target", 0.2, seed=42)
    said = "of the test rows equal a training row in all features and the target"
    assert said not in split(run_stage, frame).out and data()["duplicates_across"] == 0
    bought, not_bought = held[frame.buys[held] == 1], held[frame.buys[held] == 0]
    frame.loc[bought[:3]] = frame.loc[stay[frame.buys[stay] == 1][0]].to_numpy()
    frame.loc[not_bought[0]] = {**frame.loc[bought[0]], "buys": 0}  # equal but for the target
    assert f"3 {said}" in split(run_stage, frame).out and data()["duplicates_across"] == 3


def split(run_stage, frame: pd.DataFrame, **roles: str):
    write_sessions(Path(PREPARED), as_sessions(frame, buys="target", **roles))
    return run(run_stage, "split")


def data() -> dict:
    return json.loads(Path("metrics/data.json").read_text())


def run(run_stage, name: str):
    """The stage with the paths that dvc.yaml gives it."""
    ran = run_stage(name, *PIPELINE[name]["cmd"].split()[3:])
    assert ran.code == 0, ran.err
    return ran


# Columns that know the outcome ------------------------------------

REAL = {
    "PageValues": (
        "online_shoppers_intention.csv",
        {"target": "Revenue", "categories": ["OperatingSystems", "Browser", "Region", "TrafficType"]},
    ),
    "duration": ("bank_full.csv", {"target": "y", "missing": ["", "unknown"]}),
}


@pytest.mark.skipif(
    not SHARED.is_dir(), reason=f"the real tables are not here: no folder {SHARED.name} beside the checkout"
)
@pytest.mark.parametrize("column", REAL)
def test_the_column_that_gives_a_real_table_away_is_named_and_no_other(
    column, run_stage: RunStage, write_params: WriteParams
) -> None:
    name, settings = REAL[column]
    for drop, suspects in (([], [column]), ([column], [])):
        settings = {"kind": "sessions", **settings, "drop": drop}
        write_params(**{f"prepare.{key}": value for key, value in settings.items()})
        assert run_stage("prepare", SHARED / name, PREPARED).code == 0
        ran = run(run_stage, "split")
        said = data().get("suspects", {})
        assert [*said] == suspects
        assert [line.split("'")[1] for line in ran.err.splitlines()] == suspects
        for auc in said.values():
            assert f"split: '{column}' alone reaches an AUC of {auc:.2f} on the training rows" in ran.err
            assert f"prepare.drop: [{column}]" in ran.err


def test_the_default_data_has_no_suspects(run_stage: RunStage, write_params: WriteParams) -> None:
    shop(run_stage, write_params, sessions=3000)
    prepared(run_stage, "clicks.parquet")
    ran = run(run_stage, "split")
    assert not ran.err and "suspects" not in data()


def shop(run_stage, write_params, sessions: int) -> pd.DataFrame:
    """The click log of the simulated shop, which is in clicks.parquet then."""
    write_params(**{"simulate.sessions": sessions, "simulate.purchases": sessions // 12})
    assert run_stage("simulate", "clicks.parquet").code == 0
    return pq.read_table("clicks.parquet").to_pandas()


def prepared(run_stage, source: str | Path) -> pd.DataFrame:
    ran = run_stage("prepare", source, PREPARED)
    assert ran.code == 0, ran.err
    return read_sessions(Path(PREPARED)).table.to_pandas()


# Events after the scored page view --------------------------------


def altered(later: pd.DataFrame) -> pd.DataFrame:
    """Each event of another kind, with another's page and browser, and absurd numbers."""
    kinds = np.random.default_rng(0).choice(["view", "click", "scroll", "tab", "add", "remove"], len(later))
    others = later[["page", "page_type", "browser"]].sample(frac=1, random_state=0).set_axis(later.index)
    numbers = 1000 + later[["price", "quantity", "checkout_step", "window_width", "tab_visible"]].fillna(0)
    return later.assign(**others, **numbers, event=kinds)


def bought(later: pd.DataFrame) -> pd.DataFrame:
    """A purchase right after the scored view."""
    first = later.drop_duplicates(["visitor", "scored"])
    return pd.concat([later, first.assign(time=first.now + SECOND / 1000, event="purchase")])


SECOND = pd.Timedelta(seconds=1)
# What becomes of the events after each session's scored view, at `now`.
LATER = {
    "as they were": lambda later: later,
    "none": lambda later: later[:0],
    "put off": lambda later: later.assign(time=later.time + np.arange(1, len(later) + 1) % 9999 * SECOND),
    "twice": lambda later: pd.concat([later, later]),
    "altered": altered,
    "a purchase": bought,
}


def test_no_feature_of_any_session_knows_what_comes_after_its_scored_view(
    run_stage: RunStage, write_params: WriteParams
) -> None:
    log = shop(run_stage, write_params, sessions=300)
    views = log[log.event == "view"]
    scored = views[views.groupby("session").cumcount() == 2][["visitor", "session", "time"]]
    # The visitor's whole log once for each scored session, so that each keeps its own past while its end changes.
    events = scored.set_axis(["visitor", "scored", "now"], axis=1).merge(log, on="visitor")
    is_later = (events.session == events.scored) & (events.time > events.now)
    copies = [
        pd.concat([events[~is_later], change(events[is_later])]).assign(change=name) for name, change in LATER.items()
    ]
    log = pd.concat(copies, ignore_index=True)
    log["visitor"] = log.visitor.astype(str) + "/" + log.scored.astype(str) + "/" + log.change
    log.drop(columns=["scored", "now", "change"]).to_parquet("copies.parquet")
    sessions = prepared(run_stage, "copies.parquet")
    sessions[["visitor", "scored", "change"]] = sessions.visitor.str.split("/", expand=True)
    sessions = sessions[sessions.session.astype(str) == sessions.scored].set_index(["visitor", "scored"])
    by_change = {name: rows.drop(columns="change") for name, rows in sessions.groupby("change")}
    purchases = {name: rows.pop("Kauf").sum() for name, rows in by_change.items()}
    assert len(by_change["as they were"]) == 300
    assert (purchases["none"], purchases["as they were"]) == (0, 25) and purchases["a purchase"] > 250
    for rows in by_change.values():
        pd.testing.assert_frame_equal(rows, by_change["as they were"], check_exact=True)


# Test rows --------------------------------------------------------

# Every stage that fits something, in order; what each is run with and what it writes is read from dvc.yaml.
FITTING = ("split", "train_base", "grid_search", "smote_train", "train_strong", "train_reference")
# What holds test rows, or tells of them, and may change with them.
OF_TEST_ROWS = ("data/split/test.parquet", "data/split/test_targets.parquet", "data/predictions/", "metrics/data.json")
SMALL = {
    "train_base.network.layers": [6],
    "train_base.training.epochs": 2,
    "train_base.training.learning_rate": 0.01,
    "train_base.validation_split": 0.2,
    "grid_search.grid": {"learning_rate": [0.003, 0.03]},
    "grid_search.folds": 2,
    "validation.folds": 2,
    "validation.calibration": "isotonic",
    "train_strong.network.layers": [6],
    "train_strong.network.ensemble_size": 2,
    "train_reference.trees.max_iter": 5,
}


@pytest.fixture
def in_one_process(monkeypatch: pytest.MonkeyPatch):
    """No worker processes for the grid, which would load TensorFlow anew."""
    monkeypatch.setattr("joblib.cpu_count", lambda: 1)


def outs(name: str) -> Iterator[str]:
    for out in PIPELINE[name].get("outs", []) + PIPELINE[name].get("metrics", []):
        yield out if isinstance(out, str) else next(iter(out))


def fitted() -> dict[str, bytes]:
    """The bytes of each file that the fitting stages have made and that no test row may change."""
    kept = [Path(out) for name in FITTING for out in outs(name) if not out.startswith(OF_TEST_ROWS)]
    files = [path for out in kept for path in ([out] if out.is_file() else out.rglob("*")) if path.is_file()]
    assert all(any(path.is_relative_to(out) for path in files) for out in kept)
    return {str(path): path.read_bytes() for path in files}


def predictions() -> dict[str, pa.Table]:
    return {str(path): pq.read_table(path) for path in sorted(Path("data/predictions").iterdir())}


def poisoned(frame: pd.DataFrame, rows: np.ndarray) -> pd.DataFrame:
    """`frame` with absurd features in `rows`, a third of them missing; the other rows as they were."""
    absurd = {"pages": 10**12, "seconds": -1e12, "browser": "unheard of"}
    frame = frame.astype({"pages": "Int64"})  # so that whole numbers stay some where one is missing
    for name, value in absurd.items():
        frame.loc[rows[::3], name] = None
        frame.loc[np.delete(rows, np.s_[::3]), name] = value
    return frame


@pytest.mark.slow
def test_absurd_test_rows_change_predictions_and_nothing_that_was_fitted(
    run_stage: RunStage, write_params: WriteParams, in_one_process
) -> None:
    write_params(**SMALL)
    frame = sessions_frame(300).assign(id=range(300))
    _, held = train_test_split(as_sessions(frame, buys="target"), "target", 0.2, seed=42)
    made, predicted, suspects = [], [], []
    for rows in (frame, poisoned(frame, held)):
        split(run_stage, rows, id="key")
        for name in FITTING[1:]:
            run(run_stage, name)
        made.append(fitted())
        predicted.append(predictions())
        suspects.append(data().get("suspects"))
    assert made[0] == made[1]
    assert suspects[0] == suspects[1]
    assert len(predicted[0]) == 6
    for before, after in zip(predicted[0].values(), predicted[1].values(), strict=True):
        # The schema holds the threshold of decisions, which is fitted too.
        assert before.schema.equals(after.schema, check_metadata=True)
        changed = before["probability"].to_numpy() != after["probability"].to_numpy()
        assert changed.mean() > 0.5


# Targets ----------------------------------------------------------


@pytest.mark.slow
def test_from_shuffled_targets_nothing_is_learnt(run_stage: RunStage, write_params: WriteParams) -> None:
    write_params(**SMALL | {"train_base.training.epochs": 5})
    frame = sessions_frame(1500)
    shuffled = frame.assign(buys=np.random.default_rng(4).permutation(frame.buys))
    aucs = []
    for rows in (frame, shuffled):
        split(run_stage, rows)
        run(run_stage, "train_base")
        targets = read_sessions(Path("data/split/test_targets.parquet")).column("target").to_numpy()
        aucs.append(roc_auc_score(targets, predictions()["data/predictions/base.parquet"]["probability"].to_numpy()))
    assert aucs[0] > 0.5 + 5 * chance(targets)
    assert abs(aucs[1] - 0.5) < 1.96 * chance(targets)


# Made-up rows -----------------------------------------------------


def places(rows: np.ndarray, encoder: Encoder) -> np.ndarray:
    """The first column, a place among all rows, back from codes or inputs; between two places for a made-up row."""
    return np.round(rows[:, 0] * encoder.numeric[0].scale + encoder.numeric[0].mean, 2)


@pytest.mark.parametrize("by", ["target", "visitor"])
def test_smote_is_given_training_rows_and_judged_by_real_ones_it_never_saw(by, monkeypatch: pytest.MonkeyPatch) -> None:
    from stages.lib.modeling import model

    frame = sessions_frame(200)
    frame.insert(0, "place", np.random.default_rng(0).permutation(200))
    frame["visitor"] = frame.place % 60
    sessions = as_sessions(frame, buys="target", visitor="visitor")
    base, smote = load("train_base", "smote_train", path=ROOT / "params.yaml")
    base = base.with_point({"layers": [3], "epochs": 1}).model_copy(update={"validation_split": 0.25})
    given, fits = [], []

    def resample(features, targets, encoder, repeat):
        made = oversample(features, targets, encoder, repeat, settings=smote)
        given.append((encoder, features["place"], made[0]))
        return made

    def fit(network, inputs, targets, settings, **others):
        fits.append((*given[-1], inputs, others.get("validation_data")))
        return original(network, inputs, targets, settings, **others)

    original = model.fit
    monkeypatch.setattr(model, "fit", fit)
    model.train_model(sessions, fit_encoder(sessions.features, standard()), base, by, 1, resample)
    parts = []
    cross_validate(
        lambda rows, fitted: model.train_model(rows, fitted, base, by, 1, resample)[0],
        sessions,
        standard(),
        by,
        3,
        seed=1,
        look=lambda one, part: parts.append({*part.features["place"]}) or pd.Series(dtype=float),
    )
    for (_, trained, _), held in zip(given[1:], parts, strict=True):
        assert not {*trained} & held
    bought = dict(zip(frame.place, frame.buys, strict=True))
    for encoder, trained, made, inputs, validation in fits:
        assert inputs is made and len(made) > len(trained) and {*trained} <= {*bought}
        if validation:
            held = places(validation[0], encoder)
            assert len({*held}) == len(held) and {*held} <= {*bought} - {*trained}
            assert [bought[place] for place in held] == validation[1].tolist()
    assert any(validation for *_, validation in fits)
