"""The page of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from starfreight.files import write_bytes
from starfreight.pages import render_page
from starfreight.pages.charts import LineChart


@dataclass(frozen=True)
class Values:
    """A table of names and values.

    Attributes:
        title: heading.
        rows: names and values.
        folded: show it last, and only on demand.
    """

    title: str
    rows: Sequence[tuple[str, str]]
    folded: bool = False


@dataclass(frozen=True)
class Completion:
    """Completions of one place in a text.

    Attributes:
        prefix: the text before it.
        suffix: the text after it.
        expected: the text that was there.
        before: by the base model.
        after: by the tuned model.
    """

    prefix: str
    suffix: str
    expected: str
    before: str
    after: str


def write_page(
    path: Path,
    title: str,
    subtitle: str,
    tables: Sequence[Values],
    charts: Sequence[LineChart],
    completions: Sequence[Completion] = (),
    tiles: Sequence[tuple[str, str]] = (),
) -> None:
    """Writes a page.

    Args:
        path: the HTML file.
        title: heading.
        subtitle: line below the heading.
        tables: in order.
        charts: the most important one first.
        completions: of a few places.
        tiles: names and values of the headline figures.
    """
    page = render_page(
        "starfreight.jobs.report",
        "page.html.jinja",
        title=title,
        subtitle=subtitle,
        tables=tables,
        charts=charts,
        completions=completions,
        tiles=tiles,
    )
    write_bytes(path, page)
