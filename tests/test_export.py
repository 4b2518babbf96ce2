"""A network as an ONNX file has the probabilities and decisions of `stages.score`, whatever the rows are like."""

import re
import sys
from pathlib import Path
from typing import Any

import documentation
import numpy as np
import onnxruntime
import pandas as pd
import pytest
from checkout import Checkout, Clone
from helpers import ROOT, RunStage, as_sessions, sessions_frame, standard_encoding

from stages.lib.common.model_params import Network
from stages.lib.common.params import Params
from stages.lib.dataset.schema import Dtype, Schema
from stages.lib.modeling.calibration import Calibration, Method
from stages.lib.modeling.decision import Decision
from stages.lib.modeling.encoder import fit_to_train
from stages.lib.modeling.model import Model
from stages.lib.modeling.network import build_network, mean_of_networks
from stages.lib.modeling.target_encoding import inner_folds
from stages.lib.onnx_export.model import export_model
from stages.lib.onnx_export.network import ACTIVATIONS

TOLERANCE = 1e-6
NETWORKS = ("base", "grid", "smote", "strong")
CALIBRATIONS: dict[Method, Calibration] = {
    "none": Calibration(),
    "sigmoid": Calibration(method="sigmoid", slope=0.8, intercept=-1.5),
    "isotonic": Calibration(method="isotonic", knots=(0.1, 0.3, 0.35, 0.8), values=(0.02, 0.1, 0.1, 0.7)),
}
QUANTILE = {"scaling": "quantile", "bins": 4}

pytestmark = pytest.mark.slow


def run(content: bytes | Path, rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and decisions of the exported model."""
    session = onnxruntime.InferenceSession(content)
    feed = {
        column.name: rows[column.name].fillna("").to_numpy(object)
        if column.type == "tensor(string)"
        else rows[column.name].to_numpy(np.float64)
        for column in session.get_inputs()
    }
    probability, decision = session.run(None, feed)
    return probability, decision


def training_rows(rows: int = 300) -> pd.DataFrame:
    """Numbers with and without gaps, texts, codes, a flag and many cities; two names are those of other tensors."""
    frame, rng = sessions_frame(rows).drop(columns="buys"), np.random.default_rng(1)
    code = rng.choice(["3", "12", "007"], rows, p=[0.7, 0.25, 0.05])
    flag = np.where(rng.random(rows) < 0.3, "TRUE", "FALSE")
    city = pd.Series([f"city {number * number % 89}" if number % 9 else None for number in range(rows)], dtype=object)
    return frame.assign(probability=rng.normal(0, 1e-3, rows), constant=4.0, code=code, constant_1=flag, city=city)


def strange_rows() -> pd.DataFrame:
    """Missing, extreme and unknown values, and those at the ends of the training set."""
    frame = training_rows(60)
    strange: dict[str, list[Any]] = {
        "pages": [np.nan, -1, 1e30, -1e30, 0, 10**6],
        "seconds": [np.nan, np.nan, 1e12, -1e12, 0.0, 1e-300],
        "probability": [np.nan, -1, 1e6, -1e6, 0.0, -0.0],
        "constant": [np.nan, 4, 5, 3, 1e9, 4],
        "browser": [None, "NA", "Lynx", "(missing)", "(infrequent)", "Ünknown, \"quoted\""],
        "code": [None, "-1", "9999", "7", "03", "12"],
        "city": [None, "city 1", "NA", "(missing)", "unknown", "city 4"],
        "constant_1": [None, "true", "False", "maybe", "TRUE", "null"],
    }  # fmt: skip
    for name, values in strange.items():
        column = frame[name].astype(float if frame[name].dtype != object else object)
        column.iloc[: len(values)] = values
        frame[name] = column
    return frame


def save_model(
    folder: Path, columns: list[str] | None = None, calibration: Method = "none", members: int = 1, **changes: Any
) -> None:
    """A network with random weights, and an encoder that is fitted on `training_rows`."""
    activation, encoding = changes.pop("activation", "relu"), standard_encoding(**changes)
    frame = training_rows()[columns or [*training_rows()]]
    sessions = as_sessions(frame.assign(buys=np.arange(len(frame)) ** 2 % 89 < 30), buys="target")
    encoder, _ = fit_to_train(sessions, encoding, inner_folds("stratified", 1))
    settings: dict[str, Any] = {"l2": 0.0, "dropout": 0.2, "initializer": "lecun_normal", "ensemble_size": members}
    shape = Network(layers=[8, 4], activation=activation, **settings)
    networks = [build_network(shape, len(encoder.mean), seed) for seed in range(members)]
    model = Model(mean_of_networks(networks) if members > 1 else networks[0], encoder, {"loss": [0.5]})
    calibrated = CALIBRATIONS[calibration].apply(model.predict(frame))
    decision = Decision(calibration=CALIBRATIONS[calibration], threshold=float(np.quantile(calibrated, 0.7)))
    prepare = Params.load(ROOT / "params.yaml").prepare
    prepare = prepare.model_copy(update={"source_type": "sessions", "na_values": [*prepare.na_values, "-1"]})
    features: dict[str, Dtype] = {
        name: "category" if frame[name].dtype == object else "number" for name in map(str, frame)
    }
    model.save(folder, decision, Schema.of(prepare, features))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"members": 3, "calibration": "sigmoid", **QUANTILE},
        {"calibration": "isotonic", "min_frequency": 0.2, "scaling": "quantile"},
        {"columns": ["browser", "code"], "max_categories": 2},
        {"columns": ["pages"], "bins": 3},
    ],
    ids=["standard", "strong", "infrequent", "categories", "numbers"],
)
def test_an_exported_model_scores_as_score_does(settings: dict[str, Any], run_stage: RunStage) -> None:
    save_model(Path("model"), **settings)
    rows = strange_rows()
    rows.to_csv("rows.csv", index=False)
    result = run_stage("score", "model", "rows.csv", "-o", "scores.csv", "--unknown-categories", "warn")
    assert result.code == 0, result.err
    scores = pd.read_csv("scores.csv")
    result = run_stage("export", "model", "model.onnx")
    assert result.code == 0, result.err
    probability, decision = run(Path("model.onnx").read_bytes(), rows)
    np.testing.assert_allclose(probability, scores["probability"], rtol=0, atol=TOLERANCE)
    np.testing.assert_array_equal(decision, scores["decision"])
    assert probability.dtype == np.float32 and decision.dtype == bool and np.ptp(probability) > 0.01
    assert export_model(Path("model")) == Path("model.onnx").read_bytes()


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_are_those_of_keras(activation: str, tmp_path: Path) -> None:
    save_model(tmp_path, activation=activation)
    rows = training_rows()
    probability, _ = run(export_model(tmp_path), rows)
    np.testing.assert_allclose(probability, Model.load(tmp_path).predict(rows), rtol=0, atol=TOLERANCE)


def test_what_cannot_be_exported_is_an_error_in_one_line(run_stage: RunStage) -> None:
    assert run_stage("export", "model", "model.onnx").error.startswith("export: model/schema.json: no such file")
    save_model(Path("model"), activation="relu6")
    assert run_stage("export", "model", "model.onnx").error.startswith("export: activation 'relu6' cannot be exported")
    Path("model/network.keras").unlink()
    assert run_stage("export", "model", "model.onnx").error == (
        "export: model: only a network can be exported, neither trees nor a blend"
    )
    assert not Path("model.onnx").exists()


def test_without_onnx_the_error_says_how_to_install_it(run_stage: RunStage, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("stages.lib.onnx_export.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert run_stage("export", "model", "model.onnx").error == (
        "export: the packages onnx and onnxruntime are missing: pip install -r requirements-onnx.txt"
    )


# The pipeline's networks, as documented ----------------------------


@pytest.fixture(scope="module")
def clone(built_checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return Clone(built_checkout, tmp_path_factory.mktemp("export") / "clone", with_cache=True)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_pipeline_s_networks_have_the_probabilities_that_were_evaluated(clone: Clone, name: str) -> None:
    rows = pd.read_parquet(clone.folder / "data/split/test.parquet")
    expected = pd.read_parquet(clone.folder / f"data/predictions/{name}.parquet")
    probability, decision = run(export_model(clone.folder / "models" / name), rows)
    np.testing.assert_allclose(probability, expected["probability"], rtol=0, atol=TOLERANCE)
    np.testing.assert_array_equal(decision, expected["decision"])


def test_the_documented_example(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    for command in documentation.section("python -m stages.export"):
        if "pip" not in command:  # it is installed
            done = clone.run(*command)
            assert done.returncode == 0, done.stderr
    text = (ROOT / "docs/scoring.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?onnxruntime.*?)^```", text, re.M | re.S)
    monkeypatch.chdir(clone.folder)
    variables: dict[str, Any] = {}
    exec(code, variables)
    expected = pd.read_parquet("data/predictions/strong.parquet")
    np.testing.assert_allclose(variables["probability"], expected["probability"], rtol=0, atol=TOLERANCE)
    assert not documentation.not_run("python -m stages.export", Checkout.commands)
