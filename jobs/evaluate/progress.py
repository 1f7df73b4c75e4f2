"""Progress and results of an evaluation, for ``jobs status`` and ``jobs list``."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from starfreight.console import human_count
from starfreight.evaluation import Evaluation, Figure, SuiteResult
from starfreight.files import open_regular
from starfreight.jobs.evaluate.finished_suites import FINISHED_FOLDER, FinishedSuite
from starfreight.jobs.evaluate.recorded_options import recorded_options
from starfreight.jobs.evaluate.store import COMPLETIONS_FOLDER
from starfreight.jobs.kinds.interface import Figures

_CHUNK = 1 << 20


def progress_of(directory: Path) -> Figures:
    """Each suite with its figures, its number of completions, or the reason for skipping it."""
    record = Evaluation.load(directory)
    rows: list[tuple[str, str]] = [("model", record.model.name)]
    suites: list[dict[str, Any]] = []
    for prepared in record.results:
        result = _finished(record, directory, prepared)
        scored, total = _scored(directory, prepared, record)
        suites.append(
            {
                "suite": prepared.suite,
                "scored": scored,
                "total": total,
                "skipped": result.skipped,
                "figures": [figure.model_dump(mode="json") for figure in result.figures],
            }
        )
        rows.append((prepared.suite, _in_words(result, scored, total)))
    return Figures(
        {"kind": "evaluate", "model": record.model.model_dump(mode="json"), "suites": suites}, tuple(rows)
    )


def headline_of(directory: Path) -> Figures:
    """The first figure of each finished suite; while it runs, the completions of the current suite."""
    record = Evaluation.load(directory)
    rows, data = [], []
    for prepared in record.results:
        result = _finished(record, directory, prepared)
        if result.figures:
            figure = result.figures[0]
            data.append({"suite": prepared.suite, "figure": figure.name, "value": figure.value})
            rows.append((prepared.suite, shown(figure)))
        elif not result.skipped and record.status != "prepared":
            scored, total = _scored(directory, prepared, record)
            data.append({"suite": prepared.suite, "scored": scored, "total": total})
            rows.append((prepared.suite, _in_words(result, scored, total)))
            break
    return Figures({"kind": "evaluate", "evaluation": data}, tuple(rows))


def shown(figure: Figure) -> str:
    """A figure's value for people: ``0.412``, ``26.3 tokens/s``."""
    if figure.unit == "fraction":
        return f"{figure.value:.1%}"
    if figure.unit == "bytes":
        return human_count(figure.value, "B")
    value = f"{figure.value:,.0f}" if abs(figure.value) >= 1000 else f"{figure.value:.3g}"
    return f"{value} {figure.unit}".rstrip()


def _in_words(result: SuiteResult, scored: int | None, total: int) -> str:
    if result.skipped:
        return f"skipped: {result.skipped}"
    if result.figures:
        return ", ".join(f"{each.name} {shown(each)}" for each in result.figures if not each.part)
    return "not finished" if scored is None else f"{scored:,} of {total:,}"


def _finished(record: Evaluation, directory: Path, prepared: SuiteResult) -> SuiteResult:
    """The result of a suite, as far as there is one."""
    if record.status != "done" and not prepared.skipped:
        with contextlib.suppress(Exception):  # Half-written by nobody, but perhaps edited.
            found = FinishedSuite.find(directory, prepared.suite)
            if found is not None:
                return found.result
    return prepared


def _scored(directory: Path, prepared: SuiteResult, record: Evaluation) -> tuple[int | None, int]:
    """The number of scored completions, ``None`` if the suite makes none, and the number of all."""
    count = prepared.source.count if prepared.source else 0
    total = count if prepared.skipped else count * recorded_options(record, prepared.suite).samples
    if record.status == "done" or (directory / FINISHED_FOLDER / f"{prepared.suite}.json").exists():
        return total, total
    lines = None
    with (
        contextlib.suppress(Exception),
        open_regular(
            directory / COMPLETIONS_FOLDER / f"{prepared.suite}.scores.jsonl", follow=False
        ) as stream,
    ):
        lines = 0
        while piece := stream.read(_CHUNK):
            lines += piece.count(b"\n")
    return None if lines is None else min(lines, total), total
