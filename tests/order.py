"""The order of test files in several processes, each of which takes the next file: the longest ones come first.

Else one process would be left with a long file at the end while the others have nothing to do.
"""

import pytest

# All that take more than 15 seconds. The first builds the pipeline, which the second does not need.
LONGEST = (
    *("test_branches", "test_days", "test_faults", "test_days_dvc", "test_cluster_grid", "test_engines", "test_grid"),
    *("test_remotes", "test_fuzz", "test_benchmarks", "test_own_data", "test_fit", "test_ensembles", "test_score"),
    *("test_out_of_core", "test_several_views", "test_tracker_logs", "test_values", "test_dvc_display"),
    *("test_pipeline", "test_documentation", "test_export", "test_wide_tables", "test_contributing"),
    *("test_training_leakage", "test_workflows", "test_security", "test_tooling", "test_model"),
    *("test_bad_columns", "test_left_out_columns", "test_feature_leakage", "test_report_by_view"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ranks = {name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path.stem, len(ranks)))
