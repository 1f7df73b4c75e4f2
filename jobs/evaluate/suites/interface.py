"""The plug point of suites: places for a model to complete, and the score of each completion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from starfreight.jobs.evaluate.python_tests import PythonProblem


@dataclass(frozen=True)
class Item:
    """A place to complete.

    Attributes:
        id: unique in its suite.
        problem: the source problem; items of one problem are one observation.
        prefix: text before the place.
        suffix: text after it; ``None`` to continue the prefix.
        stop: a completion ends before the first of these.
        most_tokens: length of a completion.
    """

    id: str
    problem: str
    prefix: str
    suffix: str | None
    stop: tuple[str, ...]
    most_tokens: int


class ExecutedSuite(Protocol):
    """A suite whose completions are run against tests."""

    @property
    def name(self) -> str:
        """Name in commands and records."""
        ...

    @property
    def items(self) -> Sequence[Item]:
        """All places, in the suite's order."""
        ...

    def tests(self, item: Item) -> PythonProblem:
        """The tests of an item."""
        ...

    def program(self, item: Item, completion: str) -> str:
        """The module to test: the item with a completion in place."""
        ...

    def reference(self, item: Item) -> str:
        """The suite's own right completion."""
        ...
