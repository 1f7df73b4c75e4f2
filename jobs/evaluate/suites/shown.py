"""Problems for people."""

from __future__ import annotations

from starfreight.jobs.evaluate.suites.interface import Example, Problem

_MOST = 2000


def shown(problem: Problem) -> Example:
    """A problem without a completion: the text next to the place."""
    suffix = problem.get("suffix")
    expected = problem.get("expected")
    return Example(
        id=problem["id"],
        prefix=problem["prefix"][-_MOST:],
        suffix=suffix[:_MOST] if suffix is not None else None,
        expected=expected[:_MOST] if expected is not None else None,
        text="",
        scores={},
    )
