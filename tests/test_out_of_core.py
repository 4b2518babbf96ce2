"""Training on rows that do not fit in memory gives what training on rows in memory gives, a chunk at a time."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import ROOT, as_sessions, sessions_frame
from training import SEED, SETTINGS, assert_same_weights, keras_fit, make_network, make_rows, settings_with

from stages.lib.common.model_params import Network
from stages.lib.common.params import Params
from stages.lib.dataset import matrix
from stages.lib.dataset import sessions as sessions_module
from stages.lib.dataset.matrix import FileMatrix, Matrix, shuffled_chunks, write_npy
from stages.lib.dataset.sessions import write_sessions
from stages.lib.modeling.backend import keras
from stages.lib.modeling.fit import fit
from stages.lib.modeling.network import build_network
from stages.lib.modeling.network_stage import train_network

pytestmark = pytest.mark.slow


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of at most 41 rows of 6 inputs, and blocks of 4 rows."""
    monkeypatch.setattr(matrix, "CHUNK_BYTES", 1000)
    monkeypatch.setattr(matrix, "BLOCK_ROWS", 4)


def on_disk(array: np.ndarray, path: Path) -> FileMatrix:
    np.save(path, array)
    return FileMatrix.open(path)


def in_memory(array: np.ndarray, path: Path) -> np.ndarray:
    return array


def orders(count: int, rows_per_chunk: int) -> list[np.ndarray]:
    """The row numbers in the order of each epoch."""
    numbers = np.arange(count, dtype=np.float32)[:, np.newaxis]
    epochs = []
    for epoch in range(3):
        chunks = shuffled_chunks([numbers], rows_per_chunk, np.random.default_rng([SEED, epoch]))
        epochs.append(np.concatenate([arrays[0][order, 0] for arrays, order in chunks]).astype(int))
    return epochs


@pytest.mark.usefixtures("small_chunks")
def test_results_are_those_of_keras_in_chunks_from_a_file(tmp_path: Path) -> None:
    """With weights, with validation data of more than a chunk, and with a smaller last batch and chunk."""
    (inputs, targets), (val_inputs, val_targets) = make_rows(), make_rows(70, 1)
    weights = np.random.default_rng(2).uniform(0, 3, 99)
    model, keras_model = make_network(), make_network()
    history = fit(
        model,
        on_disk(inputs, tmp_path / "a.npy"),
        targets,
        SETTINGS,
        seed=SEED,
        sample_weight=weights,
        validation_data=(on_disk(val_inputs, tmp_path / "b.npy"), val_targets),
    )
    expected = keras_fit(
        keras_model,
        inputs,
        targets,
        SETTINGS,
        validation_data=(val_inputs, val_targets),
        sample_weight=weights,
        orders=orders(99, 40),
    )
    assert_same_weights(model, keras_model)
    for name in ("loss", "val_loss"):
        np.testing.assert_allclose(history[name], expected[name], rtol=1e-5)


@pytest.mark.usefixtures("small_chunks")
def test_results_are_those_of_keras_in_chunks_with_batch_normalization() -> None:
    model, keras_model = (make_network(keras.layers.BatchNormalization()) for _ in range(2))
    fit(model, *make_rows(), SETTINGS, seed=SEED)
    keras_fit(keras_model, *make_rows(), SETTINGS, orders=orders(99, 40))
    assert_same_weights(model, keras_model)


@pytest.mark.usefixtures("small_chunks")
def test_a_batch_may_be_larger_than_a_chunk() -> None:
    model, keras_model = make_network(), make_network()
    fit(model, *make_rows(), settings_with(batch_size=60), seed=SEED)
    keras_fit(keras_model, *make_rows(), settings_with(batch_size=60), orders=orders(99, 60))
    assert_same_weights(model, keras_model)


@pytest.mark.parametrize("chunk_bytes", [2**29, 1000])
def test_an_array_and_a_file_give_the_same_bits(
    chunk_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With early stopping, in one chunk and in several."""
    monkeypatch.setattr(matrix, "CHUNK_BYTES", chunk_bytes)
    inputs, targets = make_rows()
    val_inputs, val_targets = make_rows(40, 1)
    settings = settings_with(patience=2, epochs=9, learning_rate=0.3, class_weight="balanced")
    network = Network(layers=[7], activation="relu", l2=0.01, dropout=0.2, initializer="he_normal", ensemble_size=1)

    def train(store: Callable[[np.ndarray, Path], Matrix]) -> tuple[dict[str, list[float]], list[Any]]:
        model = build_network(network, 6, SEED)
        history = fit(
            model,
            store(inputs, tmp_path / "a.npy"),
            targets,
            settings,
            seed=SEED,
            validation_data=(store(val_inputs, tmp_path / "b.npy"), val_targets),
        )
        return history, [weight.tolist() for weight in model.get_weights()]

    history, weights = train(in_memory)
    assert (history, weights) == train(on_disk)
    assert 2 < len(history["loss"]) < 9


def test_chunks_train_as_well_as_all_rows_at_once_even_if_sorted_by_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """This is the worst order for blocks: all rows of a block have one target."""
    inputs, targets = make_rows(8_000)
    by_target = np.argsort(targets, kind="stable")
    settings, validation_data = settings_with(batch_size=32, epochs=4), make_rows(4_000, 1)
    aucs = []
    for chunk_bytes in (2**29, 24 * 1_600):  # all rows, or a fifth of them, which are 6 blocks
        monkeypatch.setattr(matrix, "CHUNK_BYTES", chunk_bytes)
        history = fit(
            make_network(), inputs[by_target], targets[by_target], settings, seed=SEED, validation_data=validation_data
        )
        aucs.append(history["val_auc"][-1])
    assert aucs[0] > 0.7 and aucs[1] == pytest.approx(aucs[0], abs=0.01)


# A process that trains an epoch on a file and prints by how many bytes its peak memory grew.
PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from stages.lib.common.params import Params
from stages.lib.dataset import matrix
from stages.lib.modeling.fit import fit
from stages.lib.modeling.network import build_network
def peak():
    return 1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
inputs = matrix.FileMatrix.open(Path(sys.argv[1]))
targets = np.arange(len(inputs)) % 2
config = Params.load().train_base.with_point({"batch_size": 1024, "epochs": 1, "layers": [2]})
matrix.CHUNK_BYTES = 2**26
before = peak()
fit(build_network(config.network, inputs.shape[1], 1), inputs, targets, config.training, seed=1)
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux reports the peak memory there")
def test_peak_memory_is_far_below_the_size_of_the_file(tmp_path: Path) -> None:
    path, shape = tmp_path / "rows.npy", (2**20, 512)
    with path.open("wb") as file:
        write_npy(file, shape, [])
        file.truncate(file.tell() + 4 * shape[0] * shape[1])  # 2 GiB of zeros, in a sparse file
    command = [sys.executable, "-c", PROGRAM, str(path)]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(process.stdout.split()[-1]) < 0.5 * 2**30


def test_a_stage_writes_the_same_files_if_tables_are_not_read_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the inputs are several chunks, the model differs, but not its encoder. No temporary files are left."""
    params = Params.load(ROOT / "params.yaml")
    params = params.model_copy(update={"validation": params.validation.model_copy(update={"folds": 2})})
    config = params.train_base.with_point({"layers": [4], "epochs": 2, "learning_rate": 0.01})
    config = config.model_copy(update={"validation_split": 0.2})
    sessions = as_sessions(sessions_frame(900).assign(id=range(900)), buys="target", id="key")
    train, test = tmp_path / "train.parquet", tmp_path / "test.parquet"
    write_sessions(train, sessions)
    write_sessions(test, sessions.take(np.arange(300)).select("feature", "key"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    def outputs(name: str, max_values: int = 2**27, chunk_bytes: int = 2**29) -> dict[str, bytes]:
        monkeypatch.setattr(sessions_module, "IN_MEMORY", max_values)
        monkeypatch.setattr(matrix, "CHUNK_BYTES", chunk_bytes)
        folder = tmp_path / name
        names = ("model", "predictions.parquet", "out_of_fold.parquet", "importance.csv")
        model, predictions, out_of_fold, importance = (folder / name for name in names)
        train_network(config, params, train, test, model, predictions, out_of_fold, importance)
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    from_memory = outputs("memory")
    assert {"model/network.keras", "predictions.parquet", "out_of_fold.parquet", "importance.csv"} < {*from_memory}
    assert outputs("file", max_values=0) == from_memory
    in_chunks = outputs("chunks", max_values=0, chunk_bytes=4_000)
    assert in_chunks["model/encoder.json"] == from_memory["model/encoder.json"]
    assert in_chunks["model/network.keras"] != from_memory["model/network.keras"]
    assert {path.name for path in tmp_path.iterdir()} == {"train.parquet", "test.parquet", "memory", "file", "chunks"}
