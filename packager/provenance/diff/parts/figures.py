"""Figures of both packages, with a test of each difference where the values of the items are there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from starfreight.console import printable
from starfreight.errors import GateError
from starfreight.package_evaluations import PackagedEvaluation, read_evaluations
from starfreight.packager.card.figures import figure_in_words
from starfreight.packager.evaluation.conditions import Condition
from starfreight.packager.provenance.diff.interface import Section, Side

if TYPE_CHECKING:
    from starfreight.evaluation import Figure, SuiteResult
    from starfreight.quantization import Quantization
    from starfreight.statistics import Difference

_ITEMS_OF = {"perplexity": "nats_per_token"}
"""Figures that are tested by the items of another one, which they grow with."""

_Found = tuple[PackagedEvaluation, "SuiteResult"]


class FiguresPart:
    """Figures of the evaluations, by quantization and suite."""

    name = "figures"

    def compare(self, before: Side, after: Side, names: int) -> Section | None:
        """See :class:`ComparedPart`."""
        lines: list[str] = []
        data: list[dict[str, Any]] = []
        sides = [(side, read_evaluations(side.opened.folder, side.package)) for side in (before, after)]
        quantizations = dict.fromkeys(
            variant.quantization for side in (before, after) for variant in side.package.variants
        )
        for quantization in quantizations:
            one, two = (
                {result.suite: (each, result) for each, result in found.results(quantization)}
                for _, found in sides
            )
            for suite in dict.fromkeys([*one, *two]):
                if suite in one and suite in two:
                    if one[suite][0].statement == two[suite][0].statement:
                        continue
                    found = _suite(quantization, one[suite], two[suite], (before, after))
                else:
                    found = [_only(quantization, suite, one.get(suite), two.get(suite))]
                for line, row in found:
                    lines.append(printable(line))
                    data.append(row)
        return Section(tuple(lines), {"figures": data}) if data else None


_Row = tuple[str, dict[str, Any]]


def _only(quantization: Quantization, suite: str, one: _Found | None, two: _Found | None) -> _Row:
    which = "measured in the second package alone" if one is None else "measured in the first package alone"
    row = {
        "quantization": str(quantization),
        "suite": suite,
        "before": one is not None,
        "after": two is not None,
    }
    return f"{quantization} {suite}: {which}", row


def _suite(quantization: Quantization, one: _Found, two: _Found, sides: tuple[Side, Side]) -> list[_Row]:
    """The whole suite's figures that both results have and that differ."""
    same = Condition.of(one[1]) == Condition.of(two[1])
    rows = []
    for figure in one[1].figures:
        other = two[1].figure(figure.name, figure.part)
        if figure.part or other is None or other == figure:
            continue
        row: dict[str, Any] = {
            "quantization": str(quantization),
            "suite": one[1].suite,
            "figure": figure.name,
            "before": figure.model_dump(mode="json"),
            "after": other.model_dump(mode="json"),
            "test": None,
        }
        if not same:
            verdict = "not tested: other problems or options"
        else:
            found = _test(figure.name, one, two, sides)
            verdict = _verdict(figure, found)
            row["test"] = {**asdict(found), "significant": found.significant} if found else None
        row["verdict"] = verdict
        head = f"{quantization} {one[1].suite} {figure.name}"
        rows.append((f"{head}: {figure_in_words(figure)} -> {figure_in_words(other)}; {verdict}", row))
    return rows


def _verdict(figure: Figure, found: Difference | None) -> str:
    if found is None:
        return "not tested: too few shared items, or their values are not in both packages"
    p = "p < 0.001" if found.p < 0.001 else f"p = {found.p:.2g}"
    if not found.significant:
        return f"not significant ({p})"
    better = (found.mean > 0) == (figure.better == "higher")
    return f"significantly {'better' if better else 'worse'} ({p})"


def _test(name: str, one: _Found, two: _Found, sides: tuple[Side, Side]) -> Difference | None:
    from starfreight.statistics import compare_pairs

    values: list[Mapping[str, float]] = []
    problems: dict[str, str] = {}
    for found, side in zip((one, two), sides, strict=True):
        try:
            scores = found[0].load_scores(side.opened.folder)
        except GateError:
            return None
        suite = scores.suites.get(found[1].suite) if scores else None
        if suite is None:
            return None
        values.append(suite.figures.get(name) or suite.figures.get(_ITEMS_OF.get(name, ""), {}))
        problems |= suite.problems
    clusters = {item: problems.get(item, item) for each in values for item in each}
    try:
        return compare_pairs(values[0], values[1], clusters)
    except OverflowError:  # Of sums; no suite has such values.
        return None
