"""The plots of grids and of feature importance: every value is shown, whatever the names and however many."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from metrics_folder import grid_results, write_csv

from stages.lib.reporting.curves import plot_estimates, shorten
from stages.lib.reporting.grid_plot import MAX_ROWS, is_cut, plot_grid, save_grid_plot
from stages.lib.reporting.pictures import importance_estimates
from stages.lib.reporting.svg import inline


@pytest.mark.parametrize(
    "values",
    [
        {"learning_rate": [0.0001, 0.001], "batch_size": [24]},
        {"epochs": [5, 10]},
        {"learning_rate": [0.0000001, 0.0000002]},
        {"l2": [number / 100 for number in range(12)]},
    ],
    ids=lambda values: ", ".join(values),
)
def test_every_point_of_a_small_grid_is_shown_with_its_error(values: dict[str, list[Any]], tmp_path: Path) -> None:
    write_csv(tmp_path / "grid.csv", grid_results(values))
    results = pd.read_csv(tmp_path / "grid.csv")
    svg = inline(plot_grid(results), "grid").body
    assert not is_cut(results)
    assert all(f"{auc:.4f}" in svg for auc in results["val_auc"])
    positions = re.findall('x="([^"]+)" y="([^"]+)"[^>]*>[^<]*± 0.0041<', svg)
    assert len(set(positions)) == len(positions) == len(results)
    assert ("epochs" in svg) == ("epochs" in values)


def test_a_grid_without_errors_shows_none() -> None:
    results = grid_results({"learning_rate": [0.1, 0.2]})
    assert "±" not in inline(plot_grid(results.assign(val_auc_se=np.nan)), "grid").body


@pytest.mark.parametrize("n_rates", [2, 10], ids=["table", "list"])
def test_points_of_fewer_folds_show_their_number_and_are_never_the_best(n_rates: int) -> None:
    rates = [(i + 1) / 1000 for i in range(n_rates)]
    results = grid_results({"learning_rate": rates, "batch_size": [24, 48]})
    folds = [5] * (len(results) - 2) + [1, 2]  # of those with the highest AUC
    svg = inline(plot_grid(results.assign(folds=folds)), "grid").body
    assert svg.count("± 0.0041") == len(results) - 2
    assert len(re.findall("1 fold<", svg)) == len(re.findall("2 folds<", svg)) == 1
    bold = re.findall("700;[^>]*>([^<]*)<", svg)
    assert [text[:6] for text in bold] == [f"{results['val_auc'].iloc[-3]:.4f}"]


def test_a_large_grid_is_cut_to_its_best_points() -> None:
    layers = ["[80, 40, 10]", "[128, 64]", "[64]", "[8]", "[9]"]
    rates = [number / 10000 for number in range(1, 6)]
    dropouts = [0.0, 0.1, 0.2, 0.3]
    results = grid_results({"learning_rate": rates, "layers": layers, "batch_size": [24, 48], "dropout": dropouts})
    svg = inline(plot_grid(results), "grid").body
    assert is_cut(results)
    assert svg.count("±") == MAX_ROWS and ">0.7500 ± 0.0041<" in svg and ">0.7000" not in svg


@pytest.mark.parametrize(
    "points",
    [
        {"learning_rate": [0.1, 0.1, 0.01, 0.01], "batch_size": [16, 32, 16, 32]},
        {"learning_rate": [0.1, 0.01]},
        {"layers": ["[4]", "[3, 2]", "[4]", "[3, 2]"], "l2": [0.0, 0.0, 0.1, 0.1], "optimizer": ["sgd"] * 4},
    ],
    ids=lambda points: ", ".join(points),
)
def test_the_file_of_a_grid_shows_every_point_and_has_the_same_bytes_each_time(
    points: dict[str, list[Any]], tmp_path: Path
) -> None:
    results = pd.DataFrame(points).assign(val_auc_se=np.nan, val_loss=1.0, loss=1.0, epochs=3, folds=1)
    results["val_auc"] = np.linspace(0.6, 0.7123, len(results))
    for name in ("one.svg", "two.svg"):
        save_grid_plot(results, tmp_path / name)
    svg = (tmp_path / "one.svg").read_text()
    assert svg == (tmp_path / "two.svg").read_text()
    assert all(f"{auc:.4f}" in svg for auc in results["val_auc"])


def test_a_point_without_an_auc_does_not_spoil_the_plot(tmp_path: Path) -> None:
    results = grid_results({"learning_rate": [0.1, 9.0]}).assign(val_auc=[0.7, np.nan])
    save_grid_plot(results, tmp_path / "grid.svg")
    assert "0.7000" in (tmp_path / "grid.svg").read_text()


@pytest.mark.parametrize("name", ["$price$, $tax$", "価格", "a\nb\x1bc", "x" * 200, "_hidden", "NA"])
def test_any_column_name_can_be_drawn(name: str, tmp_path: Path) -> None:
    write_csv(tmp_path / "base.csv", pd.DataFrame({"column": [name, "b"], "importance": [0.1, 0.0], "se": 0.01}))
    estimates = importance_estimates(tmp_path / "base.csv", 0)
    body = inline(plot_estimates(estimates, "decrease in AUC"), "importance").body
    assert f">{shorten(name)}<" in body and len(shorten(name)) <= 30
