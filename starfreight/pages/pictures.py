"""Charts as PNG files, 960 x 540 pixels, for readers of files. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from starfreight.errors import InputError
from starfreight.files import atomic_write
from starfreight.pages.charts import Chart, LineChart, ScatterChart, WhiskerChart
from starfreight.pages.visible_text import shortened, visible

_COLOURS = ("#2c5fc4", "#b3480f", "#1c7a4b", "#7a44b5", "#8a6500", "#0b7782", "#b02f74", "#55606f")
"""Those of the light theme in ``style.css.jinja``."""

_PALE = "#a3aebd"
_LONGEST_NAME = 48
_MOST_ROWS = 80


def require_matplotlib(where: str) -> None:
    """Check for matplotlib.

    Args:
        where: the option that needs it.

    Raises:
        InputError: it is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise InputError(
            "Plots require matplotlib, which is not installed.",
            where=where,
            fix="pip install 'starfreight[train]'",
        ) from None


def save_chart(chart: Chart, picture: Path, below: Path | None = None) -> None:
    """Draw a chart and save it as PNG.

    Args:
        chart: the chart.
        picture: path of the PNG.
        below: as for :func:`starfreight.files.atomic_write`.
    """
    if isinstance(chart, LineChart):
        save_figure(lambda axes: _lines(axes, chart), picture, below)
    elif isinstance(chart, ScatterChart):
        save_figure(lambda axes: _scatter(axes, chart), picture, below)
    else:
        save_figure(lambda axes: _whiskers(axes, chart), picture, below, rows=len(chart.rows))


def save_figure(
    draw: Callable[[Any], None], picture: Path, below: Path | None = None, *, rows: int = 0
) -> None:
    """Draw with matplotlib and save as PNG; ``rows`` makes the picture higher where it is a long list."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height = max(5.4, 1.4 + 0.24 * min(rows, _MOST_ROWS))
    figure = Figure(figsize=(9.6, height), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    draw(axes)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x" if rows else "y", alpha=0.3)
    axes.set_axisbelow(True)
    with atomic_write(picture, below) as stream:
        figure.savefig(stream, format="png", metadata={"Software": "Starfreight"})


def _lines(axes: Any, chart: LineChart) -> None:
    for line in chart.lines:
        colour = _PALE if line.colour is None else _COLOURS[line.colour % len(_COLOURS)]
        width = 0.8 if line.colour is None else 1.8
        axes.plot(
            [x for x, _ in line.drawn], [y for _, y in line.drawn], "o-" if line.dots else "-",
            color=colour, linewidth=width, markersize=4,
        )  # fmt: skip
    axes.set(xlim=(0, None), **_titles(chart.title, chart.x_label, chart.y_label))
    if chart.zero:
        axes.set_ylim(0, None)
    if len(chart.legend) > 1:
        drawn = {line.name: handle for line, handle in zip(chart.lines, axes.lines, strict=True)}
        pale = next((drawn[line.name] for line in chart.lines if line.colour is None), None)
        handles = [pale if colour is None else drawn[name] for name, colour in chart.legend]
        names = [_label(name) for name, _ in chart.legend]
        for text in axes.legend(handles, names, frameon=False, fontsize="small").get_texts():
            text.set_parse_math(False)


def _scatter(axes: Any, chart: ScatterChart) -> None:
    front = chart.front
    axes.plot([each.x for each in front], [each.y for each in front], "--", color=_COLOURS[0], linewidth=1)
    for point in chart.points:
        colour = _COLOURS[0] if point.front else _PALE
        spread = [[max(0.0, point.y - point.low)], [max(0.0, point.high - point.y)]]
        axes.errorbar([point.x], [point.y], yerr=spread, fmt="o", color=colour, capsize=2)
        axes.annotate(
            _label(point.key), (point.x, point.y), xytext=(6, 6), textcoords="offset points",
            weight="bold" if point.front else "normal", parse_math=False,
        )  # fmt: skip
    axes.set(**_titles(chart.title, chart.x_label, chart.y_label))
    _units(axes.xaxis, chart.x_unit)
    _units(axes.yaxis, chart.y_unit)


def _whiskers(axes: Any, chart: WhiskerChart) -> None:
    rows = chart.rows[:_MOST_ROWS]
    for place, row in enumerate(rows):
        colour = _COLOURS[0] if row.best else _COLOURS[7]
        spread = [[max(0.0, row.value - row.low)], [max(0.0, row.high - row.value)]]
        axes.errorbar([row.value], [place], xerr=spread, fmt="o", color=colour, capsize=3)
    axes.set_yticks(
        range(len(rows)), [f"{_label(row.key)}  {_label(row.name)}" for row in rows], fontsize="small"
    )
    for text in axes.get_yticklabels():
        text.set_parse_math(False)
    axes.invert_yaxis()
    axes.set(**_titles(chart.title, f"{chart.better} is better" + "; 95% intervals" * chart.intervals, ""))
    _units(axes.xaxis, chart.unit)


def _titles(title: str, x_label: str, y_label: str) -> dict[str, str]:
    """Texts of ours, and names of figures; a dollar would start a formula."""
    return {
        "title": visible(title).replace("$", r"\$"),
        "xlabel": visible(x_label).replace("$", r"\$"),
        "ylabel": visible(y_label).replace("$", r"\$"),
    }


def _label(name: str) -> str:
    return shortened(visible(name), _LONGEST_NAME)


def _units(axis: Any, unit: str) -> None:
    from matplotlib.ticker import EngFormatter, PercentFormatter

    if unit == "fraction":
        axis.set_major_formatter(PercentFormatter(xmax=1.0))
    elif unit == "bytes":
        axis.set_major_formatter(EngFormatter(unit="B"))
