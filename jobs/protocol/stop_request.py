"""A request to stop, honoured between two steps."""

from __future__ import annotations

import signal
import time
from types import FrameType

from starfreight.errors import JobStopped


class StopRequest:
    """Records SIGTERM and SIGINT until the job can stop without losing work.

    A second signal ends the process at once; the job then resumes from its last checkpoint or completion.
    """

    def __init__(self) -> None:
        self._requested = False
        self._deadline: float | None = None

    def listen(self) -> None:
        """Handle both signals. Call it before slow imports: until then a signal kills the process."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._remember)

    def limit(self, seconds: float | None, since: float | None = None) -> None:
        """Request a stop after ``seconds``; ``None`` removes the limit.

        Args:
            seconds: the time limit.
            since: start of the limit by the monotonic clock. Defaults to now.
        """
        begin = time.monotonic() if since is None else since
        self._deadline = None if seconds is None else begin + seconds

    @property
    def requested(self) -> bool:
        """True if training should stop as soon as possible."""
        return self._requested or (self._deadline is not None and time.monotonic() >= self._deadline)

    def check(self, requested: bool | None = None) -> None:
        """Stop here if a stop was requested.

        Args:
            requested: the decision agreed on with the other processes, instead of this process's own.

        Raises:
            JobStopped: a stop was requested.
        """
        if self.requested if requested is None else requested:
            raise JobStopped("The job stopped on request.", fix="run the same command again to resume")

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self._requested = True
        signal.signal(number, signal.SIG_DFL)
