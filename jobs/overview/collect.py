"""Collects the runs of all places at the same time, so that a place without an answer holds up no other.

overview = collect((Path("runs"),), Location(), console)
print(table(overview.rows, overview.now))
"""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starfreight.console import Console
from starfreight.errors import StarfreightError
from starfreight.jobs.backends.directory_list import job_directories
from starfreight.jobs.backends.interface import Location
from starfreight.jobs.overview.cluster_rows import cluster_rows, is_configured
from starfreight.jobs.overview.directory_rows import Engines, directory_rows, needs_engine, no_answer
from starfreight.jobs.overview.row import RunRow, order

_PATIENCE = 8.0
"""Seconds to wait for all places together."""


@dataclass(frozen=True)
class Overview:
    """All runs.

    Attributes:
        rows: active runs last.
        unreachable: the error of each place that does not answer, by its name.
        now: time of the overview.
    """

    rows: tuple[RunRow, ...]
    unreachable: dict[str, str]
    now: datetime.datetime

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "runs": [row.as_dict(self.now) for row in self.rows],
            "unreachable": [{"where": where, "what": what} for where, what in self.unreachable.items()],
        }


def collect(
    runs: Sequence[Path], cluster: Location, console: Console, *, patience: float = _PATIENCE
) -> Overview:
    """The runs in directories, and in the cluster if one is configured.

    Args:
        runs: directories of runs; missing ones have none.
        cluster: context and namespace.
        console: names directories that are left out.
        patience: seconds after which a place counts as unreachable.
    """
    directories = [each for folder in runs for each in job_directories(folder)]
    asking = needs_engine(directories, console)
    engines, unreachable = Engines(), {}
    parts: dict[str, _Part] = {}
    if asking:
        parts["docker"] = _Part(lambda: directory_rows(asking, engines.state_of, Console(quiet=True)))
    if is_configured(cluster):
        parts["kubernetes"] = _Part(lambda: cluster_rows(cluster, Console(quiet=True)))
    for part in parts.values():
        part.start()
    others = [each for each in directories if each not in set(asking)]
    rows = directory_rows(others, Engines().state_of, console)
    ends = time.monotonic() + patience
    for where, part in parts.items():
        part.join(max(0.0, ends - time.monotonic()))
        found = part.rows
        if found is None:
            unreachable[where] = part.error or f"no answer in {patience:.0f} s"
            found = directory_rows(asking, no_answer, Console(quiet=True)) if where == "docker" else []
        rows += found
    unreachable |= engines.silent
    return Overview(tuple(order(rows)), unreachable, datetime.datetime.now(datetime.UTC))


class _Part(threading.Thread):
    """A place that is asked in the background; the process does not wait for it at its end."""

    def __init__(self, ask: Callable[[], list[RunRow]]) -> None:
        super().__init__(daemon=True)
        self._ask = ask
        self.rows: list[RunRow] | None = None
        self.error: str | None = None

    def run(self) -> None:
        try:
            self.rows = self._ask()
        except StarfreightError as error:
            self.error = error.what
        except Exception as error:  # Of a library; the other places must be shown.
            self.error = f"{type(error).__name__}: {error}"
