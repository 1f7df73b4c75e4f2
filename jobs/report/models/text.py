"""The comparison in a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from starfreight.console import human_count, printable
from starfreight.jobs.report.models.columns import Column
from starfreight.jobs.report.models.comparison import Comparison
from starfreight.jobs.report.models.evaluated import EvaluatedFile
from starfreight.jobs.report.models.figure_text import figure_text, interval_text
from starfreight.pages.visible_text import shortened

_LONGEST_NAME = 40


def models_text(comparison: Comparison, width: int) -> str:
    """Tables with the headline figures, as many as a width needs, and the findings."""
    if not comparison.files:
        return ""
    fixed = _fixed(comparison)
    columns = [_figures(comparison, column) for column in comparison.columns if column.headline]
    lines = []
    for chunk in _chunks(columns, width - _width(fixed), fixed):
        lines += [*_aligned([*fixed, *chunk]), ""]
    if any(verdict.marked for verdict in comparison.verdicts.values()):
        lines += ["* significantly better than all others (paired tests, Holm's correction, 5% level)", ""]
    for title, sentences in (
        ("", comparison.findings),
        ("Notes", comparison.notes),
        ("Left out", [f"{each.name}: {each.reason}" for each in comparison.left_out]),
    ):
        if sentences:
            lines += [title] if title else []
            for sentence in sentences:
                lines += textwrap.wrap(
                    printable(sentence), max(40, width), initial_indent="- ", subsequent_indent="  "
                )
            lines.append("")
    return "\n".join(lines).rstrip()


def short_names(files: Sequence[EvaluatedFile], most: int = _LONGEST_NAME) -> list[str]:
    """Names of the models for tables. Long ones are cut in the middle; their numbers tell them apart."""
    return [shortened(printable(file.name), most) for file in files]


def _fixed(comparison: Comparison) -> list[list[str]]:
    files, front = comparison.files, comparison.front
    numbers = range(1, len(files) + 1)
    columns = [
        ["", *(f"[{number}]" for number in numbers)],
        ["model", *short_names(files)],
        ["quant.", *(printable(file.quantization or "-") for file in files)],
        ["size", *("-" if file.size is None else human_count(file.size, "B") for file in files)],
    ]
    if front is not None:
        columns.append(["front", *("yes" if number in front.whole else "" for number in numbers)])
    return columns


def _figures(comparison: Comparison, column: Column) -> list[str]:
    verdict = comparison.verdicts.get(column)
    cells = []
    for number in range(1, len(comparison.files) + 1):
        cell = column.cells.get(number)
        if cell is None:
            cells.append("-")
            continue
        interval = interval_text(cell.figure)
        best = "*" if verdict and verdict.marked and verdict.best == number else " "
        cells.append(f"{figure_text(cell.figure)}{best}" + (f"({interval})" if interval else ""))
    return [f"{column.title} ", *cells]


def _chunks(columns: list[list[str]], room: int, fixed: list[list[str]]) -> list[list[list[str]]]:
    """Columns in groups that fit beside the fixed ones; one column at least."""
    chunks: list[list[list[str]]] = [[]]
    for column in columns:
        if chunks[-1] and _width([*chunks[-1], column]) > room:
            chunks.append([])
        chunks[-1].append(column)
    return chunks


def _width(columns: Sequence[Sequence[str]]) -> int:
    return sum(max(map(len, column)) + 2 for column in columns)


def _aligned(columns: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in columns]
    lines = []
    for row in zip(*columns, strict=True):
        cells = [
            cell.ljust(width) if place < 3 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines
