"""A model is a network, its encoder and how it decides: trained, kept in a folder, asked for probabilities."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from stages.lib import encoding, importance, network, table
from stages.lib.backend import keras
from stages.lib.chunks import Matrix
from stages.lib.decision import Decision
from stages.lib.encoding import Encoder
from stages.lib.files import InputError, replacing
from stages.lib.params import Recipe, Split, Validation
from stages.lib.schema import Schema
from stages.lib.splitting import hold_out
from stages.lib.stored import Frame, parts
from stages.lib.table import Sessions
from stages.lib.training import fit
from stages.lib.validation import cross_validate

PREDICTED_AT_ONCE = 8192

# From the training rows' features, their targets, the encoder and which repeat it is (0 for the model itself) to
# inputs and targets, more of them perhaps.
Resample = Callable[[Frame, np.ndarray, Encoder, int], tuple[Matrix, np.ndarray]]


@dataclass(frozen=True)
class Model:
    network: keras.Model
    encoder: Encoder

    def predict(self, features: Frame) -> np.ndarray:
        """Probabilities of a purchase, before recalibration, float32 of shape (rows,)."""
        return np.concatenate([self.predict_inputs(self.encoder.transform(part)) for part in parts(features)])

    def predict_inputs(self, inputs: np.ndarray) -> np.ndarray:
        """The same from encoded inputs, (rows, inputs)."""
        # In parts of one size, the last one padded: how the last few rows of a part are computed depends on how many
        # they are, and a row is to have the same probability, to the bit, whatever rows it comes with.
        parts = []
        for start in range(0, len(inputs), PREDICTED_AT_ONCE):
            part = inputs[start : start + PREDICTED_AT_ONCE]
            padded = np.zeros((PREDICTED_AT_ONCE, inputs.shape[1]), np.float32)
            padded[: len(part)] = part
            # Not `predict`, which spends half a second on being compiled.
            parts.append(self.network(padded, training=False).numpy()[: len(part), 0])
        return np.concatenate(parts) if parts else np.empty(0, np.float32)

    def save(self, folder: Path, history: dict[str, list[float]], decision: Decision, schema: Schema) -> None:
        """network.keras, encoder.json, decision.json, schema.json and history.csv, the loss per epoch.

        The same model gives the same bytes.
        """
        with replacing(folder) as temporary:
            temporary.mkdir()
            network.save(self.network, temporary / "network.keras")
            self.encoder.save(temporary / "encoder.json")
            decision.save(temporary / "decision.json")
            schema.save(temporary / "schema.json")
            epochs = pd.DataFrame(history, index=pd.RangeIndex(1, len(history["loss"]) + 1, name="epoch"))
            epochs.to_csv(temporary / "history.csv", float_format="%.6f", lineterminator="\n")

    @classmethod
    def load(cls, folder: Path) -> "Model":
        network = keras.saving.load_model(folder / "network.keras", compile=False)
        return cls(network, Encoder.load(folder / "encoder.json"))


class Progress(keras.callbacks.Callback):
    """A line an epoch, in a form for terminals and log files alike."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        figures = "  ".join(f"{name} {value:.4f}" for name, value in (logs or {}).items())
        print(f"epoch {epoch + 1}/{self.params['epochs']}  {figures}", flush=True)


def train(
    sessions: Sessions,
    encoder: Encoder,
    settings: Recipe,
    by: str,
    seed: int,
    resample: Resample | None = None,
    repeat: int = 0,
    callbacks: list[keras.callbacks.Callback] | None = None,
) -> tuple[Model, dict[str, list[float]]]:
    """A model trained on `sessions`, and its history: figures per epoch.

    `settings.validation_share` of the sessions, held out as `by` says, is only watched, and `resample` never sees it.
    A `repeat` above 0 starts from other weights and sees other batches.
    """
    stay, held = np.arange(len(sessions)), np.arange(0)
    if settings.validation_share:
        stay, held = hold_out(sessions, by, settings.validation_share, seed)

    def rows(chosen: np.ndarray, prepare: Resample) -> tuple[Matrix, np.ndarray]:
        some = sessions.take(chosen) if len(held) else sessions
        return prepare(some.features, some.column("target").to_numpy(), encoder, repeat)

    validation = rows(held, _as_they_are) if len(held) else None
    inputs, answers = rows(stay, resample or _as_they_are)
    trained = network.build(settings.network, inputs.shape[1], seed + repeat)
    weights = network.left_out(len(inputs), settings.network.members, seed + repeat)
    try:
        history = fit(
            trained,
            inputs,
            answers,
            settings.training,
            seed=seed + repeat,
            validation=validation,
            sample_weight=weights,
            callbacks=callbacks or (),
        )
    except FloatingPointError as error:
        raise InputError(f"params.yaml: training: {error}") from None
    return Model(network.averaged(trained), encoder), history


def _as_they_are(features: Frame, targets: np.ndarray, encoder: Encoder, repeat: int) -> tuple[Matrix, np.ndarray]:
    return encoder.inputs(features), targets


def train_and_predict(
    train_rows: Path,
    test_rows: Path,
    encoder: Path | None,
    model: Path,
    predictions: Path,
    importances: Path | None = None,
    *,
    settings: Recipe,
    split: Split,
    validation: Validation,
    repeats: int,
    seed: int,
    resample: Resample | None = None,
) -> None:
    """What the stages that train networks have in common.

    Cross-validate on the training rows, to decide by; train on all of them, with the `encoder` that was fitted on
    them or one fitted now; save the model and what it predicts.
    """
    sessions, test = table.read(train_rows), table.read(test_rows)
    recipe = partial(train, settings=settings, by=split.by, seed=seed, resample=resample)
    judged = cross_validate(
        lambda rows, fitted: recipe(rows, fitted)[0],
        sessions,
        settings.encoding,
        split.by,
        validation.folds,
        seed,
        look=partial(_falls, seed=seed) if importances else None,
    )
    decision = Decision.fit(validation.recalibrate, judged.targets, judged.probabilities)
    print(f"training on {len(sessions)} rows", flush=True)
    fitted = Encoder.load(encoder) if encoder else encoding.fit(sessions.features, settings.encoding)
    trained, history = recipe(sessions, fitted, callbacks=[Progress()])
    again = [recipe(sessions, trained.encoder, repeat=number)[0] for number in range(1, repeats + 1)]
    trained.save(model, history, decision, Schema.read(sessions.table.schema))
    decision.write(predictions, test, *[one.predict(test.features) for one in (trained, *again)])
    if importances:
        with replacing(importances) as temporary:
            importance.table(judged.looked).to_csv(temporary, index=False, float_format="%.6f", lineterminator="\n")


def _falls(model: Model, rows: Sessions, seed: int) -> pd.Series:
    random = np.random.default_rng(seed)
    some = rows.take(importance.chosen(len(rows), random))
    inputs, targets = model.encoder.inputs(some.features)[:], some.column("target").to_numpy()
    return importance.fall_in_auc(model.predict_inputs, inputs, targets, model.encoder.columns, random)
