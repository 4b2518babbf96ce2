"""Boosted trees predict what scikit-learn's classifier predicts, saved and loaded too, and no broken file is loaded."""

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import as_sessions, sessions_frame, standard_encoding, with_flipped_copies
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from stages.lib.common.errors import InputError
from stages.lib.common.model_params import Trees
from stages.lib.dataset.schema import Schema
from stages.lib.dataset.sessions import Sessions
from stages.lib.modeling.blend import load_model
from stages.lib.modeling.boosted_trees import FILE, BoostedTrees
from stages.lib.modeling.calibration import Calibration
from stages.lib.modeling.decision import Decision
from stages.lib.modeling.encoder import Encoder, fit_encoder

TREES = Trees(learning_rate=0.2, max_iter=20, max_leaf_nodes=8, l2_regularization=1.0, max_features=0.5)
DECISION = Decision(calibration=Calibration(), threshold=0.4)


@pytest.fixture(scope="module")
def sessions() -> Sessions:
    return as_sessions(sessions_frame(400), buys="target")


@pytest.fixture(scope="module")
def encoder(sessions: Sessions) -> Encoder:
    return fit_encoder(sessions.features, standard_encoding())


@pytest.fixture(scope="module")
def trees(sessions: Sessions, encoder: Encoder) -> BoostedTrees:
    return BoostedTrees.fit(sessions, encoder, settings=TREES, seed=1)


def expected(sessions: Sessions, encoder: Encoder, features: pd.DataFrame, categorical: list[int]) -> np.ndarray:
    """The probabilities of scikit-learn's classifier."""
    classifier = HistGradientBoostingClassifier(
        **TREES.model_dump(), random_state=1, early_stopping=False, categorical_features=categorical
    ).fit(encoder.ordinals(sessions.to_arrow().to_pandas()), sessions.column("target"))
    return classifier.predict_proba(encoder.ordinals(features))[:, 1].astype(np.float32)


def save(trees: BoostedTrees, sessions: Sessions, folder: Path) -> Path:
    trees.save(folder, DECISION, Schema.from_arrow(sessions.table.schema))
    return folder


# Predictions ------------------------------------------------------


def test_the_probabilities_are_those_of_scikit_learn_to_the_bit(
    sessions: Sessions, encoder: Encoder, trees: BoostedTrees
) -> None:
    # pages, seconds, seconds=(missing), browser
    for seed in (7, 8):
        features = sessions_frame(1000, seed)
        probabilities = trees.predict(features)
        np.testing.assert_array_equal(probabilities, expected(sessions, encoder, features, [2, 3]))
        assert roc_auc_score(features["buys"], probabilities) > 0.8 and probabilities.dtype == np.float32


def test_rows_without_weight_change_little_and_equal_weights_nothing(
    sessions: Sessions, encoder: Encoder, trees: BoostedTrees
) -> None:
    """A little, since they count as rows of a leaf."""
    features = sessions.features
    expected = trees.predict(features)
    ignored, balanced = (
        BoostedTrees.fit(with_flipped_copies(sessions_frame(400), weight), encoder, settings=TREES, seed=1)
        for weight in (0.0, 1.0)
    )
    assert np.corrcoef(ignored.predict(features), expected)[0, 1] > 0.95
    assert abs(ignored.predict(features).mean() - 0.25) < 0.02
    np.testing.assert_allclose(balanced.predict(features), 0.5, atol=1e-3)
    equal = as_sessions(sessions_frame(400).assign(weight=0.25), buys="target", weight="weight")
    equal_trees = BoostedTrees.fit(equal, encoder, settings=TREES, seed=1)
    np.testing.assert_allclose(equal_trees.predict(features), expected, atol=1e-6)


def test_unknown_and_missing_categories_are_predicted_as_by_scikit_learn(sessions: Sessions) -> None:
    """The encoder knows a category that is in none of the rows that the trees are fitted on."""
    frame = sessions_frame(400).assign(browser=np.where(np.arange(400) % 3, "Chrome", "Firefox"))
    without, more = as_sessions(frame, buys="target"), frame.assign(browser="Safari")
    everything = pd.concat([frame, more, frame.assign(browser=None)])
    encoder = fit_encoder(as_sessions(everything, buys="target").features, standard_encoding())
    trees = BoostedTrees.fit(without, encoder, settings=TREES, seed=1)
    for browser in ("Firefox", "Safari", "Netscape", None):
        features = frame.assign(browser=browser)
        np.testing.assert_array_equal(trees.predict(features), expected(without, encoder, features, [2, 3]))


def test_trees_may_have_no_categorical_columns() -> None:
    frame = sessions_frame(400)[["pages", "buys"]]
    sessions = as_sessions(frame, buys="target")
    encoder = fit_encoder(sessions.features, standard_encoding())
    trees = BoostedTrees.fit(sessions, encoder, settings=TREES, seed=1)
    np.testing.assert_array_equal(trees.predict(frame), expected(sessions, encoder, frame, []))


def test_a_column_with_too_many_categories_is_numeric() -> None:
    frame = sessions_frame(600).assign(code=[f"code {number % 300}" for number in range(600)])
    sessions = as_sessions(frame, buys="target")
    encoder = fit_encoder(sessions.features, standard_encoding())
    trees = BoostedTrees.fit(sessions, encoder, settings=TREES, seed=1)
    np.testing.assert_array_equal(trees.predict(frame), expected(sessions, encoder, frame, [2, 3]))


def test_a_probability_does_not_depend_on_the_other_rows(trees: BoostedTrees) -> None:
    features = sessions_frame(101, seed=9)
    alone = [trees.predict(features[row : row + 1])[0] for row in range(101)]
    np.testing.assert_array_equal(trees.predict(features), alone)


def test_an_extra_seed_is_another_seed_and_the_same_seed_gives_the_same_model(
    sessions: Sessions, encoder: Encoder, trees: BoostedTrees
) -> None:
    again, extra = (BoostedTrees.fit(sessions, encoder, settings=TREES, seed=1, extra_seed=n) for n in (0, 1))
    other = BoostedTrees.fit(sessions, encoder, settings=TREES, seed=2)
    first, *others = (model.predict(sessions.features) for model in (trees, again, extra, other))
    assert (first == others[0]).all() and (others[1] == others[2]).all() and (first != others[1]).any()


# Files ------------------------------------------------------------


def test_loaded_trees_make_the_same_predictions(sessions: Sessions, trees: BoostedTrees, tmp_path: Path) -> None:
    loaded = load_model(save(trees, sessions, tmp_path / "trees"))
    assert isinstance(loaded, BoostedTrees) and loaded.encoder == trees.encoder
    features = sessions_frame(1000, seed=8)
    np.testing.assert_array_equal(loaded.predict(features), trees.predict(features))
    assert Decision.load(tmp_path / "trees/decision.json") == DECISION


def test_the_same_trees_give_the_same_bytes(sessions: Sessions, encoder: Encoder, tmp_path: Path) -> None:
    written = []
    for name in ("first", "second"):
        trees = BoostedTrees.fit(sessions, encoder, settings=TREES, seed=1)
        folder = save(trees, sessions, tmp_path / name)
        written.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert written[0] == written[1]
    assert {*written[0]} == {FILE, "encoder.json", "decision.json", "schema.json", "SHA256SUMS"}


def with_node(arrays: dict[str, Any], **changes: int) -> None:
    """Change the root of the first tree."""
    for name, value in changes.items():
        arrays["nodes"][name][0] = value


def with_bitset(arrays: dict[str, Any]) -> None:
    """Change the first categorical split."""
    (idx,) = np.nonzero((arrays["nodes"]["is_leaf"] == 0) & (arrays["nodes"]["is_categorical"] == 1))
    arrays["nodes"]["bitset_idx"][idx[0]] = 10**6


def with_overflow(arrays: dict[str, Any]) -> None:
    """Numbers of nodes that add up to the right one modulo 2^64, by which the first tree has no node."""
    arrays["n_nodes"] = np.array([2**62, 2**62, 2**62, 2**62 + len(arrays["nodes"])])
    arrays["n_bitsets"] = np.array([0, 0, 0, len(arrays["bitsets"])])


TAMPERED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a child out of range": lambda arrays: with_node(arrays, right=10**6),
    "a child that is its parent": lambda arrays: with_node(arrays, left=0),
    "a child before its parent": lambda arrays: arrays["nodes"]["left"].__setitem__(slice(1, None), 1),
    "another feature than there are": lambda arrays: with_node(arrays, feature_idx=4),
    "a negative feature": lambda arrays: with_node(arrays, feature_idx=-1),
    "a number as a category": lambda arrays: with_node(arrays, is_categorical=1, feature_idx=3),
    "another bitset than there are": with_bitset,
    "another type": lambda arrays: arrays.update(bitsets=arrays["bitsets"].astype(np.int64)),
    "nodes of another type": lambda arrays: arrays.update(nodes=arrays["nodes"]["value"].copy()),
    "another shape": lambda arrays: arrays.update(baseline=np.zeros(3)),
    "short bitsets": lambda arrays: arrays.update(known=arrays["known"][:, :2].copy()),
    "too few nodes": lambda arrays: arrays.update(nodes=arrays["nodes"][:-1]),
    "a tree without nodes": lambda arrays: arrays.update(
        n_nodes=np.append(arrays["n_nodes"], 0), n_bitsets=np.append(arrays["n_bitsets"], 0)
    ),
    "a negative number of nodes": lambda arrays: arrays["n_nodes"].__setitem__(0, -1),
    "numbers of nodes that overflow": with_overflow,
    "a column twice": lambda arrays: arrays["columns"].__setitem__(0, arrays["columns"][1]),
    "more categorical columns than columns": lambda arrays: arrays.update(
        n_categories=np.full(len(arrays["categories"]), 1), known=np.zeros((len(arrays["categories"]), 8), np.uint32)
    ),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_trees_that_were_tampered_with_are_refused(
    name: str, sessions: Sessions, trees: BoostedTrees, tmp_path: Path
) -> None:
    arrays = {name: values.copy() for name, values in trees.arrays.items()}
    TAMPERED[name](arrays)
    folder = save(BoostedTrees(trees.encoder, arrays), sessions, tmp_path / "trees")
    with pytest.raises(InputError) as error:
        load_model(folder)
    message = f"{folder / FILE}: not trees that this version of scikit-learn can load; run the stage again"
    assert str(error.value) == message


class Malicious:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, allow_pickle=True, **arrays)
    return file.getvalue()


def test_no_code_in_a_file_runs(sessions: Sessions, trees: BoostedTrees, tmp_path: Path) -> None:
    folder, never = save(trees, sessions, tmp_path / "trees"), tmp_path / "never"
    malicious = Malicious(never)
    in_an_array = np.array(malicious, dtype=object)
    for content in (
        npz(**trees.arrays | {"baseline": in_an_array}),
        npz(baseline=in_an_array),
        pickle.dumps(malicious),
    ):
        (folder / FILE).write_bytes(content)
        with pytest.raises(InputError, match=r"trees\.npz: not trees that were saved: [^\n]+$"):
            load_model(folder)
        assert not never.exists()
    np.load(io.BytesIO(npz(baseline=in_an_array)), allow_pickle=True)["baseline"]
    assert never.exists(), "it would have"


def test_files_that_are_damaged_are_refused_or_make_the_same_predictions(
    sessions: Sessions, trees: BoostedTrees, tmp_path: Path
) -> None:
    folder = save(trees, sessions, tmp_path / "trees")
    content, rng = (folder / FILE).read_bytes(), np.random.default_rng(5)
    array = io.BytesIO()
    np.save(array, np.arange(3))
    damaged = [content[:size] for size in (0, 10, len(content) // 2, len(content) - 1)]
    damaged += [array.getvalue(), npz(baseline=np.zeros(())), b"trees" + content[5:]]
    for position in rng.integers(len(content), size=100):
        damaged.append(content[:position] + bytes([255 - content[position]]) + content[position + 1 :])
    refused, features, before = 0, sessions_frame(50, seed=8), trees.predict(sessions_frame(50, seed=8))
    for version in damaged:
        (folder / FILE).write_bytes(version)
        try:
            np.testing.assert_array_equal(load_model(folder).predict(features), before)
        except InputError as error:
            refused += 1
            assert "\n" not in str(error) and str(error).startswith(f"{folder / FILE}: not trees that ")
    assert refused > 90
    (folder / FILE).unlink()
    with pytest.raises(InputError, match=r"expected the folder of a trained model$"):
        BoostedTrees.load(folder)
