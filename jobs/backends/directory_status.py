"""State and progress of the jobs of this machine, for machines and for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starfreight.jobs.backends.interface import Report
from starfreight.jobs.kinds.interface import Job


@dataclass(frozen=True)
class JobState:
    """State of a run's last job.

    Attributes:
        running: true if it has not ended.
        what: e.g. ``container 3f2a... is up for 2 minutes``, ``no job``, ``the job was killed``.
        exit_code: of an ended job, if it is known.
    """

    running: bool
    what: str
    exit_code: int | None = None


@dataclass(frozen=True)
class JobStatus:
    """A job with its state.

    Attributes:
        job: as its record describes it.
        where: the backend of its last job; ``None`` if it has never had one.
        state: of that job.
    """

    job: Job
    where: str | None
    state: JobState

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
    data = {
        "run": str(job.directory),
        "status": status.word,
        "where": status.where,
        "state": state.what,
        "exit_code": state.exit_code,
        **figures.data,
    }
    rows = [("job", f"{status.where or 'none'}: {state.what}"), *figures.rows]
    if not state.running and status.word not in ("done", "prepared"):
        rows.append(("resume", f"starfreight jobs resume {job.directory}"))
    lines = [f"{job.id}: {status.word}", *(f"  {label:9} {text}" for label, text in rows)]
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
                f"Next: starfreight jobs status {directory}, logs -f or cancel"
            )
    return Report({"runs": rows}, "\n".join(lines))


def cancelled_report(directory: Path, state: JobState) -> Report:
    """Result of ``jobs cancel``."""
    return Report(
        {"run": str(directory), "state": state.what, "exit_code": state.exit_code},
        f"{directory}: {state.what}. To resume: starfreight jobs resume {directory}",
    )


def list_report(statuses: Sequence[JobStatus], runs: Path) -> Report:
    """Result of ``jobs list``."""
    rows: list[dict[str, Any]] = []
    lines = []
    for status in statuses:
        job = status.job
        figures = job.kind.headline(job.directory)
        rows.append({"run": str(job.directory), "status": status.word, "where": status.where, **figures.data})
        shown = ", ".join(f"{label} {text}" for label, text in figures.rows)
        lines.append(f"{job.id:40} {status.word:11} {status.where or '-':7} {shown}".rstrip())
    return Report({"runs": rows}, "\n".join(lines) or f"No runs in {runs}.")
