"""Forwards SIGINT and SIGTERM of this process to the container it follows; the second one ends it."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from starfreight.console import Console
from starfreight.docker_engine import connect, engine_errors
from starfreight.errors import ServiceError
from starfreight.jobs.backends.stop_answers import AT_ONCE, StopAnswers

_PAUSE = 0.5
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Records requests to stop this process, and forwards them to the container once it exists.

    A signal handler may do very little, so a thread talks to the engine.

    Args:
        console: shows an answer at once.
    """

    def __init__(self, console: Console) -> None:
        self.answers = StopAnswers(console, self._end)
        self.killed = False
        """True if the container was killed, because it did not end at once."""
        self._container: str | None = None
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._read, self._write = os.pipe()

    @property
    def requested(self) -> bool:
        """True if this process was asked to stop."""
        return self.answers.count > 0

    def follow(self, container: str) -> None:
        """Sets the container to forward to; an earlier request is forwarded now."""
        with self._lock:
            self._container = container
        if self.requested:
            os.write(self._write, b"!")

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Signal handler."""
        self.answers.add()
        with contextlib.suppress(OSError):
            os.write(self._write, b"!")

    def forward(self) -> None:
        """Body of the thread: sends SIGTERM for each request, and repeats it until the engine accepts it."""
        while os.read(self._read, 1) == b"!":
            self._send("SIGTERM")

    def _end(self, count: int) -> None:
        """Kills the container after a second request: in the middle of a long operation it sees no signal."""
        if count < 2 or self._closed.wait(AT_ONCE if count == 2 else 0):
            return
        self.killed = True
        self._send("SIGKILL")

    def _send(self, name: str) -> None:
        with self._lock:
            container = self._container
        while container is not None and not self._closed.is_set():
            try:
                send_signal(container, name)
                break
            except ServiceError:
                self._closed.wait(_PAUSE)

    def close(self) -> None:
        """Ends the thread."""
        self._closed.set()
        os.write(self._write, b".")

    def close_pipe(self) -> None:
        """Closes the pipe between the handler and the thread."""
        os.close(self._read)
        os.close(self._write)


def send_signal(container: str, name: str) -> None:
    """Sends a signal, e.g. ``SIGTERM``, to a container if it is running.

    Raises:
        ServiceError: the engine does not answer.
    """
    import docker.errors

    engine = connect()
    with contextlib.suppress(docker.errors.NotFound), engine_errors():
        try:
            engine.api.kill(container, signal=name)
        except docker.errors.APIError as error:
            if "is not running" not in str(error.explanation):
                raise


@contextlib.contextmanager
def forward_interrupts(console: Console) -> Iterator[Interrupts]:
    """Handles SIGINT and SIGTERM until the block ends; ``console`` shows an answer at once."""
    interrupts = Interrupts(console)
    with interrupts.answers.running():
        yield from _handling(interrupts)


def _handling(interrupts: Interrupts) -> Iterator[Interrupts]:
    earlier = {number: signal.signal(number, interrupts.handle) for number in _SIGNALS}
    thread = threading.Thread(target=interrupts.forward, daemon=True)
    thread.start()
    try:
        yield interrupts
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
        interrupts.close()
        thread.join()
        interrupts.close_pipe()
