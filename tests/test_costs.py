"""With costs, a threshold is where a contact begins to pay, and decisions are evaluated by their profit."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import RunStage, WriteParams, as_sessions, sessions_frame
from scipy.special import expit, logit
from scipy.stats import bootstrap

from stages.lib.common.params import Costs
from stages.lib.dataset.sessions import read_sessions, write_sessions
from stages.lib.evaluation.profit import profit_metrics
from stages.lib.modeling.decision import Decision, choose_threshold_by_costs, decide

COSTS = Costs(contact=1.0, missed_purchase=20.0)


def true_probabilities(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Targets, and the probabilities that they were drawn with."""
    rng = np.random.default_rng(seed)
    true = expit(rng.normal(-3, 1.2, rows))
    return (rng.random(rows) < true).astype(np.int64), true


def profit(targets: np.ndarray, decisions: np.ndarray, costs: Costs = COSTS) -> float:
    return costs.missed_purchase * int(targets[decisions].sum()) - costs.contact * int(decisions.sum())


# The threshold ----------------------------------------------------


@pytest.mark.parametrize("missed_purchase", [5.0, 20.0, 50.0])
@pytest.mark.parametrize(("slope", "shift"), [(1.0, 0.0), (0.6, 2.5)], ids=["calibrated", "as after oversampling"])
def test_a_row_is_contacted_where_its_true_probability_pays(missed_purchase: float, slope: float, shift: float) -> None:
    targets, true = true_probabilities(50_000)
    costs = Costs(contact=1.0, missed_purchase=missed_purchase)
    predicted = expit(slope * logit(true) + shift)
    threshold = choose_threshold_by_costs(targets, predicted, costs)
    assert threshold == pytest.approx(expit(slope * logit(1 / missed_purchase) + shift), rel=0.08)
    assert np.mean(decide(predicted, threshold) == (true >= 1 / missed_purchase)) > 0.98


@pytest.mark.parametrize("seed", range(5))
def test_the_threshold_is_worth_no_less_than_contacting_all_or_nobody(seed: int) -> None:
    targets, true = true_probabilities(60, seed)
    predicted = np.random.default_rng(seed).permutation(true)  # a model that knows nothing
    decisions = decide(predicted, choose_threshold_by_costs(targets, predicted, COSTS))
    assert profit(targets, decisions) >= max(0, profit(targets, np.ones(60, bool)))


@pytest.mark.parametrize(("missed_purchase", "contacted"), [(3.0, False), (5.0, False), (8.0, True)])
def test_without_a_useful_model_all_or_nobody_are_contacted(missed_purchase: float, contacted: bool) -> None:
    # A fifth of the rows buy. With 5, contacting all earns nothing either: the fewest contacts win.
    targets, costs = np.tile([1, 0, 0, 0, 0], 20), Costs(contact=1.0, missed_purchase=missed_purchase)
    threshold = choose_threshold_by_costs(targets, np.full(100, 0.3, np.float32), costs)
    assert decide(np.array([0.3, 1.0], np.float32), threshold).tolist() == [contacted] * 2


def test_all_are_contacted_if_the_line_would_leave_out_rows_that_pay() -> None:
    # Of the lowest and the middle third, 16% buy, of the highest 90%: no line goes through all three.
    targets = np.concatenate([np.arange(100) < buying for buying in (16, 16, 90)]).astype(np.int64)
    costs = Costs(contact=1.0, missed_purchase=1 / 0.15)
    threshold = choose_threshold_by_costs(targets, np.repeat([0.01, 0.5, 0.9], 100), costs)
    assert decide(np.zeros(1, np.float32), threshold).all()


def test_without_validation_rows_the_threshold_is_where_a_contact_breaks_even() -> None:
    decision = Decision.fit("none", np.empty(0, int), np.empty(0, np.float32), COSTS)
    assert decision.threshold == 1 / 20 and decision.costs == COSTS


def test_a_saved_decision_names_the_costs_that_it_was_made_for(tmp_path: Path) -> None:
    targets, true = true_probabilities(500)
    decision, path = Decision.fit("isotonic", targets, true, COSTS), tmp_path / "decision.json"
    decision.save(path)
    assert Decision.load(path) == decision
    assert json.loads(path.read_bytes())["costs"] == {"contact": 1.0, "missed_purchase": 20.0}
    Decision.fit("none", targets, true).save(path)
    assert set(json.loads(path.read_bytes())) == {"calibration", "threshold"}


def test_stages_choose_thresholds_by_the_costs_in_params(run_stage: RunStage, write_params: WriteParams) -> None:
    costs = Costs(contact=1.0, missed_purchase=3.0)
    changes = {"decision.costs": costs.model_dump(), "validation.folds": 2, "train_reference.trees.max_iter": 5}
    write_params(**changes)
    train, test = (as_sessions(sessions_frame(rows), buys="target") for rows in (300, 40))
    write_sessions(Path("train.parquet"), train)
    write_sessions(Path("test.parquet"), test.select("feature"))
    result = run_stage("train_reference", "train.parquet", "test.parquet", "predictions", "oof", "models/trees")
    assert result.code == 0, result.err
    for folder in ("predictions", "oof"):
        shutil.copy(f"{folder}/trees.parquet", f"{folder}/strong.parquet")
    shutil.copytree("models/trees", "models/strong")
    result = run_stage("blend", "oof", "predictions", "models")
    assert result.code == 0, result.err
    for name in ("logistic", "trees", "blend"):
        oof = read_sessions(Path(f"oof/{name}.parquet"))
        targets, predicted = (oof.column(role).to_numpy() for role in ("target", "probability"))
        decision = read_sessions(Path(f"predictions/{name}.parquet")).select("decision").table.schema[0]
        threshold = float(decision.metadata[b"threshold"])
        assert threshold == choose_threshold_by_costs(targets, predicted, costs)
        if name != "logistic":
            saved = Decision.load(Path(f"models/{name}/decision.json"))
            assert (saved.threshold, saved.costs) == (threshold, costs)


# Its profit -------------------------------------------------------


def metrics(targets: np.ndarray, predicted: np.ndarray, clusters: Sequence[int] | np.ndarray) -> dict[str, Any]:
    decisions = {"model": predicted >= 0.1}
    costs = COSTS.model_dump()
    return profit_metrics(targets, {"model": predicted}, decisions, np.array(clusters), **costs)["model"]


def test_profits_are_those_of_the_decisions_and_of_the_rows_ranked_highest() -> None:
    targets, predicted = true_probabilities(1000)
    figures = metrics(targets, predicted, range(1000))
    assert figures["share"] == np.mean(predicted >= 0.1)
    assert figures["profit"] == pytest.approx(profit(targets, predicted >= 0.1))
    ranked = targets[np.argsort(-predicted)]
    for share, value in zip(figures["curve"]["share"], figures["curve"]["profit"], strict=True):
        top = round(share * 1000)
        assert value == pytest.approx(20 * ranked[:top].sum() - top)


def test_intervals_are_those_of_another_bootstrap() -> None:
    targets, predicted = true_probabilities(2000)
    figures = metrics(targets, predicted, range(2000))
    values = 1000 * (20.0 * targets - 1) * (predicted >= 0.1)
    expected = bootstrap((values,), np.mean, n_resamples=2000, method="percentile", rng=1, batch=100)
    width = expected.confidence_interval.high - expected.confidence_interval.low
    ends = [figures["ci_low"], figures["ci_high"]]
    np.testing.assert_allclose(ends, [*expected.confidence_interval], atol=0.08 * width)


def test_rows_of_a_visitor_make_an_interval_wider() -> None:
    targets, predicted = true_probabilities(500)
    alone = metrics(targets, predicted, range(500))
    copies = metrics(np.repeat(targets, 4), np.repeat(predicted, 4), np.repeat(np.arange(500), 4))
    assert copies["profit"] == pytest.approx(alone["profit"])
    assert [copies[key] for key in ("ci_low", "ci_high")] == pytest.approx([alone["ci_low"], alone["ci_high"]])
    assert copies["curve"]["ci_low"][-1] == pytest.approx(alone["curve"]["ci_low"][-1])
