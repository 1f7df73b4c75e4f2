"""Runs each job as a plain process on this machine: the default, with no dependencies."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import IO

from starfreight.console import Console
from starfreight.errors import InputError, RecipeError, ServiceError
from starfreight.jobs.backends.directory import DirectoryBackend
from starfreight.jobs.backends.directory_status import JobState
from starfreight.jobs.backends.endings import (
    AGAIN,
    KILLED,
    STOPPED_AT_ONCE,
    Advice,
    Ending,
    describe,
    error_of,
)
from starfreight.jobs.backends.local.environment import job_environment
from starfreight.jobs.backends.local.gpus import without_sick_gpus
from starfreight.jobs.backends.local.process import is_alive, open_process, process_identity
from starfreight.jobs.backends.stop_answers import AT_ONCE, StopAnswers, stopped_at_once
from starfreight.jobs.kinds.interface import Job, JobKind
from starfreight.jobs.kinds.table import load_job
from starfreight.jobs.protocol.log import LOG_FILE, log_size, open_log, read_log
from starfreight.jobs.protocol.progress import watch
from starfreight.jobs.protocol.record import JobRecord, now
from starfreight.recipe.run import RunOptions

_PAUSE = 0.05
_RECORDING = 3.0
"""Seconds within which the command that started a job records its end."""


class LocalBackend(DirectoryBackend):
    """Runs ``python -P -m MODULE DIRECTORY`` in a session of its own, so that signals reach it once."""

    name = "local"
    unused_options = ("image", "gpus", "memory", "network", "keep_container")
    outlives_command = False
    """A job whose output is no longer read stops with a checkpoint."""

    def check(self, kind: JobKind, options: RunOptions) -> None:
        """See :meth:`DirectoryBackend.check`."""
        import importlib.util

        missing = [name for name in kind.libraries if not importlib.util.find_spec(name)]
        if missing:
            raise InputError(
                f"{kind.activity.capitalize()} needs {', '.join(missing)}, which is not installed here.",
                where=sys.executable,
                fix=f"pip install 'starfreight[{kind.extra}]', or use a container: --on docker",
            )

    def run(self, directory: Path, console: Console) -> None:
        """See :meth:`DirectoryBackend.run`."""
        if self.job_state(directory).running:
            raise InputError(
                "Another process is already running this job.",
                where=str(directory),
                fix="follow it with starfreight jobs logs -f, or stop it with starfreight jobs cancel",
            )
        job = load_job(directory)
        with open_log(directory, write=True) as written, _forward_signals(console) as signals:
            begins = log_size(directory)
            process = signals.process = subprocess.Popen(
                # -P: the current directory must not shadow the job's modules.
                [sys.executable, "-P", "-m", job.kind.module, str(directory)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=written,
                text=True,
                encoding="utf-8",
                errors="replace",
                env=without_sick_gpus(job_environment(secrets=job.kind.secrets), directory, console),
                start_new_session=True,
            )
            with process:
                signals.catch_up()
                record = JobRecord(
                    runner="local",
                    handle=str(process.pid),
                    identity=process_identity(process.pid),
                    started=now(),
                    log_begins=begins,
                )
                record.save(directory)
                assert process.stdout is not None
                failure = watch(_lines(process.stdout, written), console, signals.answers.set_in_step)
                code = process.wait()
        ending = _ending(code, killed=signals.killed)
        record.ended(ending.exit_code, ending.what).save(directory)
        error = error_of(ending, failure, _advice(job))
        if ending.exit_code == STOPPED_AT_ONCE and signals.answers.count > 1:
            error = stopped_at_once(job)
        if error is not None:
            raise error
        if signals.requested:  # Too late for the job, but not for later steps and variants.
            raise KeyboardInterrupt

    def start(self, directory: Path, console: Console) -> None:
        """See :meth:`DirectoryBackend.start`."""
        raise RecipeError(
            "A plain process cannot be detached.", where=str(directory), fix="leave --detach out"
        )

    def job_state(self, directory: Path) -> JobState:
        """See :meth:`DirectoryBackend.job_state`."""
        record = JobRecord.find(directory)
        if record is None or record.runner != self.name:
            return JobState(False, "no job")
        if record.end is not None:
            return JobState(False, f"the job {record.end.what}", record.end.exit_code)
        if is_alive(int(record.handle), record.identity):
            return JobState(True, f"process {record.handle}")
        return JobState(False, "the job ended after the command that started it was gone")

    def job_lines(self, directory: Path, *, follow: bool) -> Iterator[str]:
        """See :meth:`DirectoryBackend.job_lines`."""
        return read_log(directory, alive=lambda: follow and self.job_state(directory).running)

    def stop(self, directory: Path, console: Console, *, patience: float) -> JobState:
        """See :meth:`DirectoryBackend.stop`."""
        record = JobRecord.find(directory)
        here = record is not None and record.runner == self.name and record.end is None
        process = open_process(int(record.handle), record.identity) if record is not None and here else None
        if record is None or process is None:
            raise InputError(
                "No job of this run is running on this machine.",
                where=str(directory),
                fix="see starfreight jobs status",
            )
        try:
            signal.pidfd_send_signal(process, signal.SIGTERM)
            console.note(f"Asked process {record.handle} to stop; waiting for its checkpoint.")
            if not select.select([process], [], [], patience)[0]:
                raise ServiceError(
                    f"The job has not stopped in {patience:.0f} s. It is not killed.",
                    where=f"process {record.handle}",
                    fix=f"wait with a longer --timeout; kill -9 {record.handle} ends it and keeps the last "
                    "checkpoint, if one was written",
                )
        finally:
            os.close(process)
        # The command that started the process gets its exit code, and records it.
        limit = time.monotonic() + _RECORDING
        while (record := JobRecord.find(directory)) and not record.end and time.monotonic() < limit:
            time.sleep(_PAUSE)
        return self.job_state(directory)


def _ending(code: int, *, killed: bool = False) -> Ending:
    """The end of a process from its return code; a negative one is a signal, as in :mod:`subprocess`.

    Args:
        code: the return code.
        killed: true if it was killed on request.
    """
    exit_code = code if code >= 0 else 128 - code
    if killed and exit_code == KILLED:
        exit_code = STOPPED_AT_ONCE
    return Ending(exit_code, describe(exit_code))


def _advice(job: Job) -> Advice:
    log = str(job.directory / LOG_FILE)
    return Advice(where=log, again=AGAIN, log="read the end of that log", memory=job.kind.memory_advice)


def _lines(stream: IO[str], log: IO[bytes]) -> Iterator[str]:
    while line := stream.readline(1 << 20):
        log.write(line.encode())
        log.flush()
        yield line


class _Signals:
    """Forwards requests to stop this process to the job, as SIGTERM; the second one ends the job.

    Args:
        console: shows an answer at once.
    """

    def __init__(self, console: Console) -> None:
        self.answers = StopAnswers(console, self._end)
        self.killed = False
        """True if the job was killed, because it did not end at once."""
        self._sent = False
        self.process: subprocess.Popen[str] | None = None

    @property
    def requested(self) -> bool:
        """True if this process was asked to stop."""
        return self.answers.count > 0

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Signal handler."""
        self.answers.add()
        self._send()

    def catch_up(self) -> None:
        """Forwards a signal that came while the job was being started."""
        if self.requested and not self._sent:
            self._send()

    def _send(self) -> None:
        if self.process is not None:
            self._sent = True
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGTERM)

    def _end(self, count: int) -> None:
        """Kills the job after the second request: in the middle of a long operation it sees no signal."""
        process = self.process
        if count < 2 or process is None:
            return
        end = time.monotonic() + (AT_ONCE if count == 2 else 0)
        while process.returncode is None and time.monotonic() < end:
            time.sleep(_PAUSE)
        if process.returncode is None:
            self.killed = True
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def _forward_signals(console: Console) -> Iterator[_Signals]:
    signals = _Signals(console)
    with signals.answers.running():
        earlier = {
            number: signal.signal(number, signals.handle) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield signals
        finally:
            for number, handler in earlier.items():
                signal.signal(number, handler)
