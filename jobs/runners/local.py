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
from starfreight.errors import InputError, JobFailed

LOG_FILE = "job.log"

_SECRETS = ("TOKEN", "PASSWORD", "SECRET", "CREDENTIAL", "API_KEY")


class LocalRunner:
    """Runs ``python -m jobs.train`` in a session of its own, so that signals reach it once only."""

    def run(self, folder: Path, console: Console) -> None:
        """See :class:`jobs.runners.interface.Runner`."""
        _need_training_libraries()
        log = folder / LOG_FILE
        with log.open("ab") as errors:
            process = subprocess.Popen(
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
        with process, _pass_signals_on(process):
            assert process.stdout is not None
            failure = watch(_lines(process.stdout), console)
            code = process.wait()
        if failure is not None:
            raise failure
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
        name for name in ("torch", "transformers", "peft", "bitsandbytes") if not importlib.util.find_spec(name)
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


@contextlib.contextmanager
def _pass_signals_on(process: subprocess.Popen[str]) -> Iterator[None]:
    def pass_on(number: int, frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)

    earlier = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
