"""A plain process on this machine: the default, which needs nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import IO

from jobs.runners.watching import watch
from starfreight.console import Console
from starfreight.errors import InputError, JobFailed, JobStopped

LOG_FILE = "job.log"

_SECRETS = ("TOKEN", "PASSWORD", "SECRET", "CREDENTIAL", "_KEY")


class LocalRunner:
    """Runs ``python -m jobs.train`` in a session of its own, so that signals reach it once only."""

    def run(self, folder: Path, console: Console) -> None:
        """See :class:`jobs.runners.interface.Runner`."""
        _need_training_libraries()
        log = folder / LOG_FILE
        with log.open("ab") as errors, _passing_signals_on() as signals:
            process = signals.process = subprocess.Popen(
                # -P: a folder named jobs where the user stands must not take the place of ours.
                [sys.executable, "-P", "-m", "jobs.train", str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                encoding="utf-8",
                errors="replace",
                env=_environment(),
                start_new_session=True,
            )
            with process:
                signals.catch_up()
                assert process.stdout is not None
                failure = watch(_lines(process.stdout), console)
                code = process.wait()
        if failure is not None:
            raise failure
        if code == -signal.SIGTERM and signals.asked:
            # It came before the program could listen, or a second time.
            raise JobStopped(
                "The job stopped at once because it was asked to; its last checkpoint is kept.",
                fix="run the same command again to go on",
            )
        if code != 0:
            how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            raise JobFailed(
                f"The training process {how}.",
                where=str(log),
                fix="read the end of that log; run the same command again to go on from the last checkpoint",
            )


def _need_training_libraries() -> None:
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
            fix="pip install 'starfreight[train]'",
        )


def _environment() -> dict[str, str]:
    """This process's environment without anything that looks like a secret: training needs none."""
    kept = {k: v for k, v in os.environ.items() if not any(word in k.upper() for word in _SECRETS)}
    return kept | {
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONUNBUFFERED": "1",
    }


def _lines(stream: IO[str]) -> Iterator[str]:
    while line := stream.readline(1 << 20):
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
