"""A plain process on this machine: the default, which needs nothing."""

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
from starfreight.errors import InputError, JobFailed, JobStopped, RecipeError, ServiceError
from starfreight.jobs.backends.interface import JobState
from starfreight.jobs.backends.local.process import is_alive, open_process, process_identity
from starfreight.jobs.protocol.log import LOG_FILE, log_size, open_log, read_log
from starfreight.jobs.protocol.progress import watch
from starfreight.jobs.protocol.record import JobRecord, now
from starfreight.jobs.train.environment import ENVIRONMENT
from starfreight.recipe import Recipe

_PAUSE = 0.05
_RECORDING = 3.0
"""Seconds within which the command that started a job has written down how it ended, if it lives."""
_SECRETS = ("TOKEN", "PASSWORD", "SECRET", "CREDENTIAL", "_KEY")


class LocalRunner:
    """Runs ``python -m starfreight.jobs.train`` in a session of its own, so that signals reach it once."""

    lives_on = False
    """A job whose output nobody reads any more stops with a checkpoint."""

    def check(self, recipe: Recipe) -> None:
        """See :class:`starfreight.jobs.backends.interface.Runner`."""
        import importlib.util

        missing = [
            name
            for name in ("torch", "transformers", "peft", "bitsandbytes")
            if not importlib.util.find_spec(name)
        ]
        if missing:
            raise InputError(
                f"Training needs {', '.join(missing)}, which is not installed here.",
                where=sys.executable,
                fix="pip install 'starfreight[train]', or train in a container: --on docker",
            )

    def run(self, folder: Path, console: Console) -> None:
        """See :class:`starfreight.jobs.backends.interface.Runner`."""
        if self.state(folder).running:
            raise InputError(
                "Another process is already training here.",
                where=str(folder),
                fix="watch it with starfreight jobs logs -f, or stop it with starfreight jobs cancel",
            )
        log = folder / LOG_FILE
        with open_log(folder, write=True) as written, _passing_signals_on() as signals:
            begins = log_size(folder)
            process = signals.process = subprocess.Popen(
                # -P: a folder named jobs where the user stands must not take the place of ours.
                [sys.executable, "-P", "-m", "starfreight.jobs.train", str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=written,
                text=True,
                encoding="utf-8",
                errors="replace",
                env=_environment(),
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
                record.save(folder)
                assert process.stdout is not None
                failure = watch(_lines(process.stdout, written), console)
                code = process.wait()
        record.ended(code if code >= 0 else 128 - code, _how_it_ended(code)).save(folder)
        if failure is not None:
            raise failure
        if code == -signal.SIGTERM:  # It came before the program could listen, or a second time.
            raise JobStopped(
                "The job stopped at once because it was asked to; its last checkpoint is kept.",
                fix="run the same command again to go on",
            )
        if code != 0:
            raise JobFailed(
                f"The training process {_how_it_ended(code)}.",
                where=str(log),
                fix="read the end of that log; run the same command again to go on from the last checkpoint",
            )

    def start(self, folder: Path, console: Console) -> None:
        """See :class:`starfreight.jobs.backends.interface.Runner`."""
        raise RecipeError(
            "A plain process cannot be left alone.", where=str(folder), fix="leave --detach out"
        )

    def state(self, folder: Path) -> JobState:
        """See :class:`starfreight.jobs.backends.interface.Runner`."""
        record = JobRecord.find(folder)
        if record is None:
            return JobState(False, "no job")
        if record.end is not None:
            return JobState(False, f"the job {record.end.what}", record.end.exit_code)
        if is_alive(int(record.handle), record.identity):
            return JobState(True, f"process {record.handle}")
        return JobState(False, "the job ended, and the command that had started it was gone")

    def lines(self, folder: Path, *, follow: bool) -> Iterator[str]:
        """See :class:`starfreight.jobs.backends.interface.Runner`."""
        return read_log(folder, alive=lambda: follow and self.state(folder).running)

    def cancel(self, folder: Path, console: Console, *, patience: float) -> JobState:
        """See :class:`starfreight.jobs.backends.interface.Runner`."""
        record = JobRecord.find(folder)
        process = open_process(int(record.handle), record.identity) if record and not record.end else None
        if record is None or process is None:
            raise InputError(
                "No job of this run is at work on this machine.",
                where=str(folder),
                fix="see starfreight jobs status",
            )
        try:
            signal.pidfd_send_signal(process, signal.SIGTERM)
            console.note(f"Asked process {record.handle} to stop; waiting for its checkpoint.")
            if not select.select([process], [], [], patience)[0]:
                raise ServiceError(
                    f"The job has not stopped in {patience:.0f} s. It was asked to, and is not killed.",
                    where=f"process {record.handle}",
                    fix=f"wait with a longer --timeout; kill -9 {record.handle} ends it with the last "
                    "checkpoint kept",
                )
        finally:
            os.close(process)
        # Whoever started the process learns how it ended, and writes that down.
        limit = time.monotonic() + _RECORDING
        while (record := JobRecord.find(folder)) and not record.end and time.monotonic() < limit:
            time.sleep(_PAUSE)
        return self.state(folder)


def _how_it_ended(code: int) -> str:
    if code == -signal.SIGTERM:
        return "stopped because it was asked to, before it could listen"
    if code < 0:
        return f"was killed by signal {-code}"
    if code == JobStopped.exit_code:
        return "stopped because it was asked to, with its checkpoint written"
    return "ended" if code == 0 else f"ended with exit code {code}"


def _environment() -> dict[str, str]:
    """This process's environment without anything that looks like a secret: training needs none."""
    kept = {k: v for k, v in os.environ.items() if not any(word in k.upper() for word in _SECRETS)}
    return kept | ENVIRONMENT


def _lines(stream: IO[str], log: IO[bytes]) -> Iterator[str]:
    while line := stream.readline(1 << 20):
        log.write(line.encode())
        log.flush()
        yield line


class _Signals:
    """Passes what asks this process to stop on to the job, as SIGTERM."""

    def __init__(self) -> None:
        self.asked = False
        self._sent = False
        self.process: subprocess.Popen[str] | None = None

    def pass_on(self, number: int, frame: FrameType | None) -> None:
        """The handler."""
        self.asked = True
        self._send()

    def catch_up(self) -> None:
        """Asks the job to stop when that was asked of this process while the job was being started."""
        if self.asked and not self._sent:
            self._send()

    def _send(self) -> None:
        if self.process is not None:
            self._sent = True
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGTERM)


@contextlib.contextmanager
def _passing_signals_on() -> Iterator[_Signals]:
    signals = _Signals()
    earlier = {number: signal.signal(number, signals.pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield signals
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
