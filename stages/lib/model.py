"""A model is a network and its encoder: trained, kept in a folder, asked for probabilities."""

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from stages.lib import network, table
from stages.lib.backend import keras
from stages.lib.encoding import Encoder
from stages.lib.files import InputError, replacing
from stages.lib.params import TrainBase
from stages.lib.splitting import hold_out
from stages.lib.table import Sessions
from stages.lib.training import fit

EPOCH_OF_ZIP = (1980, 1, 1, 0, 0, 0)
PREDICTED_AT_ONCE = 8192

# From the training rows' codes, their targets and the encoder to inputs and targets, more of them perhaps.
Resample = Callable[[np.ndarray, np.ndarray, Encoder], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Model:
    network: keras.Model
    encoder: Encoder

    def predict(self, features: pd.DataFrame) -> np.ndarray:
        """Probabilities of a purchase, float32 of shape (rows,)."""
        inputs = self.encoder.transform(features)
        # Not `predict`, which spends half a second on being compiled.
        parts = [
            self.network(inputs[start : start + PREDICTED_AT_ONCE], training=False).numpy()[:, 0]
            for start in range(0, len(inputs), PREDICTED_AT_ONCE)
        ]
        return np.concatenate(parts)

    def save(self, folder: Path, history: dict[str, list[float]]) -> None:
        """network.keras, encoder.json and history.csv, the loss per epoch; the same bytes for the same model."""
        with replacing(folder) as temporary:
            temporary.mkdir()
            save_network(self.network, temporary / "network.keras")
            self.encoder.save(temporary / "encoder.json")
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
    sessions: Sessions, encoder: Encoder, settings: TrainBase, by: str, seed: int, resample: Resample | None = None
) -> tuple[Model, dict[str, list[float]]]:
    """A model trained on `sessions`, and its history: figures per epoch.

    `settings.validation_share` of the sessions, held out as `by` says, is only watched, and `resample` never sees it.
    """
    stay, held = np.arange(len(sessions)), np.arange(0)
    if settings.validation_share:
        stay, held = hold_out(sessions, by, settings.validation_share, seed)
    codes, targets = encoder.codes(sessions.features), sessions.column("target").to_numpy()
    validation = (encoder.expand(codes[held]), targets[held]) if len(held) else None
    inputs, answers = (resample or _as_they_are)(codes[stay], targets[stay], encoder)
    trained = network.build(settings.network, inputs.shape[1], seed)
    print(f"training on {len(inputs)} rows, {int(answers.sum())} of them purchases", flush=True)
    try:
        history = fit(
            trained, inputs, answers, settings.training, seed=seed, validation=validation, callbacks=[Progress()]
        )
    except FloatingPointError as error:
        raise InputError(f"params.yaml: train_base.training: {error}") from None
    return Model(trained, encoder), history


def _as_they_are(codes: np.ndarray, targets: np.ndarray, encoder: Encoder) -> tuple[np.ndarray, np.ndarray]:
    return encoder.expand(codes), targets


def train_and_predict(
    train_rows: Path,
    test_rows: Path,
    encoder: Path,
    model: Path,
    predictions: Path,
    *,
    settings: TrainBase,
    by: str,
    seed: int,
    resample: Resample | None = None,
) -> None:
    """What the training stages have in common: read the rows, `train`, save the model and what it predicts."""
    trained, history = train(table.read(train_rows), Encoder.load(encoder), settings, by, seed, resample)
    trained.save(model, history)
    test = table.read(test_rows)
    write_predictions(predictions, test, trained.predict(test.features))


def write_predictions(path: Path, test: Sessions, probabilities: np.ndarray) -> None:
    """The keys of the test rows, in their order, each with its probability."""
    predicted = test.only("key").table.append_column(
        pa.field("probability", pa.float32(), metadata={"role": "probability"}), pa.array(probabilities)
    )
    table.write(path, Sessions(predicted))


def save_network(network: keras.Model, path: Path) -> None:
    """A .keras file for `keras.saving.load_model`, the same bytes for the same architecture and weights.

    Keras stamps its file with the date, and its config with ids of objects in memory: they are set to constants.
    """
    network.save(path)
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in sorted(archive.namelist())}
    contents["metadata.json"] = _edited(contents["metadata.json"], {"date_saved": ""})
    contents["config.json"] = _edited(contents["config.json"], {"shared_object_id": None})
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name, EPOCH_OF_ZIP), content)


def _edited(text: bytes, constants: dict[str, Any]) -> bytes:
    """JSON with the keys of `constants`, at any depth, set to their values, or removed where that is None."""

    def edit(node: Any) -> Any:
        if isinstance(node, list):
            return [edit(item) for item in node]
        if not isinstance(node, dict):
            return node
        kept = {key: edit(value) for key, value in node.items() if constants.get(key, "") is not None}
        return {key: constants.get(key, value) for key, value in kept.items()}

    return json.dumps(edit(json.loads(text)), sort_keys=True).encode()
