"""What every runner offers."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from starfreight.console import Console


class Runner(Protocol):
    """A place where jobs run."""

    def run(self, folder: Path, console: Console) -> None:
        """Runs the job in a run's folder to its end, and shows its progress.

        A signal that asks this process to stop is passed on to the job.

        Raises:
            JobStopped: the job was asked to stop, and its checkpoint is written.
            JobFailed: the job ended by a fault of its own.
            StarfreightError: what else the job reported.
        """
