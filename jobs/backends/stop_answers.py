"""Answers to Ctrl-C and SIGTERM while a job is followed: at once, though the job itself may take a while.

A signal handler may do very little, so a thread prints the answer and does the rest.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator

from starfreight.console import Console
from starfreight.errors import JobStopped
from starfreight.jobs.kinds.interface import Job

FIRST = "Stopping: the job ends as soon as it can. Press Ctrl-C again to stop it now."
FIRST_IN_STEP = (
    "Stopping: the job finishes this step and writes a checkpoint. Press Ctrl-C again to stop it now."
)
SECOND = "Stopping now. What the job has saved is kept."
AT_ONCE = 2.0
"""Seconds that a job has to end after a second request to stop, before it is killed."""


class StopAnswers:
    """Counts requests to stop, and answers the first two.

    Args:
        console: shows the answers.
        act: called in the thread after each answer, with the number of the request.
    """

    def __init__(self, console: Console, act: Callable[[int], None] = lambda count: None) -> None:
        self._console, self._act = console, act
        self.count = 0
        """Number of requests."""
        self.in_step = False
        """True while the job is at a step of training, which a first request lets it finish."""
        self._read, self._write = os.pipe()
        self._thread = threading.Thread(target=self._answer, daemon=True)

    def add(self) -> None:
        """Count a request. For signal handlers."""
        self.count += 1
        with contextlib.suppress(OSError):
            os.write(self._write, b"!")

    def set_in_step(self, in_step: bool) -> None:
        """Say if the job is at a step of training now."""
        self.in_step = in_step

    def _answer(self) -> None:
        count = 0
        while os.read(self._read, 1) == b"!":
            count += 1
            if count <= 2:
                with contextlib.suppress(OSError, ValueError):  # Standard error is closed.
                    first = FIRST_IN_STEP if self.in_step else FIRST
                    self._console.note(first if count == 1 else SECOND)
            self._act(count)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Answer until the block ends."""
        self._thread.start()
        try:
            yield
        finally:
            os.write(self._write, b".")
            self._thread.join()
            os.close(self._read)
            os.close(self._write)


def stopped_at_once(job: Job) -> JobStopped:
    """The end of a job after a second request to stop, with what it has kept."""
    kept = dict(job.kind.progress(job.directory, active=False).rows).get("kept")
    return JobStopped(
        "Stopped at once." + (f" Kept: {kept}." if kept else ""), fix="the same command continues"
    )
