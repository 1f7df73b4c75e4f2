"""Runs each job in a container, and finds it again from any terminal."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from starfreight.console import Console
from starfreight.docker_engine import NoEngine, connect, engine_errors
from starfreight.errors import InputError, ServiceError
from starfreight.jobs.backends.directory import DirectoryBackend
from starfreight.jobs.backends.directory_status import JobState
from starfreight.jobs.backends.docker.container_output import follow, wait_for_engine
from starfreight.jobs.backends.docker.find_container import (
    Container,
    find_container,
    is_up,
    remove_unstarted,
    uptime,
)
from starfreight.jobs.backends.docker.finished_container import collect, remove_collected
from starfreight.jobs.backends.docker.gpus import find_gpu_support, gpu_request
from starfreight.jobs.backends.docker.image import find_job_image
from starfreight.jobs.backends.docker.interrupts import Interrupts, forward_interrupts, send_signal
from starfreight.jobs.backends.docker.mounts import plan_mounts
from starfreight.jobs.backends.docker.start_container import start_container
from starfreight.jobs.backends.endings import (
    AGAIN,
    KILLED,
    STOPPED_AT_ONCE,
    Advice,
    describe,
    error_of,
    recorded_ending,
)
from starfreight.jobs.backends.interface import Location
from starfreight.jobs.backends.stop_answers import stopped_at_once
from starfreight.jobs.kinds.interface import Job, JobKind
from starfreight.jobs.kinds.table import load_job
from starfreight.jobs.protocol.log import LOG_FILE, as_text, error_in, lines_of, read_log
from starfreight.jobs.protocol.progress import watch
from starfreight.jobs.protocol.record import JobEnd, JobRecord, job_lock
from starfreight.recipe.run import RunOptions

if TYPE_CHECKING:
    import docker

_PAUSE = 0.2


class DockerBackend(DirectoryBackend):
    """Runs each job's program in a container of its kind's image."""

    name = "docker"
    outlives_command = True

    def __init__(self, location: Location) -> None:
        super().__init__(location)
        self._engine: docker.DockerClient | None = None

    def check(self, kind: JobKind, options: RunOptions) -> None:
        """See :meth:`DirectoryBackend.check`."""
        engine = self._connected()
        find_job_image(engine, kind, options.image)
        with engine_errors():
            info = engine.info()
        gpu_request(options.gpus, find_gpu_support(info))

    def run(self, directory: Path, console: Console) -> None:
        """See :meth:`DirectoryBackend.run`."""
        with forward_interrupts(console) as interrupts:
            found = self._start_or_find(directory, console)
            if found is None:  # It has ended in the meantime, and its results have been collected.
                return
            interrupts.follow(found.id)
            lines = follow(self._connected(), found.id, console, give_up=lambda: interrupts.requested)
            failure = watch(lines, console, interrupts.answers.set_in_step)
            end = self._wait_for_end(directory, console, interrupts)
        record = JobRecord.find(directory)
        if failure is None and end.exit_code != 0 and record is not None:
            failure = error_in(read_log(directory, record.log_begins))
        job = load_job(directory)
        error = error_of(recorded_ending(end.exit_code, end.what), failure, _advice(job))
        if end.exit_code == STOPPED_AT_ONCE and interrupts.answers.count > 1:
            error = stopped_at_once(job)
        if error is not None:
            error.where = plan_mounts(job).host_path(error.where)
            raise error
        if interrupts.requested:  # Too late for the job, but not for later steps and variants.
            raise KeyboardInterrupt

    def start(self, directory: Path, console: Console) -> None:
        """See :meth:`DirectoryBackend.start`."""
        self._start_or_find(directory, console)

    def job_state(self, directory: Path) -> JobState:
        """See :meth:`DirectoryBackend.job_state`."""
        record = JobRecord.find(directory)
        if record is None:
            return JobState(False, "no job")
        if record.end is None or record.leaves:
            with job_lock(directory):
                found, record = self._refresh(directory)
            if found is not None:
                paused = ", paused" if found.status == "paused" else ""
                return JobState(True, f"container {found.short} is up for {uptime(found)}{paused}")
        if record is None or record.end is None:
            return JobState(False, "no job")
        return JobState(False, f"the job {record.end.what}", record.end.exit_code)

    def job_lines(self, directory: Path, *, follow: bool) -> Iterator[str]:
        """See :meth:`DirectoryBackend.job_lines`."""
        import docker.errors

        with job_lock(directory):
            found, record = self._refresh(directory)
        if found is None or record is None:
            yield from read_log(directory)
            return
        yield from read_log(directory, end=record.log_begins)
        count = 0
        with contextlib.suppress(docker.errors.NotFound):
            for line in self._output(found, wait=follow):
                count += 1
                yield line
        # Another command may have collected the job in the meantime, and with it lines not read here.
        with job_lock(directory):
            _, record = self._refresh(directory)
        if record is not None and record.end is not None:
            yield from itertools.islice(read_log(directory, record.log_begins), count, None)

    def stop(self, directory: Path, console: Console, *, patience: float) -> JobState:
        """See :meth:`DirectoryBackend.stop`."""
        with job_lock(directory):
            found, _ = self._refresh(directory)
        if found is None:
            raise InputError(
                "No job of this run is running.", where=str(directory), fix="see starfreight jobs status"
            )
        console.note(f"Asked container {found.short} to stop; waiting for its checkpoint.")
        send_signal(found.id, "SIGTERM")
        limit = time.monotonic() + patience
        while (state := self.job_state(directory)).running:
            if time.monotonic() > limit:
                raise ServiceError(
                    f"The job has not stopped in {patience:.0f} s. It is not killed.",
                    where=f"container {found.short}",
                    fix="wait with a longer --timeout; docker kill ends it and keeps the last checkpoint, "
                    "if one was written",
                )
            time.sleep(_PAUSE)
        return state

    def _connected(self) -> docker.DockerClient:
        if self._engine is None:
            self._engine = connect()
        return self._engine

    def _refresh(self, directory: Path) -> tuple[Container | None, JobRecord | None]:
        """The container if it is up, and the current record. The caller holds the lock.

        If the container has ended, its log and exit code are collected first.
        """
        record = JobRecord.find(directory)
        if record is not None and record.leaves:
            with contextlib.suppress(ServiceError):
                record = remove_collected(self._connected(), directory, record)
        if record is None or record.end is not None or record.runner != "docker":
            return None, record
        engine = self._connected()
        found = find_container(engine, record, directory)
        if found is None:
            record = record.ended(None, "is gone: its container was removed from outside")
            record.save(directory)
            return None, record
        if found.status == "created":
            return None, remove_unstarted(engine, found, record, directory)
        if is_up(found):
            return found, record
        keep = load_job(directory).options.keep_container
        return None, collect(engine, directory, record, found.attributes, keep=keep)

    def _start_or_find(self, directory: Path, console: Console) -> Container | None:
        """The container of the job: the one that is up, or a new one; ``None`` if the job is done."""
        with job_lock(directory):
            found, _ = self._refresh(directory)
            if found is not None:
                console.note(f"The job is running already, in container {found.short}.")
                return found
            job = load_job(directory)
            if job.kind.is_done(directory):
                return None
            return start_container(self._connected(), job, console)

    def _wait_for_end(self, directory: Path, console: Console, interrupts: Interrupts) -> JobEnd:
        """The end of a job whose output has ended."""
        while True:
            try:
                with job_lock(directory):
                    found, record = self._refresh(directory)
            except NoEngine:
                self._engine = wait_for_engine(console, lambda: interrupts.requested)
                found = record = None
            if found is None and record is not None and record.end is not None:
                return _killed_on_request(directory, record) if interrupts.killed else record.end
            time.sleep(_PAUSE)

    def _output(self, found: Container, *, wait: bool) -> Iterator[str]:
        engine = self._connected()
        if wait:
            yield from follow(engine, found.id, Console(quiet=True), with_stderr=True)
            return
        with engine_errors():
            for line in lines_of(engine.api.logs(found.id, stream=True, follow=False)):
                yield as_text(line)


def _killed_on_request(directory: Path, record: JobRecord) -> JobEnd:
    """The end of a job after a second request to stop: a kill is recorded as a stop at once."""
    assert record.end is not None
    if record.end.exit_code != KILLED:
        return record.end
    record = record.ended(STOPPED_AT_ONCE, describe(STOPPED_AT_ONCE))
    with job_lock(directory):
        record.save(directory)
    assert record.end is not None
    return record.end


def _advice(job: Job) -> Advice:
    more = "raise --memory" if job.options.memory else "free some memory"
    return Advice(
        where=str(job.directory / LOG_FILE),
        again=AGAIN,
        log="read the end of that log",
        memory=f"{more}, or {job.kind.memory_advice}",
    )
