"""A run in the table of all runs."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from starfreight.console import age_in_words, printable, time_in_words

ACTIVE = ("running", "waiting", "queued", "stopping")
"""States of jobs that have not ended."""

_HEADER = ("RUN", "WHERE", "STATE", "PROGRESS", "LOSS", "LEFT", "AGE")
_LEAST_NAME = 12


@dataclass(frozen=True)
class RunRow:
    """A run and its progress.

    Attributes:
        name: of the run, or of the job in a cluster.
        where: ``local``, ``docker`` or ``kubernetes``; ``None`` for a run that was never started.
        state: e.g. ``running``, ``done``, ``failed``, ``stopped``, ``unknown``.
        started: time in the format of records; ``None`` if it is unknown.
        done: finished steps, completions or variants; ``None`` if the number is unknown.
        total: all of them; ``None`` if the number is unknown.
        unit: of both.
        loss: of the last step, in nats per token.
        seconds_left: of an active run.
        path: of the run's directory; ``None`` in a cluster.
        namespace: of the job in a cluster.
    """

    name: str
    where: str | None
    state: str
    started: str | None = None
    done: int | None = None
    total: int | None = None
    unit: str = "steps"
    loss: float | None = None
    seconds_left: float | None = None
    path: str | None = None
    namespace: str | None = None

    @property
    def active(self) -> bool:
        """True if the run has not ended."""
        return self.state in ACTIVE

    def as_dict(self, now: datetime.datetime) -> dict[str, Any]:
        """For ``--json``; times in seconds."""
        return {**asdict(self), "age_seconds": self._age(now)}

    def cells(self, now: datetime.datetime) -> tuple[str, ...]:
        """The row for people; unknown values are dashes."""
        age = self._age(now)
        return (
            printable(self.name),
            self.where or "-",
            self.state,
            self._progress(),
            "-" if self.loss is None else f"{self.loss:.3f}",
            "-" if self.seconds_left is None or not self.active else time_in_words(self.seconds_left),
            "-" if age is None else age_in_words(age),
        )

    def _progress(self) -> str:
        if self.done is None:
            return "-"
        unit = "" if self.unit == "steps" else f" {self.unit}"
        return f"{self.done:,}{unit}" if self.total is None else f"{self.done:,} of {self.total:,}{unit}"

    def _age(self, now: datetime.datetime) -> float | None:
        if self.started is None:
            return None
        try:
            began = datetime.datetime.fromisoformat(self.started)
            return max(0.0, round((now - began).total_seconds(), 1))
        except (ValueError, TypeError, OverflowError):  # Others can write records, too.
            return None


def order(rows: Sequence[RunRow]) -> list[RunRow]:
    """Active runs last, next to the prompt; among each other by their start."""
    return sorted(rows, key=lambda row: (row.active, row.started or "", row.name))


def table(rows: Sequence[RunRow], now: datetime.datetime, width: int | None = None) -> str:
    """The rows as lines with aligned columns.

    Args:
        rows: in their order.
        now: for their age.
        width: of a terminal, in columns; longer lines lose the middle of their names.
    """
    cells = [_HEADER, *(row.cells(now) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    if width is not None:
        excess = sum(widths) + 2 * (len(widths) - 1) - width
        widths[0] = min(widths[0], max(_LEAST_NAME, widths[0] - excess))
    return "\n".join(
        "  ".join(
            cell.ljust(width)
            for cell, width in zip((_shortened(line[0], widths[0]), *line[1:]), widths, strict=True)
        ).rstrip()
        for line in cells
    )


def _shortened(name: str, width: int) -> str:
    """The name without its middle: variants of a sweep differ at their ends."""
    if len(name) <= width:
        return name
    end = (width - 1) * 2 // 3
    return f"{name[: width - 1 - end]}…{name[-end:]}"
