"""Finished suites of a job that goes on: ``finished/<suite>.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field

from starfreight.evaluation import SuiteResult, SuiteScores
from starfreight.jobs.evaluate.suites.interface import Example, Measured
from starfreight.records import Record

FINISHED_FOLDER = "finished"
_LIMIT = 64 << 20


class FinishedSuite(Record):
    """A suite with its figures, its items' values and a few completions."""

    version: Literal[1] = 1
    result: SuiteResult
    scores: SuiteScores | None = None
    examples: tuple[dict[str, Any], ...] = Field(default=())

    @classmethod
    def of(cls, prepared: SuiteResult, measured: Measured, seconds: float) -> Self:
        """A measured suite.

        Args:
            prepared: its result without figures.
            measured: the outcome.
            seconds: time that it took.
        """
        result = prepared.model_copy(
            update={
                "figures": tuple(measured.figures),
                "settings": {**prepared.settings, **measured.settings},
                "seconds": round(seconds, 3),
            }
        )
        figures = {name: dict(values) for name, values in measured.scores.items()}
        scores = SuiteScores(problems=dict(measured.problems), figures=figures)
        return cls(result=result, scores=scores, examples=_plain(measured.examples))

    @classmethod
    def skipped(cls, prepared: SuiteResult, reason: str) -> Self:
        """A suite that cannot be run with this model or on this machine."""
        return cls(result=prepared.model_copy(update={"skipped": reason}))

    @classmethod
    def find(cls, directory: Path, suite: str) -> Self | None:
        """A finished suite of a job; ``None`` if it is not finished.

        Raises:
            InputError: as :meth:`Record.read`.
        """
        path = directory / FINISHED_FOLDER / f"{suite}.json"
        return cls.read(path, newest=1, limit=_LIMIT, kind="suite's result") if path.exists() else None

    def save(self, directory: Path) -> None:
        """Writes it."""
        self.write(directory / FINISHED_FOLDER / f"{self.result.suite}.json")


def _plain(examples: Sequence[Example]) -> tuple[dict[str, Any], ...]:
    return tuple(_with_plain_scores(asdict(each), each.scores) for each in examples)


def _with_plain_scores(value: dict[str, Any], scores: Mapping[str, float]) -> dict[str, Any]:
    return value | {"scores": {name: float(score) for name, score in scores.items()}}
