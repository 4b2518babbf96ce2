"""A network with the encoder of its inputs: trained, saved in a folder, loaded, and used to predict."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stages.lib.common.checksums import write_checksums
from stages.lib.common.errors import InputError, file_errors
from stages.lib.common.files import atomic_write, write_csv, write_json
from stages.lib.common.model_params import ModelConfig
from stages.lib.dataset.matrix import Matrix
from stages.lib.dataset.parquet import Frame, iter_chunks
from stages.lib.dataset.schema import Schema
from stages.lib.dataset.sessions import Sessions
from stages.lib.dataset.splits import train_test_split
from stages.lib.modeling.backend import keras
from stages.lib.modeling.decision import Decision
from stages.lib.modeling.encoder import Encoder, mean_of_encoders
from stages.lib.modeling.fit import fit
from stages.lib.modeling.network import build_network, mean_of_networks, save_network

PREDICT_ROWS = 8192  # rows in each call of the network

# From features, targets, the encoder and an extra seed to the inputs and targets to train on, perhaps more of them.
Resample = Callable[[Frame, np.ndarray, Encoder, int], tuple[Matrix, np.ndarray]]


@dataclass(frozen=True)
class Model:
    """A network with the encoder of its inputs.

    Attributes:
        history: for each metric the values by epoch.
        point: how its configuration differs from that in params.
        distillation: the weight of a teacher's probabilities in what it has learned.
    """

    network: keras.Model
    encoder: Encoder
    history: dict[str, list[float]]
    point: dict[str, Any] = field(default_factory=dict)
    distillation: float = 0.0

    def predict(self, features: Frame) -> np.ndarray:
        """Probabilities of a purchase, not calibrated, float32 of shape (rows,)."""
        return np.concatenate([self.predict_inputs(self.encoder.transform(chunk)) for chunk in iter_chunks(features)])

    def predict_inputs(self, inputs: np.ndarray) -> np.ndarray:
        """The same for encoded inputs of shape (rows, inputs)."""
        # Batches have one size, the last one padded, since the size of a batch affects how its last rows are computed:
        # a row must have the same probability, to the bit, whatever rows it comes with.
        probabilities = [np.empty(0, np.float32)]
        for start in range(0, len(inputs), PREDICT_ROWS):
            batch = inputs[start : start + PREDICT_ROWS]
            padded = np.zeros((PREDICT_ROWS, inputs.shape[1]), np.float32)
            padded[: len(batch)] = batch
            # Calling the network avoids `predict`, which takes half a second to compile.
            probabilities.append(self.network(padded, training=False).numpy()[: len(batch), 0])
        return np.concatenate(probabilities)

    def save(self, folder: Path, decision: Decision, schema: Schema) -> None:
        """Write network.keras, the encoder, the decision, the schema, the training and its history, and checksums.

        The same model gives the same bytes.
        """
        with atomic_write(folder) as temporary:
            temporary.mkdir()
            save_network(self.network, temporary / "network.keras")
            self.encoder.save(temporary / "encoder.json")
            decision.save(temporary / "decision.json")
            schema.save(temporary / "schema.json")
            training: dict[str, Any] = {"inputs": len(self.encoder.input_names), "point": self.point}
            if self.distillation:
                training["distillation"] = self.distillation
            if self.encoder.target_encoded:
                training["target_encoded"] = [column.name for column in self.encoder.target_encoded]
            write_json(temporary / "training.json", training)
            epochs = range(1, len(self.history["loss"]) + 1)
            write_csv(temporary / "history.csv", pd.DataFrame({"epoch": epochs, **self.history}))
            write_checksums(temporary)

    @classmethod
    def load(cls, folder: Path) -> "Model":
        """The model that was saved there, without its history."""
        path = folder / "network.keras"
        with file_errors(path, "a network that Keras can load", "expected the folder of a trained model"):
            network = keras.saving.load_model(path, compile=False)
        return cls(network, Encoder.load(folder / "encoder.json"), {})


class EpochLog(keras.callbacks.Callback):
    """Print one line per epoch, which suits terminals and log files alike."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        metrics = "  ".join(f"{name} {value:.4f}" for name, value in (logs or {}).items())
        print(f"epoch {epoch + 1}/{self.params['epochs']}  {metrics}", flush=True)


def train_model(
    sessions: Sessions,
    encoder: Encoder,
    config: ModelConfig,
    strategy: str,
    seed: int,
    *,
    resample: Resample | None = None,
    extra_seed: int = 0,
    verbose: bool = False,
) -> Model:
    """Train a single network on `sessions`; an ensemble is the `mean_of_models` of several.

    Args:
        sessions: the training set, perhaps with weights, and with soft targets to learn in place of its targets. If
            `config.validation_split` is above 0, that fraction is held out and only monitored; its targets do have a
            part in how other rows are target-encoded.
        encoder: fitted on the training set.
        config: network, training and validation split; `ensemble_size` does not matter.
        strategy: how to hold rows out, see `train_test_split`.
        seed: of weights, batches and the validation split.
        resample: replaces the rows to train on, for instance by oversampling; never sees validation rows.
        extra_seed: added to `seed` for weights and batches.
        verbose: print a line per epoch.

    Raises:
        InputError: the loss diverges, or Keras lacks something that the configuration names.
    """
    train_idx, val_idx = np.arange(len(sessions)), np.arange(0)
    if config.validation_split:
        train_idx, val_idx = train_test_split(sessions, strategy, config.validation_split, seed)

    def encode(idx: np.ndarray, resample: Resample, target: str) -> tuple[Matrix, np.ndarray]:
        rows = sessions.take(idx) if len(val_idx) else sessions
        return resample(rows.features, rows.column(target).to_numpy(), encoder, extra_seed)

    validation_data = encode(val_idx, _as_is, "target") if len(val_idx) else None
    learned = "soft_target" if sessions.names("soft_target") else "target"
    inputs, targets = encode(train_idx, resample or _as_is, learned)
    weights = (sessions.take(train_idx) if len(val_idx) else sessions).weights
    network = build_network(config.network, inputs.shape[1], seed + extra_seed)
    try:
        history = fit(
            network,
            inputs,
            targets,
            config.training,
            seed=seed + extra_seed,
            validation_data=validation_data,
            sample_weight=None if weights is None else _with_synthetic(weights, targets),
            callbacks=[EpochLog()] if verbose else [],
        )
    except FloatingPointError as error:
        raise InputError(f"params.yaml: training: {error}") from None
    return Model(network, encoder, history)


def mean_of_models(models: list[Model]) -> Model:
    """The ensemble whose probability is the mean of the models', which are used up.

    Their encoders differ in what they have learned from targets, of which the ensemble's is the mean.
    Its history has the mean of each epoch, over the models that were trained for so many.
    """
    if len(models) == 1:
        return models[0]
    history = pd.concat(pd.DataFrame(model.history) for model in models).groupby(level=0).mean()
    network = mean_of_networks([model.network for model in models])
    mean_history = {str(name): values.tolist() for name, values in history.items()}
    encoder = mean_of_encoders([model.encoder for model in models])
    return replace(models[0], network=network, encoder=encoder, history=mean_history)


def _with_synthetic(weights: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The weights, and for the synthetic purchases after these rows the mean weight of a purchase among them."""
    if len(targets) == len(weights):
        return weights
    of_purchase = weights[targets[: len(weights)] == 1].mean()
    return np.append(weights, np.full(len(targets) - len(weights), of_purchase))


def _as_is(features: Frame, targets: np.ndarray, encoder: Encoder, extra_seed: int) -> tuple[Matrix, np.ndarray]:
    return encoder.inputs(features), targets
