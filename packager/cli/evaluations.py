"""Evaluations of a package as ``inspect`` prints them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starfreight.package import Package, Variant
    from starfreight.package_evaluations import PackageEvaluations

_MOST_LINES = 12
"""Figures of a suite in the text; ``--json`` prints all."""
_SIGNED = {True: "signed", False: "unsigned", None: "signature not checked"}


def evaluations_as_data(found: PackageEvaluations) -> list[dict[str, Any]]:
    """Every evaluation, for ``--json``."""
    return [
        {
            "quantization": str(each.quantization),
            "role": each.role,
            "id": each.evaluation.id,
            "ended": each.evaluation.ended,
            "signed": each.signed,
            "statement": each.statement.digest,
            "scores": each.scores.digest if each.scores else None,
            "sandbox": each.evaluation.sandbox,
            "results": [result.model_dump(mode="json") for result in each.evaluation.results],
        }
        for each in found.evaluations
    ]


def evaluation_lines(package: Package, found: PackageEvaluations) -> Iterator[str]:
    """The results that count, for people: the default variant's first."""
    from starfreight.packager.card.figures import figure_in_words

    first = package.default_variant
    variants = [first, *(each for each in package.variants if each != first)]
    shown = set()
    for quantization, role in _columns(variants):
        for packaged, result in found.results(quantization, role):
            if (packaged.statement, result.suite) in shown:
                continue  # One file in 16 bits is the reference of all variants.
            shown.add((packaged.statement, result.suite))
            model = {"model": str(quantization), "base": f"base {quantization}", "F16": "tuned F16"}[role]
            date = packaged.ended.date().isoformat()
            contaminated = result.contamination.found if result.contamination else ()
            hits = f", in the training data: {len(contaminated)}" if contaminated else ""
            yield f"  {model}, {result.suite} ({date}, {_SIGNED[packaged.signed]}{hits})"
            # Those of the whole suite say most; parts alone are better than nothing.
            whole = [figure for figure in result.figures if not figure.part] or result.figures
            names = [f"{each.name} {each.part}".rstrip() for each in whole[:_MOST_LINES]]
            width = max(24, *map(len, names), 0)
            for name, figure in zip(names, whole, strict=False):
                yield f"    {name.ljust(width)} {figure_in_words(figure)}"
            if more := len(result.figures) - len(whole[:_MOST_LINES]):
                yield f"    {more:,} more with --json"
    for problem in found.problems[:_MOST_LINES]:
        yield f"  {problem}"


def _columns(variants: list[Variant]) -> Iterator[tuple[Any, Any]]:
    for role in ("model", "F16", "base"):
        for variant in variants:
            yield variant.quantization, role
