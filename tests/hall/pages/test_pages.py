"""The design of all pages: one style, both themes, no scripts, no requests, and enough contrast."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest

from starfreight.jobs.report.page import Completion, Values, write_page
from starfreight.pages import charts
from starfreight.pages.charts import Line, LineChart, Point, ScatterChart, Whisker, WhiskerChart
from starfreight.pages.pictures import save_chart

HOSTILE = "</svg></pre></style><script>alert(1)</script>\" onload='x' {{ 7 * 7 }} $\\frac{ \u202e\x1b[31m"
CHARTS = (
    LineChart(
        HOSTILE, HOSTILE, HOSTILE, [Line(HOSTILE, [(0, 1), (9, 2)], dots=True), Line(HOSTILE, [], None)]
    ),
    ScatterChart(HOSTILE, HOSTILE, HOSTILE, [Point(HOSTILE, HOSTILE, 1.0, 0.5, 0.4, 0.6, True)], "bytes"),
    WhiskerChart(HOSTILE, [Whisker(HOSTILE, HOSTILE, HOSTILE, 0.5, 0.4, 0.6, True)], "fraction"),
)


class Page(HTMLParser):
    """Elements of a page with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.style = ""
        self.in_style = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.in_style = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self.in_style = False

    def handle_data(self, data: str) -> None:
        if self.in_style:
            self.style += data


@pytest.fixture
def page(tmp_path: Path) -> Page:
    text = HOSTILE
    write_page(
        tmp_path / "page.html", text, text,
        [Values(text, [(text, text)]), Values(text, [(text, text)], folded=True)],
        [CHARTS[0], CHARTS[0]], [Completion(text, text, text, text, text)], [(text, text)],
    )  # fmt: skip
    return Page((tmp_path / "page.html").read_text())


def test_hostile_text_becomes_neither_element_nor_attribute(page: Page, tmp_path: Path) -> None:
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "img", "link", "iframe", "object", "embed", "form", "base", "image", "use"}
    for tag, attributes in page.elements:
        assert not [
            name for name in attributes if name.startswith("on") or name in ("src", "style", "action")
        ]
        assert tag == "meta" or "href" not in attributes or (attributes["href"] or "").startswith("#")
    text = (tmp_path / "page.html").read_text()
    assert "{{ 7 * 7 }}" in text and r"\u202e\x1b" in text
    assert "\u202e" not in text and "\x1b" not in text


def test_the_policy_allows_the_style_of_the_page_and_nothing_else(page: Page) -> None:
    policy = next(each["content"] for tag, each in page.elements if tag == "meta" and "http-equiv" in each)
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert "url(" not in page.style and "@import" not in page.style


def test_the_page_can_be_read_aloud(page: Page) -> None:
    assert ("html", {"lang": "en"}) in page.elements
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    drawn = [each for tag, each in page.elements if tag == "svg" and each.get("role") == "img"]
    assert len(drawn) == 2 and all("1 to 2" in (each["aria-label"] or "") for each in drawn)
    assert all("scope" in each for tag, each in page.elements if tag == "th")


def test_charts_are_drawn_as_files_with_hostile_names(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for number, chart in enumerate(CHARTS):
        save_chart(chart, tmp_path / f"{number}.png")
        assert (tmp_path / f"{number}.png").read_bytes().startswith(b"\x89PNG")


def test_long_lines_are_thinned_but_keep_their_ends() -> None:
    line = Line("loss", [(step, 1 / step) for step in range(1, 100_001)] + [(100_001, float("nan"))])
    assert len(line.drawn) <= charts._MOST_POINTS + 1
    assert line.drawn[0] == (1, 1.0) and line.drawn[-1] == (100_000, 1e-5)


def test_pale_lines_share_an_entry_of_the_legend_behind_the_others() -> None:
    lines = [Line(name, [(0, 1)], colour) for name, colour in (("c", None), ("d", None), ("b", 1), ("a", 0))]
    assert LineChart("", "", "", lines).legend == (("a", 0), ("b", 1), ("2 others", None))
    assert LineChart("", "", "", [lines[0], lines[3]]).legend == (("a", 0), ("c", None))
    assert LineChart("", "", "", [Line("", [(0, 1)])]).legend == ()


def themes() -> Iterator[tuple[str, dict[str, str]]]:
    """Colours of both themes by name."""
    style = files("starfreight.pages").joinpath("style.css.jinja").read_text()
    light, dark = re.findall(r":root \{([^}]*)\}", style)[:2]
    for name, block in (("light", light), ("dark", dark)):
        yield name, dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})", block))


def contrast(first: str, second: str) -> float:
    """Contrast of two colours. Source: WCAG 2.2, relative luminance."""

    def luminance(colour: str) -> float:
        digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
        parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
        r, g, b = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(("name", "colours"), themes())
def test_text_and_lines_have_enough_contrast_in_both_themes(name: str, colours: dict[str, str]) -> None:
    texts = [
        (text, back) for text in ("text", "dim", "accent", "bad", "good") for back in ("page", "card")
    ] + [("text", each) for each in ("prefix", "suffix", "middle", "both", "code", "spot")] + [
        ("mark", "mark-back"), ("good", "good-back"), ("accent", "accent-back"), ("dim", "code"),
        ("card", "accent"),
    ]  # fmt: skip
    poor = {pair: contrast(*(colours[each] for each in pair)) for pair in texts}
    assert {pair: found for pair, found in poor.items() if found < 4.5} == {}
    lines = {f"c{number}": contrast(colours[f"c{number}"], colours["card"]) for number in range(8)}
    assert {each: found for each, found in lines.items() if found < 3} == {}
