"""Answers to Ctrl-C and SIGTERM while a job is followed: at once, though the job itself may take a while.

A signal handler may do very little, so a thread prints the answer and does the rest.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator

from starfreight.console import Console

FIRST = "Stopping: the job finishes this step and writes a checkpoint. Press Ctrl-C again to stop it now."
SECOND = "Stopping now. The last checkpoint is kept."


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
        self._read, self._write = os.pipe()
        self._thread = threading.Thread(target=self._answer, daemon=True)

    def add(self) -> None:
        """Count a request. For signal handlers."""
        self.count += 1
        with contextlib.suppress(OSError):
            os.write(self._write, b"!")

    def _answer(self) -> None:
        count = 0
        while os.read(self._read, 1) == b"!":
            count += 1
            if count <= 2:
                with contextlib.suppress(OSError, ValueError):  # Standard error is closed.
                    self._console.note(FIRST if count == 1 else SECOND)
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
