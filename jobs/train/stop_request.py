"""A request to stop, which is granted between two steps."""

from __future__ import annotations

import signal
import time
from types import FrameType

from starfreight.errors import JobStopped


class StopRequest:
    """Remembers SIGTERM and SIGINT until training can stop with nothing lost.

    A second signal ends the process at once; then the last checkpoint is the one that counts.
    """

    def __init__(self) -> None:
        self._asked = False
        self._deadline: float | None = None

    def listen(self) -> None:
        """Takes over both signals. Called before anything slow is imported, since until then they kill."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._remember)

    def limit(self, seconds: float | None, since: float | None = None) -> None:
        """Asks to stop when so many seconds are over; ``None`` takes the limit away.

        Args:
            seconds: how long.
            since: from when on, by the monotonic clock; from now on when not given.
        """
        begin = time.monotonic() if since is None else since
        self._deadline = None if seconds is None else begin + seconds

    @property
    def asked(self) -> bool:
        """Whether training should stop as soon as it can."""
        return self._asked or (self._deadline is not None and time.monotonic() >= self._deadline)

    def check(self, asked: bool | None = None) -> None:
        """Stops here when a stop was asked for.

        Args:
            asked: whether it was, when that was agreed on with other processes.

        Raises:
            JobStopped: it was.
        """
        if self.asked if asked is None else asked:
            raise JobStopped(
                "The job stopped because it was asked to.", fix="run the same command again to go on"
            )

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        signal.signal(number, signal.SIG_DFL)
