"""Figures of evaluations as a table in the terminal, with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from starfreight.commands.outcome_counts import outcomes_text
from starfreight.evaluation import Evaluation, Figure

_MOST_PARTS = 8
"""Parts of a suite's first figure in the table; ``--json`` has all of them."""


def evaluations_data(evaluations: Sequence[Evaluation], directories: Sequence[Path]) -> dict[str, Any]:
    """For ``--json``."""
    return {
        "evaluations": [
            {"directory": str(directory), **each.model_dump(mode="json")}
            for each, directory in zip(evaluations, directories, strict=True)
        ]
    }


def evaluations_text(evaluations: Sequence[Evaluation], directories: Sequence[Path]) -> str:
    """For people: a table, what was skipped and why, and the directories. Parts stay with a single model."""
    most_parts = _MOST_PARTS if len(evaluations) == 1 else 0
    header = ("SUITE", "FIGURE", "VALUE", "95 % INTERVAL", "ITEMS")
    texts = []
    for each, directory in zip(evaluations, directories, strict=True):
        rows = [header]
        for result in each.results:
            for figure in _shown(result.figures, most_parts):
                name = f"{figure.name} ({figure.part})" if figure.part else figure.name
                rows.append(
                    (result.suite, name, _value(figure, figure.value), _interval(figure), f"{figure.items:,}")
                )
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [each.model.name]
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            lines.append("  " + "  ".join(cells).rstrip())
        for result in each.results:
            if outcomes := outcomes_text(result.settings):
                lines.append(f"  {result.suite}: {outcomes}")
            if result.skipped:
                lines.append(f"  {result.suite} was skipped: {result.skipped}")
            if result.contamination is not None and result.contamination.found:
                count = len(result.contamination.found)
                verb = "is" if count == 1 else "are"
                lines.append(f"  {result.suite}: {count:,} of the problems {verb} in the training data")
        if each.sandbox == "none":
            lines.append("  Generated code was run without a sandbox.")
        lines.append(f"  Evaluation written to {directory}.")
        texts.append("\n".join(lines))
    return "\n\n".join(texts)


def _shown(figures: Sequence[Figure], most_parts: int) -> list[Figure]:
    """The figures of the whole suite, and a few parts of the first one."""
    parts = [each for each in figures if each.part and each.name == figures[0].name]
    return [each for each in figures if not each.part] + parts[:most_parts]


def _value(figure: Figure, value: float) -> str:
    if figure.unit == "fraction":
        return f"{value:.1%}"
    if figure.unit == "bytes":
        return f"{value / 1e6:,.1f} MB"
    number = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{number} {figure.unit}".rstrip()


def _interval(figure: Figure) -> str:
    if figure.method == "none":
        return "-"
    return f"{_value(figure, figure.low)} to {_value(figure, figure.high)}"
