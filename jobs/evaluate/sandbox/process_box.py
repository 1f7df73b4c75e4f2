"""A box as its parent sees it: two pipes, and the limits that no rlimit keeps."""

from __future__ import annotations

import os
import select
import struct
import time
from collections.abc import Callable
from types import TracebackType
from typing import NoReturn, Self

from starfreight.jobs.evaluate.sandbox.interface import BoxEndedError, Limits

_LOOK = 0.1
"""Seconds between looks at the resources of a box that keeps its parent waiting."""
_FIRST_LOOKS = 0.02
"""Seconds between the first looks."""


class ProcessBox:
    """Exchanges messages with a box through pipes.

    Args:
        output: descriptor to write to; the box owns it.
        input: descriptor to read from; the box owns it.
        limits: of the box.
        exceeded: returns the name of a limit that the box exceeds.
        end: ends the processes of the box.
    """

    def __init__(
        self,
        output: int,
        input: int,
        limits: Limits,
        exceeded: Callable[[], str | None],
        end: Callable[[], None],
    ) -> None:
        self._output, self._input, self._limits = output, input, limits
        self._exceeded, self._end_processes = exceeded, end
        os.set_blocking(output, False)
        self._received = 0
        self._rest = b""
        self._open = True

    def send(self, message: bytes, deadline: float) -> None:
        """Sends a message; see :class:`Box`."""
        waiting = memoryview(struct.pack("=I", len(message)) + message)
        while waiting:
            self._wait(self._output, select.POLLOUT, deadline)
            try:
                waiting = waiting[os.write(self._output, waiting) :]
            except BlockingIOError:
                continue
            except OSError:
                self._end("exited")

    def receive(self, deadline: float) -> bytes:
        """The next message; see :class:`Box`."""
        (size,) = struct.unpack("=I", self._read(4, deadline))
        if size > self._limits.messages:
            self._end("output")
        return self._read(size, deadline)

    def close(self) -> None:
        """Ends the processes of the box."""
        if self._open:
            self._open = False
            os.close(self._output)
            os.close(self._input)
            self._end_processes()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, count: int, deadline: float) -> bytes:
        while len(self._rest) < count:
            self._wait(self._input, select.POLLIN, deadline)
            piece = os.read(self._input, 1 << 16)
            if not piece:
                self._end("exited")
            self._received += len(piece)
            if self._received > self._limits.messages:
                self._end("output")
            self._rest += piece
        taken, self._rest = self._rest[:count], self._rest[count:]
        return taken

    def _wait(self, pipe: int, event: int, deadline: float) -> None:
        if not self._open:
            raise BoxEndedError("exited")
        poll = select.poll()
        poll.register(pipe, event)
        look = _FIRST_LOOKS
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                self._end("time")
            if poll.poll(min(left, look) * 1000):
                return
            if limit := self._exceeded():
                self._end(limit)
            look = min(2 * look, _LOOK)

    def _end(self, reason: str) -> NoReturn:
        self.close()
        raise BoxEndedError(reason)
