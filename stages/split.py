"""Hold out the test part, fit the encoder on what stays, and say what the data is and where it may leak."""

import sys
from pathlib import Path

from stages.lib import encoding, leaks, params, stage, table
from stages.lib.facts import facts
from stages.lib.files import write_json
from stages.lib.splitting import hold_out


def main(sessions: Path, train: Path, test: Path, test_targets: Path, encoder: Path, data: Path) -> None:
    settings, encoded, seed = params.load("split", "train_base.encoding", "seed")
    rows = table.read(sessions)
    stay, held = hold_out(rows, settings.by, settings.test_share, seed)
    trained, tested = rows.take(stay), rows.take(held)
    features = trained.features
    fitted = encoding.fit(features, encoded)
    told = leaks.alone(features, trained.column("target").to_numpy()).sort_values(ascending=False, kind="stable")
    suspects = told[told > settings.leak_limit].round(6).to_dict()
    duplicates = leaks.duplicates(*(side.frame("feature", "target") for side in (trained, tested)))
    found = {
        **facts(rows),
        "inputs": len(fitted.names),
        "train_rows": len(trained),
        "test_rows": len(tested),
        "duplicates_across": duplicates,
        "split_by": settings.by,
    }
    table.write(train, trained)
    # Apart from the targets, so that dvc.yaml shows who can see them: evaluate, and nobody else.
    table.write(test, tested.only("key", "visitor", "time", "feature"))
    table.write(test_targets, tested.only("key", "target"))
    fitted.save(encoder)
    write_json(data, found | ({"suspects": suspects} if suspects else {}))
    print(f"{len(trained)} train and {len(tested)} test rows, {len(fitted.names)} inputs")
    if duplicates:
        print(f"{duplicates} of the test rows equal a training row in all features and the target")
    for name, auc in suspects.items():
        print(
            f"split: '{name}' alone reaches an AUC of {auc:.2f} on the training rows: does anybody know it while the "
            f"session is running? If not, leave it out with prepare.drop: [{name}]",
            file=sys.stderr,
        )


if __name__ == "__main__":
    stage.run(main)
