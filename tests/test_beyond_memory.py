"""Rows that do not fit in memory train as those that do: a chunk of them at a time, each once an epoch."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import as_sessions, sessions_frame
from test_training import SEED, SETTINGS, assert_same_weights, changed, keras_fit, network, rows

from stages.lib.common.params import Network, Validation, load
from stages.lib.dataset import matrix as chunks
from stages.lib.dataset import sessions as table
from stages.lib.modeling.backend import keras
from stages.lib.modeling.fit import fit
from stages.lib.modeling.model import train_and_predict
from stages.lib.modeling.network import build_network, member_weights

ROOT = Path(__file__).parents[1]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch):
    """Chunks of at most 41 rows of 6 inputs, and blocks of 4 rows."""
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 1000)
    monkeypatch.setattr(chunks, "BLOCK_ROWS", 4)


def on_disk(matrix: np.ndarray, path: Path) -> chunks.FileMatrix:
    np.save(path, matrix)
    return chunks.FileMatrix.open(path)


def order(count: int, at_once: int, epoch: int = 0) -> np.ndarray:
    """The numbers of the rows in the order of an epoch."""
    numbers = np.arange(count, dtype=np.float32)[:, np.newaxis]
    taken = chunks.shuffled_chunks([numbers], at_once, np.random.default_rng([SEED, epoch]))
    return np.concatenate([arrays[0][places, 0] for arrays, places in taken]).astype(int)


@pytest.mark.parametrize("count", [1, 99, 4000, 10_000, 10_001, 10_257])
def test_an_epoch_has_every_row_once_in_another_order_each_time(count) -> None:
    first, again, other = order(count, 4000), order(count, 4000), order(count, 4000, epoch=1)
    np.testing.assert_array_equal(np.sort(first), np.arange(count))
    np.testing.assert_array_equal(first, again)
    assert count == 1 or not np.array_equal(first, other)


def test_rows_that_fit_come_as_they_always_did() -> None:
    np.testing.assert_array_equal(order(4000, 4000), np.random.default_rng([SEED, 0]).permutation(4000))


def test_a_chunk_has_rows_from_all_over_and_neighbours_part() -> None:
    shuffled = order(200_000, 20_000)
    for chunk in shuffled.reshape(10, -1):
        assert np.bincount(chunk // 50_000, minlength=4).min() > 2_000  # of each quarter
        assert abs(np.corrcoef(chunk[1:], chunk[:-1])[0, 1]) < 0.05
    # Those of a block, which are together in this chunk, are not in the next epoch with the rest of it.
    together = set(order(200_000, 20_000, epoch=1)[:20_000]) & set(shuffled[:20_000])
    assert len(together) < 5_000


def test_a_file_is_read_as_the_array_it_holds(tmp_path: Path) -> None:
    matrix = np.random.default_rng(0).standard_normal((999, 3), np.float32)
    read = on_disk(matrix, tmp_path / "a.npy")
    assert read.shape == matrix.shape and len(read) == 999
    for part in (slice(None), slice(5, 5), slice(7, 300), slice(990, 2000), slice(5000, 6000)):
        np.testing.assert_array_equal(read[part], matrix[part], strict=True)


def test_a_file_of_something_else_or_with_an_end_cut_off_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected rows of float32, got float64"):
        on_disk(np.zeros((3, 2)), tmp_path / "a.npy")
    with pytest.raises(ValueError, match="float32, by column"):
        on_disk(np.zeros((3, 2), np.float32, order="F"), tmp_path / "b.npy")
    np.save(tmp_path / "c.npy", np.zeros((300, 2), np.float32))
    with (tmp_path / "c.npy").open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(ValueError, match="the file ends before its row 300"):
        chunks.FileMatrix.open(tmp_path / "c.npy")[200:]


@pytest.mark.parametrize("bound", [2**29, 50])
def test_parts_are_gathered_in_memory_or_in_a_file_that_leaves_nothing_behind(
    bound, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "CHUNK_BYTES", bound)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    parts = [np.arange(count * 2.0).reshape(count, 2) for count in (3, 0, 5)]
    gathered = chunks.concatenate((8, 2), iter(parts))
    assert isinstance(gathered, np.ndarray if bound > 64 else chunks.FileMatrix)
    np.testing.assert_array_equal(gathered[:], np.concatenate(parts).astype(np.float32), strict=True)
    assert not [*tmp_path.iterdir()]


def test_same_as_keras_in_chunks_from_a_file(small, tmp_path: Path) -> None:
    """With weights, with rows to watch which are more than a chunk too, and with a smaller last batch and chunk."""
    (inputs, targets), (held, held_targets) = rows(), rows(70, 1)
    weights = np.random.default_rng(2).uniform(0, 3, 99)
    ours, theirs = network(), network()
    history = fit(
        ours, on_disk(inputs, tmp_path / "a.npy"), targets, SETTINGS, seed=SEED, sample_weight=weights,
        validation=(on_disk(held, tmp_path / "b.npy"), held_targets),
    )  # fmt: skip
    orders = [order(99, 40, epoch) for epoch in range(3)]
    expected = keras_fit(theirs, inputs, targets, SETTINGS, (held, held_targets), weights, orders=orders)
    assert_same_weights(ours, theirs)
    for name in ("loss", "val_loss"):
        np.testing.assert_allclose(history[name], expected[name], rtol=1e-5)


def test_same_as_keras_in_chunks_with_batch_normalization(small) -> None:
    ours, theirs = (network(keras.layers.BatchNormalization()) for _ in range(2))
    fit(ours, *rows(), SETTINGS, seed=SEED)
    keras_fit(theirs, *rows(), SETTINGS, orders=[order(99, 40, epoch) for epoch in range(3)])
    assert_same_weights(ours, theirs)


def test_a_batch_may_be_more_than_a_chunk(small) -> None:
    ours, theirs = network(), network()
    fit(ours, *rows(), changed(batch_size=60), seed=SEED)
    keras_fit(theirs, *rows(), changed(batch_size=60), orders=[order(99, 60, epoch) for epoch in range(3)])
    assert_same_weights(ours, theirs)


@pytest.mark.parametrize("bound", [2**29, 1000])
def test_an_array_and_a_file_train_the_same_bits(bound, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Members of their own, stopped early: whatever the rows come from, and however many chunks they are."""
    monkeypatch.setattr(chunks, "CHUNK_BYTES", bound)
    inputs, targets = rows()
    held, held_targets = rows(40, 1)
    settings = changed(patience=2, epochs=9, learning_rate=0.3, class_weights="balanced")
    shape = Network(layers=[7], activation="relu", l2=0.01, dropout=0.2, initializer="he_normal", members=3)

    def trained(read) -> list:
        model = build_network(shape, 6, SEED)
        history = fit(
            model, read(inputs, tmp_path / "a.npy"), targets, settings, seed=SEED,
            validation=(read(held, tmp_path / "b.npy"), held_targets), sample_weight=member_weights(len(inputs), 3, SEED),
        )  # fmt: skip
        return [history, *(weight.tolist() for weight in model.get_weights())]

    from_array = trained(lambda matrix, path: matrix)
    assert from_array == trained(on_disk)
    assert 2 < len(from_array[0]["loss"]) < 9


@pytest.mark.slow
def test_chunks_learn_as_well_as_all_rows_at_once_though_sorted_by_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows least fit for blocks: all of a block have one target."""
    inputs, targets = rows(8_000)
    sort = np.argsort(targets, kind="stable")
    settings, (held, held_targets) = changed(batch_size=32, epochs=4), rows(4_000, 1)
    aucs = []
    for bound in (2**29, 24 * 1_600):  # all; or a fifth of the rows, which are 6 blocks
        monkeypatch.setattr(chunks, "CHUNK_BYTES", bound)
        history = fit(network(), inputs[sort], targets[sort], settings, seed=SEED, validation=(held, held_targets))
        aucs.append(history["val_auc"][-1])
    assert aucs[0] > 0.7 and aucs[1] == pytest.approx(aucs[0], abs=0.01)


# A process that trains an epoch on a file and prints the most memory it had, beyond what it had before, in bytes.
PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from stages.lib import chunks, network, params, training
def peak():
    return 1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
base, = params.load("train_base")
inputs = chunks.OnDisk.open(Path(sys.argv[1]))
targets = np.arange(len(inputs)) % 2
settings = base.with_point({"batch_size": 1024, "epochs": 1, "layers": [2]})
chunks.CHUNK_BYTES = 2**26
before = peak()
training.fit(network.build(settings.network, inputs.shape[1], 1), inputs, targets, settings.training, seed=1)
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="tells the most memory a process had on Linux only")
def test_memory_stays_far_below_the_size_of_the_file(tmp_path: Path) -> None:
    path, shape = tmp_path / "rows.npy", (2**20, 512)
    with path.open("wb") as file:
        chunks.write_npy(file, shape, [])
        file.truncate(file.tell() + 4 * shape[0] * shape[1])  # 2 GiB of zeros, which take no room
    program = [sys.executable, "-c", PROGRAM, path]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(done.stdout.split()[-1]) < 0.5 * 2**30


@pytest.mark.slow
def test_a_stage_makes_the_same_of_tables_that_stay_in_their_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And, of inputs that are several chunks, something that is about as good, with nothing left behind."""
    (base,) = load("train_base", path=ROOT / "params.yaml")
    (split,) = load("split", path=ROOT / "params.yaml")
    settings = base.with_point({"layers": [4], "epochs": 2, "learning_rate": 0.01}).model_copy(
        update={"validation_split": 0.2}
    )
    sessions = as_sessions(sessions_frame(900).assign(id=range(900)), buys="target", id="key")
    table.write_sessions(tmp_path / "train.parquet", sessions)
    table.write_sessions(tmp_path / "test.parquet", sessions.take(np.arange(300)).select("feature", "key"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    def trained(name: str, **bounds: int) -> dict[str, bytes]:
        monkeypatch.setattr(table, "IN_MEMORY", bounds.get("values", 2**27))
        monkeypatch.setattr(chunks, "CHUNK_BYTES", bounds.get("chunk", 2**29))
        folder = tmp_path / name
        inputs = (tmp_path / "train.parquet", tmp_path / "test.parquet", None)
        train_and_predict(
            *inputs, folder / "model", folder / "predictions.parquet", folder / "importances.csv",
            settings=settings, split=split, validation=Validation(folds=2, recalibrate="none"), repeats=0, seed=1,
        )  # fmt: skip
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    in_memory = trained("memory")
    assert trained("file", values=0) == in_memory
    several = trained("chunks", values=0, chunk=4_000)
    assert several["model/encoder.json"] == in_memory["model/encoder.json"]
    assert several["model/network.keras"] != in_memory["model/network.keras"]
    assert {path.name for path in tmp_path.iterdir()} == {"train.parquet", "test.parquet", "memory", "file", "chunks"}
