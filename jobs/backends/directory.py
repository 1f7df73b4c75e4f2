"""Common part of the backends of this machine: each job is a directory with its record, log and results.

Its ``job.json`` (:mod:`starfreight.jobs.protocol.record`) names the backend of its last job, so that any
terminal finds the job again.
"""

from __future__ import annotations

import shlex
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

from starfreight.console import Console
from starfreight.errors import InputError, RecipeError, ServiceError
from starfreight.jobs.backends.detach import check_detach
from starfreight.jobs.backends.directory_list import from_each, job_directories
from starfreight.jobs.backends.directory_status import (
    JobState,
    JobStatus,
    cancelled_report,
    known_time,
    list_report,
    ran_report,
    status_report,
)
from starfreight.jobs.backends.interface import (
    Deletion,
    Fetched,
    FetchedVariants,
    JobRequest,
    Location,
    LogLine,
    Report,
    Submitted,
)
from starfreight.jobs.backends.run_directories import check_runs, find_directory
from starfreight.jobs.disk import disk_use
from starfreight.jobs.kinds.interface import Figures, Job, JobKind
from starfreight.jobs.kinds.table import load_job
from starfreight.jobs.protocol.record import JobRecord
from starfreight.jobs.prune.rules import PruneRules
from starfreight.labelled_console import for_variant
from starfreight.recipe import expand
from starfreight.recipe.run import RunOptions


class DirectoryBackend(ABC):
    """A backend of this machine; see :class:`starfreight.jobs.backends.interface.Backend`.

    Such backends differ in the abstract methods. Each takes the directory of a job.
    """

    name: str
    outlives_command: bool
    """True if a job outlives the command that started it."""
    runs_later_steps = False
    unused_options: tuple[str, ...] = ()
    """Keys of ``run`` without an effect here."""

    def __init__(self, location: Location) -> None:
        self.location = location

    @abstractmethod
    def check(self, kind: JobKind, options: RunOptions) -> None:
        """Checks that a job can run here, before anything is prepared or fetched for it.

        Raises:
            InputError: a library, an image or a GPU is missing.
            ServiceError: the engine does not answer.
        """

    @abstractmethod
    def run(self, directory: Path, console: Console) -> None:
        """Runs the job to its end and shows its progress; follows it if it is running already.

        A signal that asks this process to stop is passed on to the job.

        Raises:
            JobStopped: the job was stopped on request, and its checkpoint is written.
            JobFailed: the job failed.
            StarfreightError: another error that the job reported.
        """

    @abstractmethod
    def start(self, directory: Path, console: Console) -> None:
        """Starts the job without following it.

        Raises:
            StarfreightError: the job cannot be started.
        """

    @abstractmethod
    def job_state(self, directory: Path) -> JobState:
        """State of the job. Results that an ended job left outside its directory are fetched first.

        Raises:
            ServiceError: the engine does not answer.
        """

    @abstractmethod
    def job_lines(self, directory: Path, *, follow: bool) -> Iterator[str]:
        """Output of the job, a line each: events and library output; with ``follow``, until it ends."""

    @abstractmethod
    def stop(self, directory: Path, console: Console, *, patience: float) -> JobState:
        """Asks the job to stop with a checkpoint, and waits for its end.

        Raises:
            InputError: no job is running.
            ServiceError: it has not ended in ``patience`` seconds; it is not killed.
        """

    def submit(self, request: JobRequest, console: Console) -> Submitted:
        """Prepares all variants, so that an invalid one fails early, then runs them one after another."""
        kind, file = request.kind, request.file
        self._warn_of_unused(file.recipe.run, console)
        variants = list(expand(file.recipe))
        if request.detach:
            check_detach(len(variants), self.name, outlives_command=self.outlives_command)
        runs = self.location.runs
        if not any(list(runs.glob(f"{each.name}-*/{kind.record_file}")) for each in variants):
            # Fail before the data is examined. A job that exists already may be finished.
            self.check(kind, file.recipe.run)
        directories = kind.prepare(variants, file.folder, runs, console, self._is_active, ship=request.ship)
        for number, (variant, directory) in enumerate(zip(variants, directories, strict=True)):
            named = for_variant(console, variant.name, number, len(variants))
            self._run_job(directory, named, detach=request.detach)
        return Submitted(tuple(str(each) for each in directories), ran_report(self._statuses(directories)))

    def state(self, name: str, console: Console) -> Report:
        """See :meth:`Backend.state`."""
        return status_report(self._status(self._find(name)))

    def lines(self, name: str, *, follow: bool, console: Console) -> Iterator[LogLine]:
        """See :meth:`Backend.lines`."""
        directory = self._find(name)
        if JobRecord.find(directory) is not None:
            for line in self.job_lines(directory, follow=follow):
                yield LogLine(line)

    def cancel(self, name: str, console: Console, *, patience: float) -> Report:
        """See :meth:`Backend.cancel`."""
        directory = self._find(name)
        if JobRecord.find(directory) is None:
            raise InputError(
                "The run has never had a job.", where=str(directory), fix="starfreight jobs resume"
            )
        state = self.stop(directory, console, patience=patience)
        return cancelled_report(load_job(directory), state)

    def resume(self, name: str, console: Console, *, detach: bool) -> Report:
        """Resumes the job on the backend that its record names."""
        directory = self._find(name)
        if detach:
            backend = self._open(load_job(directory).options.where)
            check_detach(1, backend.name, outlives_command=backend.outlives_command)
        self._run_job(directory, console, detach=detach)
        return ran_report(self._statuses([directory]))

    def fetch(self, name: str, runs: Path, console: Console, packages: Path | None = None) -> Fetched:
        """The results are on this machine already."""
        return Fetched(self._find(name))

    def fetch_variants(
        self,
        name: str,
        runs: Path,
        console: Console,
        packages: Path | None = None,
        *,
        only_if_built: bool = False,
    ) -> FetchedVariants:
        """Each variant of a sweep is a run of its own."""
        return FetchedVariants({name: self.fetch(name, runs, console, packages)}, is_one=True)

    def deletion(self, name: str, console: Console) -> Deletion:
        """Refused: here, a job is nothing but the directory of its run, with the results."""
        directory = self._find(name)
        raise InputError(
            "A job on this machine is the directory of its run, which holds the adapter and the checkpoints.",
            where=str(directory),
            fix=f"to delete all of it: rm -r {shlex.quote(str(directory))}. A job starts again with the "
            "current options of its recipe: starfreight jobs run RECIPE",
        )

    def list_jobs(self, console: Console) -> Report:
        """All jobs in the directory of runs, of any backend of this machine."""
        runs = self.location.runs
        check_runs(runs)

        def read(directory: Path) -> tuple[JobStatus, Figures]:
            status = self._status(directory)
            return status, status.job.kind.headline(directory)

        listed = from_each(job_directories(runs), read, console)
        disk = disk_use(runs)
        if disk is not None and disk.nearly_full:
            console.note(
                f"Warning: the disk of {runs} is {disk.in_words()}. "
                "To remove old runs: starfreight jobs prune"
            )
        return list_report(listed, runs)

    def status_word(self, directory: Path) -> str:
        """Status of a run, as in ``jobs list``."""
        return self._status(directory).word

    def prune(self, rules: PruneRules, packages: Path, console: Console, *, delete: bool) -> Report:
        """Removes runs of any backend of this machine. Kept containers stay."""
        from starfreight.jobs.prune.prune import prune, report

        def state_of(job: Job) -> tuple[str, bool]:
            status = self._status(job.directory)
            if status.state.unknown:
                raise ServiceError(status.state.what)
            return status.word, status.state.running

        runs = self.location.runs
        check_runs(runs)
        outcome = prune(runs, packages, rules, state_of, delete=delete)
        return report(outcome, str(runs))

    def _warn_of_unused(self, options: RunOptions, console: Console) -> None:
        default = RunOptions()
        unused = [key for key in self.unused_options if getattr(options, key) != getattr(default, key)]
        if unused:
            keys = " and ".join(f"run.{key}" for key in unused)
            verb = "has" if len(unused) == 1 else "have"
            console.note(
                f"Warning: {keys} {verb} no effect with --on {self.name}: the job has all GPUs, memory and "
                "networks of this machine. Limits need a container: --on docker"
            )

    def _find(self, name: str) -> Path:
        return find_directory(name, self.location)

    def _open(self, where: str) -> DirectoryBackend:
        """The backend of another job of this machine."""
        from starfreight.jobs.backends.table import open_backend

        if where == self.name:
            return self
        backend = open_backend(where, self.location)
        if not isinstance(backend, DirectoryBackend):
            raise RecipeError(
                f"The jobs of this recipe run on {where!r}, not on this machine.",
                where="key run.where",
                fix=f"add --on {where}, or --on local",
            )
        return backend

    def _run_job(self, directory: Path, console: Console, *, detach: bool) -> None:
        """Runs a prepared job, resumes it, or follows it where it is running already."""
        record = JobRecord.find(directory)
        had = self._open(record.runner) if record else None
        state = self._last_state(directory, had)
        job = load_job(directory)
        if job.kind.is_done(directory):
            console.note(f"{directory} is finished already.")
            return
        active = had is not None and had.outlives_command and state is not None and state.running
        backend = had if had is not None and active else self._open(job.options.where)
        if not active:
            backend.check(job.kind, job.options)
        (backend.start if detach else backend.run)(directory, console)

    def _last_state(self, directory: Path, backend: DirectoryBackend | None) -> JobState | None:
        """State of the last job; the results of one that has ended are fetched."""
        try:
            return backend.job_state(directory) if backend else None
        except ServiceError:
            if load_job(directory).kind.is_done(directory):  # Its log can be collected later.
                return None
            raise

    def _is_active(self, directory: Path) -> bool:
        """True if the directory has a job that can be followed."""
        record = JobRecord.find(directory)
        backend = self._open(record.runner) if record else None
        return backend is not None and backend.outlives_command and backend.job_state(directory).running

    def _statuses(self, directories: list[Path]) -> list[JobStatus]:
        return [self._status(directory) for directory in directories]

    def _status(self, directory: Path) -> JobStatus:
        record = JobRecord.find(directory)
        try:
            state = (
                self._open(record.runner).job_state(directory) if record else JobState(False, "no job yet")
            )
        except ServiceError as error:
            state = JobState(False, f"unknown: {error.what}", unknown=True)
        job: Job = load_job(directory)
        started = known_time(job.started, record.started if record else None)
        return JobStatus(job, record.runner if record else None, state, started)
