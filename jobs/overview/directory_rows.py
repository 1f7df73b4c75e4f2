"""Rows for the runs in directories: of processes and containers on this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from starfreight.console import Console
from starfreight.errors import ServiceError
from starfreight.jobs.backends.directory import DirectoryBackend
from starfreight.jobs.backends.directory_list import from_each
from starfreight.jobs.backends.directory_status import JobState, JobStatus, known_time
from starfreight.jobs.backends.interface import Location
from starfreight.jobs.backends.table import open_backend
from starfreight.jobs.kinds.table import load_job
from starfreight.jobs.overview.row import RunRow
from starfreight.jobs.protocol.record import JobRecord

StateOf = Callable[[Path, JobRecord], JobState]


class Engines:
    """The backends that recorded jobs belong to. One that does not answer is not asked again.

    Attributes:
        silent: the error of each backend that does not answer, by its name.
    """

    def __init__(self) -> None:
        self._open: dict[str, DirectoryBackend] = {}
        self.silent: dict[str, str] = {}

    def state_of(self, directory: Path, record: JobRecord) -> JobState:
        """State of the last job in a directory; unknown if its backend does not answer."""
        name = record.runner
        try:
            if name not in self.silent:
                if name not in self._open:
                    backend = open_backend(name, Location(directory.parent))
                    assert isinstance(backend, DirectoryBackend)
                    self._open[name] = backend
                return self._open[name].job_state(directory)
        except ServiceError as error:
            self.silent[name] = error.what
        return JobState(False, self.silent[name], unknown=True)


def no_answer(directory: Path, record: JobRecord) -> JobState:
    """The state of a job whose backend is not asked."""
    return JobState(False, "no answer", unknown=True)


def needs_engine(directories: Iterable[Path], console: Console) -> list[Path]:
    """The directories whose job is not a process of this machine and has not ended, as far as is recorded."""

    def asks(directory: Path) -> Path | None:
        record = JobRecord.find(directory)
        is_open = record is not None and record.runner != "local" and (record.end is None or record.leaves)
        return directory if is_open else None

    return [each for each in from_each(directories, asks, Console(quiet=True)) if each is not None]


def directory_rows(directories: Iterable[Path], state_of: StateOf, console: Console) -> list[RunRow]:
    """A row for the job in each directory.

    Args:
        directories: of jobs.
        state_of: e.g. :meth:`Engines.state_of`.
        console: names directories that are left out.
    """
    return from_each(directories, lambda directory: _row(directory, state_of), console)


def _row(directory: Path, state_of: StateOf) -> RunRow:
    record = JobRecord.find(directory)
    state = JobState(False, "no job yet") if record is None else state_of(directory, record)
    job = load_job(directory)
    started = known_time(job.started, record.started if record else None)
    status = JobStatus(job, record.runner if record else None, state, started)
    figures = job.kind.progress(directory, active=state.running).data
    done, total, unit = _progress(figures)
    return RunRow(
        name=job.id,
        where=status.where,
        state="unknown" if state.unknown and job.status == "running" else status.word,
        started=started,
        done=done,
        total=total,
        unit=unit,
        loss=figures.get("loss"),
        seconds_left=figures.get("seconds_left") if state.running else None,
        path=str(directory),
    )


def _progress(figures: Mapping[str, Any]) -> tuple[int | None, int | None, str]:
    if "suites" not in figures:
        return figures.get("step"), figures.get("steps"), "steps"
    suites = [each for each in figures["suites"] if not each["skipped"]]
    done, total = (sum(each[key] or 0 for each in suites) for key in ("scored", "total"))
    return done, total, "completions"
