"""Search a grid by validation AUC on training rows only, train its winner on all of them, predict the test part."""

from pathlib import Path

from stages.lib import encoding, params, stage, sweep, table
from stages.lib.encoding import Encoder
from stages.lib.files import replacing
from stages.lib.params import GridSearch, Split
from stages.lib.splitting import hold_out
from stages.lib.table import Sessions

CHECKPOINTS = Path(".grid_search")


def main(train_rows: Path, test_rows: Path, encoder: Path, model: Path, predictions: Path, results: Path) -> None:
    settings, base, split, seed = params.load("grid_search", "train_base", "split", "seed")
    sessions = table.read(train_rows)
    found = sweep.walk(settings.grid, base, hold_out_rows(sessions, settings, split, seed), seed, CHECKPOINTS)
    winner = sweep.best(found, settings.grid)
    print(f"the winner, with a validation AUC of {found[sweep.JUDGE].max():.4f}: {sweep.said(winner)}", flush=True)

    # TensorFlow is for the refit; until here only the workers needed it.
    from stages.lib.model import train, write_predictions

    trained, history = train(sessions, Encoder.load(encoder), sweep.settings_at(base, winner), split.by, seed)
    trained.save(model, history)
    test = table.read(test_rows)
    write_predictions(predictions, test, trained.predict(test.features))
    with replacing(results) as temporary:
        found.to_csv(temporary, index=False, float_format="%.6f", lineterminator="\n")


def hold_out_rows(sessions: Sessions, settings: GridSearch, split: Split, seed: int) -> sweep.Rows:
    """The training rows, in a part to train on, which the encoder is fitted on, and one to judge by."""
    stay, held = hold_out(sessions, split.by, settings.validation_share, seed)
    features, targets = sessions.features, sessions.column("target").to_numpy("float32")
    encoder = encoding.fit(features.iloc[stay], split.rare_share)
    inputs = encoder.transform(features)
    return sweep.Rows(inputs[stay], targets[stay], inputs[held], targets[held])


if __name__ == "__main__":
    stage.run(main)
