"""Hold out the test part, and fit the encoder on what stays."""

from pathlib import Path

from stages.lib import encoding, params, stage, table
from stages.lib.splitting import hold_out


def main(sessions: Path, train: Path, test: Path, test_targets: Path, encoder: Path) -> None:
    settings, seed = params.load("split", "seed")
    rows = table.read(sessions)
    stay, held = hold_out(rows, settings.by, settings.test_share, seed)
    trained, tested = rows.take(stay), rows.take(held)
    fitted = encoding.fit(trained.features, settings.rare_share)
    table.write(train, trained)
    # Apart from the targets, so that dvc.yaml shows who can see them: evaluate, and nobody else.
    table.write(test, tested.only("key", "visitor", "time", "feature"))
    table.write(test_targets, tested.only("key", "target"))
    fitted.save(encoder)
    print(f"{len(trained)} train and {len(tested)} test rows, {len(fitted.names)} inputs")


if __name__ == "__main__":
    stage.run(main)
