"""The report's page by itself: it needs no other file, and its pictures, links and ids fit together."""

import re

import pytest
from metrics_folder import MODELS, NETWORKS
from report_page import CURVES, Reader, full_page, pictures

from stages.lib.evaluation import registry
from stages.lib.reporting.style import PALETTE

LABELS = {model.name: model.label for model in registry.MODELS}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return full_page(tmp_path_factory.mktemp("metrics"))


def test_the_table_of_contents_has_every_section(page: str) -> None:
    tags = Reader(page).tags
    sections = [attributes["id"] for tag, attributes in tags if tag == "section"]
    assert len(sections) >= 9
    assert [attributes["href"] for tag, attributes in tags if tag == "a"] == [f"#{name}" for name in sections]


def test_every_model_is_in_every_curve_in_a_style_of_its_own(page: str) -> None:
    svgs = pictures(page)
    assert {"aucs", *CURVES, "loss", "grid"} <= set(svgs)
    for name in ("aucs", *CURVES, "loss"):
        for style, model in enumerate(MODELS if name != "loss" else NETWORKS):
            assert f"var(--line-{style % len(PALETTE)})" in svgs[name]
            assert LABELS[model] in svgs[name]
    styles = set(re.findall(r'style="([^"]*var\(--line-\d\)[^"]*)"', svgs["roc"]))
    assert len(styles) == len(MODELS), "no two models have both the color and the dash of the other"
    for color in range(len(PALETTE)):
        assert any(f"var(--line-{color})" in style for style in styles)


def test_pictures_have_a_description_and_the_colors_and_the_font_of_the_page(page: str) -> None:
    for name, svg in pictures(page).items():
        assert "currentColor" in svg and "<text" in svg
        assert "font-family" not in svg and "DejaVu" not in svg
        assert not re.search("#(?!000000)[0-9a-f]{6}", svg), name
        assert re.search(rf'<title id="{name}-title">\S.*<desc id="{name}-description">\S', svg, re.DOTALL)
    for style, (light, dark) in enumerate(PALETTE):
        assert f"--line-{style}: {light};" in page and f"--line-{style}: {dark};" in page


def test_the_page_is_self_contained(page: str) -> None:
    assert not re.search(r"https?:|<script|\ssrc=|@import|\son\w+=|url\((?!#)", page)
    links = [attributes.get("href") or "#" for _, attributes in Reader(page).tags]
    assert all(link.startswith(("#", "data:,")) for link in links)
    assert len(page.encode()) < 400_000


def test_ids_are_unique_and_every_reference_has_its_id(page: str) -> None:
    tags = Reader(page).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    references = set(re.findall(r'(?:href="|url\()#([^")]+)', page))
    references |= {name for _, attributes in tags for name in (attributes.get("aria-labelledby") or "").split()}
    assert references and references <= set(ids)
    assert all("scope" in attributes for tag, attributes in tags if tag == "th")


def test_text_from_the_data_is_escaped(page: str) -> None:
    assert "<b>" not in page and "<i>" not in page
    assert "&lt;b&gt;&amp;" in pictures(page)["importance_base"]
    assert "<code>&lt;b&gt;&amp;</code> has an AUC of 0.931" in page
    assert "seed: 42  # &lt;i&gt;" in page
