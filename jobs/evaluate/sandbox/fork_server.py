"""Boxes of a fork server in a sandbox: one after the other, in the same sandbox while that stays clean.

The end of a box and the start of the next one go on while the parent does other work.
"""

from __future__ import annotations

import array
import contextlib
import os
import select
import socket
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from starfreight.errors import ServiceError
from starfreight.jobs.evaluate.sandbox.box_directory import BoxDirectory
from starfreight.jobs.evaluate.sandbox.fork_server_source import BEGIN, CLEAN, END, READY
from starfreight.jobs.evaluate.sandbox.interface import Limits
from starfreight.jobs.evaluate.sandbox.process_box import ProcessBox
from starfreight.jobs.evaluate.sandbox.watch import Watch

_START, _ANSWER = 30.0, 2.0
"""Seconds for the start of a server and for an answer."""


@dataclass(frozen=True)
class Launched:
    """A sandbox with a server in it.

    Attributes:
        process: its first process.
        directory: the directory that boxes write to, if it is not a file system of the sandbox's own.
        counts: true if the number of processes has to be watched.
        processes: returns the most processes of the user for a box; ``None`` if the server has its limit.
        ends_together: true if the end of the first process ends all others.
    """

    process: subprocess.Popen[bytes]
    directory: BoxDirectory | None = None
    processes: Callable[[], int] | None = None
    counts: bool = False
    ends_together: bool = True


@dataclass(frozen=True)
class _Next:
    """A box that was asked for: our ends of its pipes, and the server's answers to come."""

    output: int
    input: int
    answers: tuple[bytes, ...]


class ForkServer:
    """Makes boxes of a program.

    Args:
        launch: starts the sandbox with a server whose socket has the given descriptor.
        source: the boxes' program.
        limits: of the boxes.
    """

    def __init__(self, launch: Callable[[int], Launched], source: str, limits: Limits) -> None:
        self._launch, self._source, self._limits = launch, source, limits
        self._launched: Launched | None = None
        self._control: socket.socket | None = None
        self._next: _Next | None = None

    def start(self) -> ProcessBox:
        """A fresh box, in the running sandbox or in a new one.

        Raises:
            ServiceError: the sandbox does not start.
        """
        for _ in range(3):  # The one before may have been used, or killed while nobody looked.
            if self._next is None:
                self._open()
                self._begin()
            box = self._begun()
            if box is not None:
                return box
            self.close()
        raise ServiceError("The sandbox ends as soon as it starts.", fix=_FIX)

    def close(self) -> None:
        """Ends the sandbox and everything in it."""
        if self._next is not None:
            os.close(self._next.output)
            os.close(self._next.input)
            self._next = None
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._launched is not None:
            launched, self._launched = self._launched, None
            if not launched.ends_together:
                # It ends its boxes when its socket is closed.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    launched.process.wait(_ANSWER)
            launched.process.kill()
            launched.process.wait()
            if launched.directory is not None:
                launched.directory.remove()

    def _open(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._launched = self._launch(theirs.fileno())
        assert self._launched.process.stdin is not None
        with contextlib.suppress(OSError), self._launched.process.stdin as stdin:
            stdin.write(self._source.encode())
        if self._answer(_START) != READY:
            self.close()
            raise ServiceError("The sandbox does not start.", fix=_FIX)

    def _begin(self, *after: bytes) -> None:
        """Asks for a box, and for the answers to expect before the one to that."""
        assert self._control is not None
        assert self._launched is not None
        their_input, our_output = os.pipe()
        our_input, their_output = os.pipe()
        self._next = _Next(our_output, our_input, (*after, READY))
        try:
            most = self._launched.processes() if self._launched.processes else 0
            descriptors = array.array("i", [their_input, their_output])
            with contextlib.suppress(OSError):  # Then there will be no answer.
                self._control.sendmsg(
                    [BEGIN, struct.pack("=I", most)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)]
                )
        finally:
            os.close(their_input)
            os.close(their_output)

    def _begun(self) -> ProcessBox | None:
        """The box that was asked for; ``None`` if the sandbox has to be thrown away."""
        assert self._launched is not None
        assert self._next is not None
        with contextlib.suppress(OSError):
            if all(self._answer(_ANSWER) == expected for expected in self._next.answers):
                begun, self._next = self._next, None
                launched = self._launched
                watch = Watch(launched.process.pid, self._limits, launched.counts, launched.directory)
                return ProcessBox(begun.output, begun.input, self._limits, watch.exceeded, self._end)
        return None

    def _end(self) -> None:
        """Ends the box at once, and has the next one made meanwhile."""
        try:
            if self._control is not None:
                self._control.send(END)
                self._begin(CLEAN)
        except OSError:
            self.close()

    def _answer(self, seconds: float) -> bytes | None:
        assert self._control is not None
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        if not poll.poll(seconds * 1000):
            return None
        return self._control.recv(1)


_FIX = (
    "see the kernel's log; where user namespaces are disabled, run the evaluation in a container: --on docker"
)
