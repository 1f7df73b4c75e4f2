"""A request to stop this process, passed on to the container that it follows."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from starfreight.docker_engine import connect, engine_errors
from starfreight.errors import ServiceError

_PAUSE = 0.5
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Remembers that this process was asked to stop, and asks the container the same as soon as there is one.

    A handler of signals may do very little, so a thread talks to the engine.
    """

    def __init__(self) -> None:
        self.asked = False
        self._container: str | None = None
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._read, self._write = os.pipe()

    def follow(self, container: str) -> None:
        """From here on requests go to this container; one that came before goes there now."""
        with self._lock:
            self._container = container
        if self.asked:
            os.write(self._write, b"!")

    def note(self, number: int, frame: FrameType | None) -> None:
        """The handler."""
        self.asked = True
        with contextlib.suppress(OSError):
            os.write(self._write, b"!")

    def pass_on(self) -> None:
        """The thread: sends SIGTERM for each request until the block ends, once the engine takes it."""
        while os.read(self._read, 1) == b"!":
            with self._lock:
                container = self._container
            while container is not None and not self._closed.is_set():
                try:
                    terminate(container)
                    break
                except ServiceError:
                    self._closed.wait(_PAUSE)

    def close(self) -> None:
        """Ends the thread."""
        self._closed.set()
        os.write(self._write, b".")

    def forget(self) -> None:
        """Closes what the thread listened to."""
        os.close(self._read)
        os.close(self._write)


def terminate(container: str) -> None:
    """Sends SIGTERM to a container, if it still runs.

    Raises:
        ServiceError: the engine does not answer.
    """
    import docker.errors

    engine = connect()
    with contextlib.suppress(docker.errors.NotFound), engine_errors():
        try:
            engine.api.kill(container, signal="SIGTERM")
        except docker.errors.APIError as error:
            if "is not running" not in str(error.explanation):
                raise


@contextlib.contextmanager
def passing_interrupts_on() -> Iterator[Interrupts]:
    """Takes SIGINT and SIGTERM over until the block ends."""
    interrupts = Interrupts()
    earlier = {number: signal.signal(number, interrupts.note) for number in _SIGNALS}
    thread = threading.Thread(target=interrupts.pass_on, daemon=True)
    thread.start()
    try:
        yield interrupts
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
        interrupts.close()
        thread.join()
        interrupts.forget()
