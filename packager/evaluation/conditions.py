"""Conditions of measurement: the problems and options under which a recipe's gate accepts figures.

Otherwise a later evaluation with four easy problems, or on other files, would open the gate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import Field

from starfreight.evaluation import Evaluation, SuiteResult
from starfreight.records import Digest, Part

OPTIONS = ("samples", "temperature", "seed", "limit")
"""Settings of a suite that have to be equal to compare two models."""


class Condition(Part):
    """The problems and options of a suite."""

    problems: Digest | None = None
    """Digest of the problems as they were used."""
    options: Annotated[dict[str, int | float | None], Field(max_length=16)]

    @classmethod
    def of(cls, result: SuiteResult) -> Condition:
        """The conditions of a result. Settings other than numbers are left out."""
        values = {key: result.settings.get(key) for key in OPTIONS}
        return cls(
            problems=result.source.digest if result.source else None,
            options={key: value if _is_number(value) else None for key, value in values.items()},
        )


Conditions = Mapping[str, Condition]
"""Conditions by suite."""


def conditions_of(evaluations: Iterable[Evaluation]) -> Conditions:
    """The conditions of the suites that a recipe has run, from the first evaluation that ran each."""
    found: dict[str, Condition] = {}
    for evaluation in evaluations:
        for result in evaluation.results:
            if result.skipped is None and result.figures:
                found.setdefault(result.suite, Condition.of(result))
    return found


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)
