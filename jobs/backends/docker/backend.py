"""Runs a job in a container, and finds it again from any terminal."""

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
from starfreight.jobs.backends.docker.container_output import follow, wait_for_engine
from starfreight.jobs.backends.docker.find_container import (
    Found,
    find_container,
    forget_unstarted,
    is_up,
    up_for,
)
from starfreight.jobs.backends.docker.finished_container import bring_home, clear_away
from starfreight.jobs.backends.docker.gpus import find_gpu_support, gpu_request
from starfreight.jobs.backends.docker.image import find_trainer
from starfreight.jobs.backends.docker.interrupts import Interrupts, passing_interrupts_on, terminate
from starfreight.jobs.backends.docker.mounts import lay_out
from starfreight.jobs.backends.docker.outcome import error_of
from starfreight.jobs.backends.docker.start_container import start_container
from starfreight.jobs.backends.interface import JobState
from starfreight.jobs.protocol.log import as_text, error_in, lines_of, read_log
from starfreight.jobs.protocol.progress import watch
from starfreight.jobs.protocol.record import JobEnd, JobRecord, job_lock
from starfreight.recipe import Recipe
from starfreight.run import Run

if TYPE_CHECKING:
    import docker

_PAUSE = 0.2


class DockerRunner:
    """Runs ``python -m starfreight.jobs.train`` in a container of the trainer image."""

    lives_on = True

    def __init__(self) -> None:
        self._engine: docker.DockerClient | None = None

    def check(self, recipe: Recipe) -> None:
        """See :class:`starfreight.jobs.backends.interface.Runner`."""
        engine = self._connected()
        find_trainer(engine, recipe.run.image)
        with engine_errors():
            info = engine.info()
        gpu_request(recipe.run.gpus, find_gpu_support(info))

    def run(self, folder: Path, console: Console) -> None:
        """See :class:`starfreight.jobs.backends.interface.Runner`."""
        with passing_interrupts_on() as interrupts:
            found = self._start_or_find(folder, console)
            if found is None:  # It ended while nobody looked, and has been brought home.
                return
            interrupts.follow(found.id)
            lines = follow(self._connected(), found.id, console, give_up=lambda: interrupts.asked)
            failure = watch(lines, console)
            end = self._wait_for_end(folder, console, interrupts)
        record = JobRecord.find(folder)
        if failure is None and end.exit_code != 0 and record is not None:
            failure = error_in(read_log(folder, record.log_begins))
        error = error_of(end, failure, folder, Run.load(folder).recipe)
        if error is not None:
            error.where = lay_out(folder, Run.load(folder)).on_this_machine(error.where)
            raise error

    def start(self, folder: Path, console: Console) -> None:
        """See :class:`starfreight.jobs.backends.interface.Runner`."""
        self._start_or_find(folder, console)

    def state(self, folder: Path) -> JobState:
        """See :class:`starfreight.jobs.backends.interface.Runner`."""
        record = JobRecord.find(folder)
        if record is None:
            return JobState(False, "no job")
        if record.end is None or record.leaves:
            with job_lock(folder):
                found, record = self._look(folder)
            if found is not None:
                paused = ", paused" if found.status == "paused" else ""
                return JobState(True, f"container {found.short} is up for {up_for(found)}{paused}")
        if record is None or record.end is None:
            return JobState(False, "no job")
        return JobState(False, f"the job {record.end.what}", record.end.exit_code)

    def lines(self, folder: Path, *, follow: bool) -> Iterator[str]:
        """See :class:`starfreight.jobs.backends.interface.Runner`."""
        import docker.errors

        with job_lock(folder):
            found, record = self._look(folder)
        if found is None or record is None:
            yield from read_log(folder)
            return
        yield from read_log(folder, end=record.log_begins)
        told = 0
        with contextlib.suppress(docker.errors.NotFound):
            for line in self._output(found, wait=follow):
                told += 1
                yield line
        # Another command may have brought the job home meanwhile, with what was not read here.
        with job_lock(folder):
            _, record = self._look(folder)
        if record is not None and record.end is not None:
            yield from itertools.islice(read_log(folder, record.log_begins), told, None)

    def cancel(self, folder: Path, console: Console, *, patience: float) -> JobState:
        """See :class:`starfreight.jobs.backends.interface.Runner`."""
        with job_lock(folder):
            found, _ = self._look(folder)
        if found is None:
            raise InputError(
                "No job of this run is at work.", where=str(folder), fix="see starfreight jobs status"
            )
        console.note(f"Asked container {found.short} to stop; waiting for its checkpoint.")
        terminate(found.id)
        limit = time.monotonic() + patience
        while (state := self.state(folder)).running:
            if time.monotonic() > limit:
                raise ServiceError(
                    f"The job has not stopped in {patience:.0f} s. It was asked to, and is not killed.",
                    where=f"container {found.short}",
                    fix="wait with a longer --timeout; docker kill ends it with the last checkpoint kept",
                )
            time.sleep(_PAUSE)
        return state

    def _connected(self) -> docker.DockerClient:
        if self._engine is None:
            self._engine = connect()
        return self._engine

    def _look(self, folder: Path) -> tuple[Found | None, JobRecord | None]:
        """The container if it is up, and the record; one that has ended is brought home. Under the lock."""
        record = JobRecord.find(folder)
        if record is not None and record.leaves:
            with contextlib.suppress(ServiceError):
                record = clear_away(self._connected(), folder, record)
        if record is None or record.end is not None or record.runner != "docker":
            return None, record
        engine = self._connected()
        found = find_container(engine, record, folder)
        if found is None:
            record = record.ended(None, "is gone: its container was removed from outside")
            record.save(folder)
            return None, record
        if found.status == "created":
            return None, forget_unstarted(engine, found, record, folder)
        if is_up(found):
            return found, record
        keep = Run.load(folder).recipe.run.keep_container
        return None, bring_home(engine, folder, record, found.attributes, keep=keep)

    def _start_or_find(self, folder: Path, console: Console) -> Found | None:
        """The container of the run's job: the one that is up, or a new one; ``None`` when the run is done."""
        with job_lock(folder):
            found, _ = self._look(folder)
            if found is not None:
                console.note(f"The job runs already, in container {found.short}.")
                return found
            run = Run.load(folder)
            if run.is_done(folder):
                return None
            return start_container(self._connected(), folder, run, console)

    def _wait_for_end(self, folder: Path, console: Console, interrupts: Interrupts) -> JobEnd:
        """The end of a job whose output has ended."""
        while True:
            try:
                with job_lock(folder):
                    found, record = self._look(folder)
            except NoEngine:
                self._engine = wait_for_engine(console, lambda: interrupts.asked)
                found = record = None
            if found is None and record is not None and record.end is not None:
                return record.end
            time.sleep(_PAUSE)

    def _output(self, found: Found, *, wait: bool) -> Iterator[str]:
        engine = self._connected()
        if wait:
            yield from follow(engine, found.id, Console(quiet=True), errors_too=True)
            return
        with engine_errors():
            for line in lines_of(engine.api.logs(found.id, stream=True, follow=False)):
                yield as_text(line)
