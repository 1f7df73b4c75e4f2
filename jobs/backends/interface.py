"""What every runner offers, whether its jobs are processes, containers or pods.

A run's folder is all that is needed to find its job again: ``job.json`` in it says which runner has it
and what that runner calls it. So a second terminal, or the first one a day later, can look at it, stop it and
go on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from starfreight.console import Console
from starfreight.recipe import Recipe


@dataclass(frozen=True)
class JobState:
    """What is known about a run's job now."""

    running: bool
    what: str
    """In words: ``container 3f2a..., up for 2 minutes``, ``no job``, ``was killed: out of memory``."""
    exit_code: int | None = None
    """Of a job that has ended and that the runner still knows."""


class Runner(Protocol):
    """A place where jobs run."""

    lives_on: bool
    """Whether a job goes on when the command that started it is gone, so that it can be left alone."""

    def check(self, recipe: Recipe) -> None:
        """Looks whether a recipe's job can run here, before anything is prepared or fetched for it.

        Raises:
            InputError: what is needed is missing: libraries, an image, GPUs.
            ServiceError: whoever runs jobs here does not answer.
        """

    def run(self, folder: Path, console: Console) -> None:
        """Runs the job in a run's folder to its end, and shows its progress.

        Where its job runs already, it is followed and not started again. A signal that asks this process to
        stop is passed on to the job.

        Raises:
            JobStopped: the job was asked to stop, and its checkpoint is written.
            JobFailed: the job ended by a fault of its own.
            StarfreightError: what else the job reported.
        """

    def start(self, folder: Path, console: Console) -> None:
        """Starts the job and leaves it alone.

        Raises:
            RecipeError: jobs of this runner do not live on by themselves.
            StarfreightError: the job cannot be started.
        """

    def state(self, folder: Path) -> JobState:
        """Looks at the job, and brings home what a job that has ended left outside the run's folder.

        Raises:
            ServiceError: whoever runs it does not answer.
        """

    def lines(self, folder: Path, *, follow: bool) -> Iterator[str]:
        """The job's output, a line each: events (:mod:`starfreight.jobs.protocol.events`) and library output.

        Args:
            folder: the run's folder.
            follow: wait for more until the job ends.
        """

    def cancel(self, folder: Path, console: Console, *, patience: float) -> JobState:
        """Asks the job to stop with a checkpoint, and waits for its end.

        Args:
            folder: the run's folder.
            console: says what is waited for.
            patience: seconds to wait.

        Raises:
            InputError: there is no job that runs.
            ServiceError: it has not ended in that time; it is not killed.
        """
