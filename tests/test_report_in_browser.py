"""The committed report in a real browser: on a phone, on wide windows, in both color schemes and on paper.

Chromium is driven by Playwright, which needs no driver of the browser's version, sees each request and console message,
and sets color scheme and medium.
"""

import re
from pathlib import Path
from typing import Any

import pytest
from helpers import ROOT
from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

URL = (ROOT / "metrics/report.html").as_uri()
PHONE, DESKTOP, WIDE = ((390, 844), (1440, 900), (1920, 1080))
PAPER = (680, 996)  # CSS pixels of an A4 page without its margins of 15 and 16 mm
MIN_CONTRAST = 4.5  # of text, by WCAG 2.2, success criterion 1.4.3

# Elements that reach beyond the window and are in no container that scrolls
TOO_WIDE = """() => [...document.body.querySelectorAll("*")].filter(element => {
  const box = element.getBoundingClientRect();
  if (!box.width || (box.right <= innerWidth + 1 && box.left >= -1)) return false;
  for (let parent = element; parent; parent = parent.parentElement)
    if (["auto", "scroll"].includes(getComputedStyle(parent).overflowX)
        && parent.getBoundingClientRect().right <= innerWidth + 1 && MEDIUM === "screen") return false;
  return true;
}).map(element => `${element.tagName} ${element.className} ${element.textContent.slice(0, 40)}`)"""

# The color of each text, with its opacity, and that of what is behind it
COLORS = """() => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = {};
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement, style = getComputedStyle(element);
    if (!texts.currentNode.data.trim() || !element.getClientRects().length) continue;
    if (["TITLE", "DESC", "STYLE"].includes(element.tagName.toUpperCase())) continue;
    let behind = element, opacity = 1;
    for (let parent = element; parent; parent = parent.parentElement) opacity *= getComputedStyle(parent).opacity;
    while (behind && /, 0\\)$/.test(getComputedStyle(behind).backgroundColor)) behind = behind.parentElement;
    const color = element instanceof SVGElement ? style.fill : style.color;
    const key = [color, getComputedStyle(behind || document.body).backgroundColor, opacity].join("|");
    found[key] ??= texts.currentNode.data.trim().slice(0, 40);
  }
  return found;
}"""


@pytest.fixture(scope="module")
def noise() -> list[str]:
    """What the page asks for beside itself, and what it says on the console or of errors."""
    return []


@pytest.fixture(scope="module")
def page(browser: Browser, noise: list[str]) -> Page:
    opened = browser.new_page(viewport={"width": PHONE[0], "height": PHONE[1]})
    opened.on("request", lambda request: noise.append(request.url) if request.url not in (URL, "data:,") else None)
    opened.on("console", lambda message: noise.append(message.text))
    opened.on("pageerror", lambda error: noise.append(str(error)))
    opened.goto(URL)
    return opened


def show(page: Page, size: tuple[int, int], medium: Any = "screen", scheme: Any = "light") -> None:
    page.emulate_media(media=medium, color_scheme=scheme)
    page.set_viewport_size({"width": size[0], "height": size[1]})


def too_wide(page: Page, medium: str = "screen") -> list[str]:
    found: list[str] = page.evaluate(TOO_WIDE.replace("MEDIUM", f'"{medium}"'))
    return found


def contrast(color: str, behind: str, opacity: float) -> float:
    """The contrast ratio of WCAG 2.2 of two colors such as rgb(1, 2, 3), the first of this opacity over the other."""
    over, under = ([float(number) for number in re.findall(r"[\d.]+", text)] for text in (color, behind))
    opacity *= over[3] if len(over) > 3 else 1
    blended = [opacity * one + (1 - opacity) * other for one, other in zip(over[:3], under[:3], strict=True)]
    high, low = sorted((luminance(blended), luminance(under[:3])), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(color: list[float]) -> float:
    linear = [part / 3294.6 if part <= 10.31 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in color]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("rgb(0, 0, 0)", "rgb(255, 255, 255)", 1) == pytest.approx(21)
    assert contrast("rgb(118, 118, 118)", "rgb(255, 255, 255)", 1) == pytest.approx(4.54, abs=0.01)
    assert contrast("rgb(0, 0, 0)", "rgb(255, 255, 255)", 0) == 1


@pytest.mark.parametrize("size", [PHONE, DESKTOP, WIDE], ids=str)
def test_nothing_is_wider_than_the_window(page: Page, size: tuple[int, int]) -> None:
    show(page, size)
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert too_wide(page) == []


@pytest.mark.parametrize("size", [DESKTOP, WIDE], ids=str)
def test_the_right_half_of_a_wide_window_is_used_from_the_top(page: Page, size: tuple[int, int]) -> None:
    show(page, size)
    boxes = page.evaluate("[...document.querySelectorAll('svg')].slice(0, 2).map(one => one.getBoundingClientRect())")
    assert all(box["bottom"] <= size[1] for box in boxes), "the picture on top is not seen without scrolling"
    page_right = page.evaluate("document.querySelector('main').getBoundingClientRect().right")
    assert boxes[1]["x"] > boxes[0]["x"] and page_right > 0.9 * size[0]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_enough_contrast(page: Page, scheme: str) -> None:
    show(page, DESKTOP, scheme=scheme)
    colors: dict[str, str] = page.evaluate(COLORS)
    assert len(colors) >= 4
    for key, text in colors.items():
        color, behind, opacity = key.split("|")
        assert contrast(color, behind, float(opacity)) >= MIN_CONTRAST, f"{text}: {key}"
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (luminance([float(part) for part in re.findall(r"\d+", background)]) < 0.5) == (scheme == "dark")


def test_every_link_of_the_contents_leads_to_a_heading_and_every_picture_has_a_text(page: Page) -> None:
    links = page.evaluate("[...document.querySelectorAll('nav a')].map(one => one.getAttribute('href'))")
    targets = page.evaluate("[...document.querySelectorAll('section:has(> h2)')].map(one => '#' + one.id)")
    assert links == targets and len(links) >= 8
    pictures = page.locator("svg")
    named = page.get_by_role("img", name=re.compile(r"\S"))
    assert named.count() == pictures.count() >= 8
    described = "[...document.querySelectorAll('svg desc')].filter(one => one.textContent.trim()).length"
    assert page.evaluate(described) == pictures.count()


def test_it_is_printed_on_a_few_pages_of_a4_with_nothing_cut_off(page: Page, tmp_path: Path) -> None:
    show(page, PAPER, medium="print", scheme="dark")
    assert too_wide(page, "print") == []
    # Dark colors are for screens only.
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("document.querySelector('details > :not(summary)').checkVisibility()")
    content = page.pdf(path=tmp_path / "report.pdf", prefer_css_page_size=True)
    sizes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", content)
    assert {(round(float(width)), round(float(height))) for width, height in sizes} == {(595, 842)}
    assert 4 <= len(re.findall(rb"/Type /Page\b", content)) <= 16


def test_the_page_asks_for_nothing_and_says_nothing(page: Page, noise: list[str]) -> None:
    assert page.title() == "Will this session end in a purchase?"
    assert noise == []
