"""Split the sessions into training and test set; summarize the data and check it for leakage."""

import sys
from dataclasses import asdict
from pathlib import Path

from stages.lib.common.cli import run
from stages.lib.common.files import write_json
from stages.lib.common.params import Params
from stages.lib.dataset.day_files import read_latest, without_constant_features
from stages.lib.dataset.left_out import read_findings
from stages.lib.dataset.sessions import write_sessions
from stages.lib.dataset.splits import train_test_split
from stages.lib.profiling.leakage import count_duplicates, univariate_auc
from stages.lib.profiling.summary import summarize


def main(sessions: Path, train: Path, test: Path, test_targets: Path, data: Path) -> None:
    params = Params.load()
    settings = params.split
    rows, constant = without_constant_features(read_latest(sessions, settings.days))
    if constant:
        print(f"left out the features that are the same in every session: {', '.join(constant)}")
    train_idx, test_idx = train_test_split(rows, settings.strategy, settings.test_size, params.seed)
    train_set, test_set = rows.take(train_idx), rows.take(test_idx)
    aucs = univariate_auc(train_set.features, train_set.column("target").to_numpy())
    suspects = aucs[aucs > settings.leakage_auc].sort_values(ascending=False, kind="stable").round(6).to_dict()
    duplicates = count_duplicates(train_set.frame("feature", "target"), test_set.frame("feature", "target"))
    write_sessions(train, train_set)
    # Targets are in a file of their own, so that dvc.yaml shows which stage can read them: only evaluate.
    write_sessions(test, test_set.select("key", "visitor", "time", "view", "feature"))
    # The visitor tells which rows of several page views belong together.
    several_views = ("visitor", "view") if test_set.names("view") else ()
    write_sessions(test_targets, test_set.select("key", *several_views, "target"))
    summary = {
        **summarize(rows),
        "train_rows": len(train_set),
        "test_rows": len(test_set),
        "duplicates_across": duplicates,
        "split_strategy": settings.strategy,
    }
    findings = [asdict(finding) for finding in read_findings(rows.table.schema)]
    optional = {"suspects": suspects, "left_out": findings}
    write_json(data, summary | {name: content for name, content in optional.items() if content})
    print(f"{len(train_set)} rows in the training set, {len(test_set)} in the test set")
    if duplicates:
        print(f"{duplicates} test rows are duplicates of training rows, in all features and the target")
    for name, auc in suspects.items():
        print(
            f"split: column '{name}' has an AUC of {auc:.2f} by itself on the training set: is it known while the "
            f"session is running? If not, leave it out: prepare.drop: [{name}]",
            file=sys.stderr,
        )


if __name__ == "__main__":
    run(main)
