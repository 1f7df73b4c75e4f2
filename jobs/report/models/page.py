"""The page of a comparison, and its charts as files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starfreight.console import Console, human_count
from starfreight.files import write_bytes
from starfreight.jobs.report.compare import Compared, Table, compare, loss_charts, table
from starfreight.jobs.report.models.columns import Column
from starfreight.jobs.report.models.comparison import Comparison, compare_models
from starfreight.jobs.report.models.evaluated import file_label
from starfreight.jobs.report.models.figure_text import figure_text, interval_text
from starfreight.jobs.report.models.model_charts import scatter_charts, whisker_charts
from starfreight.jobs.report.models.places import places_of_groups, places_of_runs
from starfreight.jobs.report.models.subjects import find_subjects
from starfreight.pages import render_page
from starfreight.pages.charts import Chart, LineChart, ScatterChart, WhiskerChart
from starfreight.pages.visible_text import shortened
from starfreight.run import Run

_MOST_PARTS = 24
_LONGEST_NAME = 64


@dataclass(frozen=True)
class PartsTable:
    """A figure by language or another part: models in rows, parts in columns.

    Attributes:
        title: suite and figure.
        parts: the columns.
        rows: number, name, and figure and interval of each part.
    """

    title: str
    parts: tuple[str, ...]
    rows: tuple[tuple[int, str, tuple[tuple[str, str], ...]], ...]


@dataclass(frozen=True)
class ModelLine:
    """A row of the table of models."""

    number: int
    name: str
    whole_name: str
    quantization: str
    size: str
    front: bool
    figures: tuple[tuple[str, str, bool], ...]
    """Figure, interval, and true for the best one."""


@dataclass(frozen=True)
class PageCharts:
    """Charts of a page by section."""

    losses: tuple[LineChart, ...]
    whiskers: tuple[WhiskerChart, ...]
    scatters: tuple[ScatterChart, ...]


def make_charts(comparison: Comparison, runs: Sequence[Path], rows: Sequence[Compared]) -> PageCharts:
    """Make the charts of a comparison.

    Args:
        comparison: of the models.
        runs: directories of the runs.
        rows: their comparison.
    """
    labels = model_labels(comparison)
    return PageCharts(
        loss_charts(runs, rows) if rows else (),
        tuple(whisker_charts(comparison, labels)),
        tuple(scatter_charts(comparison, labels)),
    )


def write_comparison(
    page: Path, comparison: Comparison, runs: Sequence[Path], rows: Sequence[Compared], charts: PageCharts
) -> None:
    """Writes the page of a comparison.

    Args:
        page: the HTML file.
        comparison: of the models.
        runs: directories of the runs.
        rows: their comparison.
        charts: as :func:`make_charts` makes them.
    """
    labels = model_labels(comparison)
    headlines = [column for column in comparison.columns if column.headline]
    values: dict[str, Any] = {
        "subtitle": _subtitle(comparison, rows),
        "comparison": comparison,
        "headlines": headlines,
        "models": _lines(comparison, headlines),
        "charts": charts,
        "parts_tables": _parts_tables(comparison, labels),
        "runs_table": _runs_table(rows),
        "places": [
            *places_of_groups(comparison.groups, labels),
            *places_of_runs(_best_first(runs, rows)),
        ],
        "front": ", ".join(f"[{number}]" for number in comparison.front.whole) if comparison.front else None,
    }
    write_bytes(page, render_page("starfreight.jobs.report.models", "comparison.html.jinja", **values))


def write_page_of(directories: Sequence[Path], page: Path, console: Console) -> Comparison:
    """Compares runs, packages and evaluations, and writes the page.

    Args:
        directories: as for :func:`~starfreight.jobs.report.models.subjects.find_subjects`.
        page: the HTML file.
        console: shows progress.

    Raises:
        InputError: a run or a package cannot be read.
    """
    subjects = find_subjects(directories)
    comparison = compare_models(subjects, None, console)
    rows = compare(subjects.runs) if subjects.runs else ()
    write_comparison(page, comparison, subjects.runs, rows, make_charts(comparison, subjects.runs, rows))
    return comparison


def save_charts(charts: PageCharts, folder: Path) -> list[Path]:
    """Writes all charts as PNG files, numbered in the page's order.

    Returns:
        Their paths.
    """
    from starfreight.pages.pictures import save_chart

    every: list[Chart] = [*charts.losses, *charts.whiskers, *charts.scatters]
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, chart in enumerate(every, 1):
        name = "".join(each if each.isascii() and each.isalnum() else "-" for each in chart.title.lower())
        paths.append(folder / f"{number:02}-{name[:60]}.png")
        save_chart(chart, paths[-1])
    return paths


def model_labels(comparison: Comparison) -> list[str]:
    """Names of the models with their quantizations. Long ones are cut; their numbers tell them apart."""
    return [shortened(file_label(file), _LONGEST_NAME) for file in comparison.files]


def _subtitle(comparison: Comparison, rows: Sequence[Compared]) -> str:
    counts = [
        (len(comparison.files), "models"),
        (sum(len(file.measured) for file in comparison.files), "evaluations"),
        (len(rows), "runs"),
    ]
    return ", ".join(human_count(count, name) for count, name in counts if count)


def _lines(comparison: Comparison, headlines: Sequence[Column]) -> list[ModelLine]:
    on_front = comparison.front.whole if comparison.front else ()
    lines = []
    for number, file in enumerate(comparison.files, 1):
        figures = []
        for column in headlines:
            cell, verdict = column.cells.get(number), comparison.verdicts.get(column)
            best = verdict is not None and verdict.marked and verdict.best == number
            figures.append((figure_text(cell.figure), interval_text(cell.figure), best) if cell else _NONE)
        size = "–" if file.size is None else human_count(file.size, "B")
        lines.append(
            ModelLine(
                number, shortened(file.name, _LONGEST_NAME), file.name, file.quantization or "–", size,
                number in on_front, tuple(figures),
            )
        )  # fmt: skip
    return lines


_NONE = ("–", "", False)


def _parts_tables(comparison: Comparison, labels: Sequence[str]) -> list[PartsTable]:
    """Tables of the first figures with parts, one for each group of results and figure."""
    found: dict[tuple[int, str], list[Column]] = {}
    for column in comparison.columns:
        if column.part:
            found.setdefault((id(column.group), column.name), []).append(column)
    tables = []
    for columns in found.values():
        shown = sorted(columns, key=lambda each: -len(each.cells))[:_MOST_PARTS]
        rows = []
        for number in sorted({number for column in shown for number in column.cells}):
            cells = [column.cells.get(number) for column in shown]
            texts = tuple((figure_text(c.figure), interval_text(c.figure)) if c else ("–", "") for c in cells)
            rows.append((number, labels[number - 1], texts))
        tables.append(PartsTable(columns[0].title, tuple(each.part for each in shown), tuple(rows)))
    return tables


def _runs_table(rows: Sequence[Compared]) -> Table | None:
    return table(rows) if rows else None


def _best_first(runs: Sequence[Path], rows: Sequence[Compared]) -> list[Path]:
    """Directories of the runs in the order of their comparison."""
    order = [row.run for row in rows]
    return sorted(runs, key=lambda folder: order.index(Run.load(folder).id))
