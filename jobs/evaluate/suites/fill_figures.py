"""Scores and figures of filled places: exact match and edit similarity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starfreight.evaluation import Figure
from starfreight.jobs.evaluate.models.interface import Completion
from starfreight.jobs.evaluate.suites.interface import Problem
from starfreight.jobs.evaluate.suites.mean_figure import mean_figure
from starfreight.jobs.evaluate.suites.text_similarity import comparable, edit_similarity
from starfreight.statistics import compare_pairs

EXACT, EDIT = "exact_match", "edit_similarity"
METRICS = (EXACT, EDIT)
CONVENTIONS = {
    EXACT: "white space at the ends of lines and empty lines at the end do not count",
    EDIT: "1 - Levenshtein distance / characters of the longer text, after the same",
}

Scored = Mapping[str, Sequence[Mapping[str, float]]]


class FillScorer:
    """Compares completions with the right ones. A completion of one line ends with the line."""

    def score(self, problem: Problem, completion: Completion) -> dict[str, float]:
        """Exact match and edit similarity."""
        text, expected = completion.text, str(problem["expected"])
        if "\n" not in expected:
            text = text.split("\n", 1)[0]
        text, expected = comparable(text), comparable(expected)
        return {EXACT: float(text == expected), EDIT: edit_similarity(text, expected)}

    def close(self) -> None:
        """Nothing is open."""


def item_values(scored: Scored, name: str) -> dict[str, float]:
    """The mean of a score over the completions of each problem that has one."""
    found = {}
    for problem, samples in scored.items():
        values = [score[name] for score in samples if name in score]
        if values:
            found[problem] = sum(values) / len(values)
    return found


def figures_by_part(
    name: str, values: Mapping[str, float], clusters: Mapping[str, str], parts: Mapping[str, Sequence[str]]
) -> list[Figure]:
    """The mean of all items, then that of each part.

    Args:
        name: of the figure.
        values: by item.
        clusters: source problem by item.
        parts: the items of each part.
    """
    figures = [mean_figure(name, values, clusters)]
    for part, items in parts.items():
        chosen = {item: values[item] for item in items if item in values}
        figures.append(mean_figure(name, chosen, clusters, part))
    return [figure for figure in figures if figure is not None]


def parts_of(problems: Mapping[str, Problem]) -> dict[str, list[str]]:
    """Items by kind of place and by language, where there are several of them."""
    parts: dict[str, list[str]] = {}
    for key in ("kind", "language"):
        found: dict[str, list[str]] = {}
        for item, problem in problems.items():
            found.setdefault(str(problem[key])[:80], []).append(item)
        if len(found) > 1:
            parts.update(dict(sorted(found.items())))
    return parts


def gain_figure(
    name: str, before: Mapping[str, float], after: Mapping[str, float], clusters: Mapping[str, str]
) -> tuple[Figure, dict[str, Any]] | None:
    """The mean difference of two values of the same items, with its interval; and its test, for settings."""
    shared = [item for item in before if item in after]
    if not shared:
        return None
    problems = len({clusters[item] for item in shared})
    found = compare_pairs(before, after, clusters)
    if found is None:
        mean = sum(after[item] - before[item] for item in shared) / len(shared)
        return _gain(name, mean, mean, mean, len(shared), problems, "none"), {"p": None}
    test = {"p": found.p, "test": found.method, "significant": found.significant}
    return _gain(name, found.mean, found.low, found.high, found.items, problems, "bootstrap"), test


def _gain(name: str, value: float, low: float, high: float, items: int, problems: int, method: Any) -> Figure:
    return Figure(
        name=name,
        value=value,
        low=low,
        high=high,
        items=items,
        problems=problems,
        method=method,
        unit="fraction",
    )
