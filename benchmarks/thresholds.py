"""The profit of thresholds that are chosen on a sample of validation rows, on rows that have no say in the choice.

    python -m benchmarks.thresholds

Validation rows and test rows are drawn from the out-of-fold predictions of the pipeline in this folder, again in each
repetition. A contact costs 1, a missed purchase as much as the table says. `break-even` takes contact / missed_purchase
as the threshold of the probabilities as they are; `highest profit` takes the threshold that is best on the validation
rows; `line` is what the pipeline does.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from stages.lib.common.params import Costs
from stages.lib.dataset.sessions import read_sessions
from stages.lib.evaluation.cluster_bootstrap import Ranking
from stages.lib.modeling.decision import NOBODY, break_even, choose_threshold_by_costs, decide

OUT_OF_FOLD = Path("data/out_of_fold")
MODELS = ("base", "smote", "strong", "trees")
VALIDATION_ROWS = (500, 2000, 8000, 20000)
MISSED_PURCHASES = (10.0, 20.0, 50.0)
REPEATS = 100

Choose = Callable[[np.ndarray, np.ndarray, Costs], float]


def main() -> None:
    for name in MODELS:
        rows = read_sessions(OUT_OF_FOLD / f"{name}.parquet")
        targets, probabilities = (rows.column(role).to_numpy() for role in ("target", "probability"))
        table = compare_rules(targets, probabilities, VALIDATION_ROWS, MISSED_PURCHASES, REPEATS)
        print(f"{name}\n{table.round(1).to_string(index=False)}", flush=True)


def compare_rules(
    targets: np.ndarray,
    probabilities: np.ndarray,
    validation_rows: tuple[int, ...],
    missed_purchases: tuple[float, ...],
    repeats: int,
) -> pd.DataFrame:
    """Mean profits per 1,000 test rows.

    Args:
        targets: 0 or 1, of shape (rows,).
        probabilities: (rows,).
        validation_rows: sizes of samples; the test rows are those that the largest leaves over.
        missed_purchases: what a missed purchase costs.
        repeats: how many samples are drawn.

    Returns:
        A row for each cost and size, with the mean profit by each rule, and the mean and the standard error of the
        paired difference between `line` and `highest profit`.
    """
    results = []
    for missed_purchase in missed_purchases:
        costs = Costs(contact=1.0, missed_purchase=missed_purchase)
        value = 1000 * (missed_purchase * targets - 1)
        for n_rows in validation_rows:
            profits = []
            for seed in range(repeats):
                order = np.random.default_rng(seed).permutation(len(targets))
                val, test = order[:n_rows], order[max(validation_rows) :]
                thresholds = [choose(targets[val], probabilities[val], costs) for choose in RULES.values()]
                profits.append([value[test][decide(probabilities[test], one)].sum() / len(test) for one in thresholds])
            by_rule = pd.DataFrame(profits, columns=list(RULES))
            difference = by_rule["line"] - by_rule["highest profit"]
            spread = {"difference": difference.mean(), "standard error": difference.sem()}
            results.append({"missed": missed_purchase, "rows": n_rows, **by_rule.mean(), **spread})
    return pd.DataFrame(results)


def highest_profit(targets: np.ndarray, probabilities: np.ndarray, costs: Costs) -> float:
    """The threshold of the highest profit on these rows, halfway between two probabilities."""
    ranking = Ranking.of(targets, probabilities.astype(np.float64))
    rows, purchases = (counts.cumsum() for counts in ranking.counts(np.ones(len(targets))))
    profits = costs.missed_purchase * purchases - costs.contact * rows
    best = int(profits.argmax())
    scores = np.append(probabilities.astype(np.float64)[ranking.order][ranking.starts], 0.0)
    return float((scores[best] + scores[best + 1]) / 2) if profits[best] > 0 else NOBODY


RULES: dict[str, Choose] = {
    "break-even": lambda targets, probabilities, costs: break_even(costs),
    "highest profit": highest_profit,
    "line": choose_threshold_by_costs,
}


if __name__ == "__main__":
    main()
