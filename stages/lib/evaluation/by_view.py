"""How good models are at each page view at which sessions are scored."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from stages.lib.evaluation.cluster_bootstrap import ClusterBootstrap


def metrics_by_view(
    targets: np.ndarray, probabilities: Mapping[str, np.ndarray], views: np.ndarray, visitors: np.ndarray
) -> list[dict[str, Any]]:
    """Figures of all models at each view.

    Args:
        targets: 0 or 1, of shape (rows,).
        probabilities: of a purchase by each model, of shape (rows,).
        views: the number of the page view that each row is scored at, (rows,).
        visitors: (rows,).

    Returns:
        For each view, ascending, `view`, its `rows` and `purchases`, and `models`, by name the figures of
        `ClusterBootstrap.with_intervals`; none where the rows are all of one class.
    """
    by_view = []
    for view in np.unique(views):
        at_view = views == view
        of_view = targets[at_view]
        figures = {}
        if len(np.unique(of_view)) == 2:
            inside = {name: values[at_view] for name, values in probabilities.items()}
            bootstrap = ClusterBootstrap(of_view, inside, visitors[at_view])
            figures = {name: bootstrap.with_intervals(name) for name in inside}
        counts = {"view": int(view), "rows": len(of_view), "purchases": int(of_view.sum())}
        by_view.append({**counts, "models": figures})
    return by_view
