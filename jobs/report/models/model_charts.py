"""Charts of a comparison: figures with intervals, and size and speed against quality."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from starfreight.console import human_count
from starfreight.jobs.report.models.columns import Column
from starfreight.jobs.report.models.comparison import Comparison
from starfreight.jobs.report.models.figure_text import figure_text, interval_text
from starfreight.jobs.report.models.pareto import Front
from starfreight.pages.charts import Point, ScatterChart, Whisker, WhiskerChart

_MOST_CHARTS = 60


def whisker_charts(comparison: Comparison, labels: Sequence[str]) -> list[WhiskerChart]:
    """A chart of each figure of whole suites."""
    whole = [each for each in comparison.columns if not each.part]
    return [_whiskers(comparison, column, labels) for column in whole[:_MOST_CHARTS]]


def scatter_charts(comparison: Comparison, labels: Sequence[str]) -> Iterator[ScatterChart]:
    """Size and speed against quality, where at least two models have both."""
    front = comparison.front
    if front is None:
        return
    sizes = {number: float(size) for number, size in front.sizes.items()}
    if len(sizes.keys() & front.quality.cells.keys()) > 1:
        yield _scatter("Size and quality", "size of the file", "bytes", sizes, front, front.by_size, labels)
    if front.speed is not None:
        speeds = {number: cell.figure.value for number, cell in front.speed.cells.items()}
        if len(speeds.keys() & front.quality.cells.keys()) > 1:
            label = "speed of generation (tokens/s)"
            yield _scatter("Speed and quality", label, "", speeds, front, front.by_speed, labels)


def _whiskers(comparison: Comparison, column: Column, labels: Sequence[str]) -> WhiskerChart:
    verdict = comparison.verdicts.get(column)
    rows = []
    for number, cell in column.cells.items():
        figure = cell.figure
        interval = interval_text(figure)
        text = f"{figure_text(figure)} ({interval})" if interval else figure_text(figure)
        best = verdict is not None and verdict.marked and verdict.best == number
        rows.append(
            Whisker(str(number), labels[number - 1], text, figure.value, figure.low, figure.high, best)
        )
    first = next(iter(column.cells.values()))
    count = human_count(first.figure.items, "items")
    if first.figure.problems != first.figure.items:
        count += f" of {human_count(first.figure.problems, 'problems')}"
    source = f"{count} ({column.group.source})" if column.group.source else count
    return WhiskerChart(
        column.title, tuple(rows), column.unit, column.better, (source,), folded=not column.headline
    )


def _scatter(
    title: str,
    x_label: str,
    unit: str,
    values: Mapping[int, float],
    front: Front,
    on_front: Sequence[int],
    labels: Sequence[str],
) -> ScatterChart:
    quality = front.quality
    points = []
    for number, cell in quality.cells.items():
        if number in values:
            figure = cell.figure
            points.append(
                Point(
                    str(number), labels[number - 1], values[number], figure.value, figure.low, figure.high,
                    number in on_front,
                )
            )  # fmt: skip
    label = f"{quality.title}, {quality.better} is better"
    return ScatterChart(title, x_label, label, tuple(points), unit, quality.unit)
