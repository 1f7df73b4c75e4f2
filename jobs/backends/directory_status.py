"""State and progress of the jobs of this machine, for machines and for people."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starfreight.console import printable
from starfreight.jobs.backends.interface import Report
from starfreight.jobs.disk import disk_use
from starfreight.jobs.gpu.fault_record import in_words, read_faults
from starfreight.jobs.kinds.interface import Figures, Job

_MOST_FAULTS = 3
"""Faults of GPUs shown."""


@dataclass(frozen=True)
class JobState:
    """State of a run's last job.

    Attributes:
        running: true if it has not ended.
        what: e.g. ``container 3f2a... is up for 2 minutes``, ``no job``, ``the job was killed``.
        exit_code: of an ended job, if it is known.
        unknown: true if the engine that runs the job does not answer.
    """

    running: bool
    what: str
    exit_code: int | None = None
    unknown: bool = False


@dataclass(frozen=True)
class JobStatus:
    """A job with its state.

    Attributes:
        job: as its record describes it.
        where: the backend of its last job; ``None`` if it has never had one.
        state: of that job.
        started: time of the first start in the format of records; ``None`` if it is unknown.
    """

    job: Job
    where: str | None
    state: JobState
    started: str | None = None

    @property
    def word(self) -> str:
        """The record's status; ``interrupted`` if it says ``running`` and no job is."""
        if self.state.running:
            return "running"
        return "interrupted" if self.job.status == "running" else self.job.status


def status_report(status: JobStatus) -> Report:
    """Result of ``jobs status``."""
    job, state = status.job, status.state
    figures = job.kind.progress(job.directory, active=state.running)
    faults = read_faults(job.directory)
    disk = disk_use(job.directory)
    data = {
        "run": str(job.directory),
        "status": status.word,
        "where": status.where,
        "state": state.what,
        "exit_code": state.exit_code,
        "disk": disk and disk.as_dict(),
        "gpu_faults": [fault.model_dump(mode="json") for fault in faults],
        **figures.data,
    }
    rows = [("job", f"{status.where or 'none'}: {state.what}"), *figures.rows]
    rows += [("sick GPU", printable(in_words(fault))) for fault in faults[-_MOST_FAULTS:]]
    if disk is not None and (status.word != "done" or disk.nearly_full):
        rows.append(("disk", disk.in_words()))
    if not state.running and status.word not in ("done", "prepared"):
        rows.append(("resume", f"starfreight jobs resume {shlex.quote(str(job.directory))}"))
    width = max(9, *(len(label) for label, _ in rows))
    lines = [f"{job.id}: {status.word}", *(f"  {label.ljust(width)} {text}" for label, text in rows)]
    return Report(data, "\n".join(lines))


def ran_report(statuses: Sequence[JobStatus]) -> Report:
    """Result of ``jobs run`` and ``jobs resume``."""
    rows, lines = [], []
    for status in statuses:
        directory = status.job.directory
        rows.append({"run": str(directory), "status": status.word})
        if status.word == "done":
            lines.append(status.job.kind.next_step(directory))
        else:
            lines.append(
                f"The job is running: {status.state.what}. "
                f"Next: starfreight jobs status {shlex.quote(str(directory))}, logs -f or cancel"
            )
    return Report({"runs": rows}, "\n".join(lines))


def cancelled_report(job: Job, state: JobState) -> Report:
    """Result of ``jobs cancel``."""
    directory = job.directory
    rows = dict(job.kind.progress(directory, active=False).rows)
    kept = f" Kept: {rows['kept']}." if "kept" in rows else ""
    return Report(
        {"run": str(directory), "state": state.what, "exit_code": state.exit_code},
        f"{directory}: {state.what}.{kept} To resume: starfreight jobs resume {shlex.quote(str(directory))}",
    )


def list_report(listed: Sequence[tuple[JobStatus, Figures]], runs: Path) -> Report:
    """Result of ``jobs list``: the newest job last; those that were never started come first."""
    use = disk_use(runs)
    disk = use and use.as_dict()
    rows: list[dict[str, Any]] = []
    cells = [("RUN", "STATUS", "WHERE", "STARTED (UTC)", "RESULT")]
    for status, figures in sorted(listed, key=lambda each: each[0].started or ""):
        job = status.job
        row = {"run": str(job.directory), "status": status.word, "where": status.where}
        rows.append({**row, "started": status.started, **figures.data})
        started = "-" if status.started is None else status.started[:16].replace("T", " ")
        shown = ", ".join(f"{label} {text}" for label, text in figures.rows) or "-"
        cells.append((job.id, status.word, status.where or "-", started, shown))
    if not rows:
        return Report({"runs": [], "disk": disk}, f"No runs in {runs}.")
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )
    return Report({"runs": rows, "disk": disk}, "\n".join(lines))


_TIME = re.compile(r"[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}Z")


def known_time(*times: str | None) -> str | None:
    """The first of these times that is in the format of records: others can write records, too."""
    return next((time for time in times if time is not None and _TIME.fullmatch(time)), None)
