"""The best model of a figure, and the models that it is significantly better than."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from starfreight.jobs.report.models.columns import Cell, Column
from starfreight.statistics.paired import LEVEL, compare_pairs


@dataclass(frozen=True)
class PairedTest:
    """Comparison of a model with the best one.

    Attributes:
        model: number of the model.
        difference: the best one's mean over the shared items, minus this one's.
        low: lower end of the interval of the difference.
        high: upper end.
        p: p-value of the paired test; ``None`` if there was none.
        adjusted: p-value by Holm's correction for all comparisons of the figure.
        items: number of shared items.
        method: ``mcnemar`` or ``bootstrap``.
        untested: the reason, if there was no test.
    """

    model: int
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    adjusted: float | None = None
    items: int = 0
    method: str | None = None
    untested: str | None = None

    @property
    def significant(self) -> bool:
        """True if the best model is better at the 5% level."""
        return self.adjusted is not None and self.adjusted < LEVEL


@dataclass(frozen=True)
class Verdict:
    """The best model of a figure.

    Attributes:
        best: its number. Of equal ones, the first.
        tests: its comparisons with the others, the next best first.
    """

    best: int
    tests: tuple[PairedTest, ...]

    @property
    def marked(self) -> bool:
        """True if it is significantly better than all others."""
        return bool(self.tests) and all(each.significant for each in self.tests)

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        tests = [{**asdict(each), "significant": each.significant} for each in self.tests]
        return {"best": self.best, "significant": self.marked, "tests": tests}


def judge(column: Column, advance: Callable[[int], object] = lambda count: None) -> Verdict | None:
    """Compare the best model of a figure with all others, in pairs over the items that both have.

    Holm's correction is for the comparisons with the best one.

    Returns:
        ``None`` for fewer than two models.
    """
    if len(column.cells) < 2:
        return None
    sign = 1 if column.better == "higher" else -1
    order = sorted(column.cells, key=lambda number: (-sign * column.cells[number].figure.value, number))
    best, *others = order
    tests = []
    for number in others:
        tests.append(_test(column.cells[best], column.cells[number], number, sign))
        advance(1)
    return Verdict(best, _corrected(tests))


def tests_needed(columns: Sequence[Column]) -> int:
    """Number of comparisons of :func:`judge`."""
    return sum(len(column.cells) - 1 for column in columns)


def holm(p_values: Mapping[int, float]) -> dict[int, float]:
    """Adjusted p-values. Source: Holm, "A Simple Sequentially Rejective Multiple Test Procedure" (1979)."""
    adjusted: dict[int, float] = {}
    largest = 0.0
    for place, (name, p) in enumerate(sorted(p_values.items(), key=lambda each: each[1])):
        largest = max(largest, min(1.0, (len(p_values) - place) * p))
        adjusted[name] = largest
    return adjusted


def _test(best: Cell, other: Cell, number: int, sign: int) -> PairedTest:
    first, second = other.values, best.values
    if not first or not second:
        whose = "its" if second else "the best model's"
        return PairedTest(number, untested=f"{whose} values of the items are missing")
    shared = sum(item in second for item in first)
    if not shared:
        return PairedTest(number, untested="no items in common")
    found = compare_pairs(first, second, {**other.clusters, **best.clusters})
    if found is None:
        return PairedTest(number, items=shared, untested="fewer than two problems in common")
    # A difference of the wrong sign: the figures are of all items, the test is of the shared ones.
    p = found.p if sign * found.mean >= 0 else 1.0
    return PairedTest(number, found.mean, found.low, found.high, p, None, found.items, found.method)


def _corrected(tests: Sequence[PairedTest]) -> tuple[PairedTest, ...]:
    adjusted = holm({each.model: each.p for each in tests if each.p is not None})
    return tuple(PairedTest(**{**asdict(each), "adjusted": adjusted.get(each.model)}) for each in tests)
