"""The drawings of the pipeline and of the packages: as make docs draws them, with every arrow that is needed."""

import itertools

import pytest
from helpers import ROOT

from docs.drawings import arrange, direct, draw, drawings, packages, stages

PIPELINE = stages((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
PACKAGES = packages((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("path", "svg"), drawings(ROOT).items(), ids=list(drawings(ROOT)))
def test_the_drawing_is_what_make_docs_draws(path: str, svg: str) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == svg, "run make docs"


def test_a_stage_needs_those_whose_output_it_reads() -> None:
    assert PIPELINE["simulate"] == set()
    assert PIPELINE["prepare"] == {"simulate"}
    assert PIPELINE["blend"] == {"train_strong", "train_reference"}
    assert {"split", "train_base", "grid_search", "blend"} <= PIPELINE["evaluate"]


def test_a_package_needs_those_that_it_imports() -> None:
    assert PACKAGES["dataset"] == {"common"}
    assert PACKAGES["baselines.py"] == {"common", "dataset", "modeling"}


def test_an_arrow_that_follows_from_others_is_not_drawn() -> None:
    graph = {"a": set(), "b": {"a"}, "c": {"a", "b"}}
    assert direct(graph, graph["c"]) == ["b"]
    assert draw(graph, "<title>").count('<path d="M') - 1 == 2  # and the arrowhead
    assert "&lt;title&gt;" in draw(graph, "<title>")


@pytest.mark.parametrize("graph", [PIPELINE, PACKAGES], ids=["pipeline", "packages"])
def test_arrows_lead_to_the_right_and_no_box_covers_another(graph: dict[str, set[str]]) -> None:
    places = arrange(graph)
    assert all(places[need][0] < places[name][0] for name, needs in graph.items() for need in needs)
    boxes = sorted(places.values())
    apart = [x1 != x2 or y2 - y1 >= 50 for (x1, y1), (x2, y2) in itertools.pairwise(boxes)]
    assert all(apart) and min(min(place) for place in boxes) >= 0
