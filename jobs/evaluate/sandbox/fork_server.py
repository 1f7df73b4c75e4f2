"""Boxes of a fork server in a sandbox: one after the other, in the same sandbox while that stays clean."""

from __future__ import annotations

import array
import contextlib
import os
import select
import socket
import subprocess
from collections.abc import Callable

from starfreight.errors import ServiceError
from starfreight.jobs.evaluate.sandbox.fork_server_source import BEGIN, CLEAN, END, READY
from starfreight.jobs.evaluate.sandbox.interface import Limits
from starfreight.jobs.evaluate.sandbox.process_box import ProcessBox

_START, _ANSWER = 30.0, 2.0
"""Seconds for the start of a server and for an answer."""


class ForkServer:
    """Makes boxes of a program.

    Args:
        launch: starts the sandbox with a server whose socket has the given descriptor.
        source: the boxes' program.
        limits: of the boxes.
    """

    def __init__(self, launch: Callable[[int], subprocess.Popen[bytes]], source: str, limits: Limits) -> None:
        self._launch, self._source, self._limits = launch, source, limits
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def start(self) -> ProcessBox:
        """A fresh box, in the running sandbox or in a new one.

        Raises:
            ServiceError: the sandbox does not start.
        """
        for _ in range(2):  # The box before may have killed the server while nobody looked.
            if self._control is None:
                self._open()
            box = self._begin()
            if box is not None:
                return box
            self.close()
        raise ServiceError("The sandbox ends as soon as it starts.", fix=_FIX)

    def close(self) -> None:
        """Ends the sandbox and everything in it."""
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            # Its death ends all processes in its process namespace.
            self._process.kill()
            self._process.wait()
            self._process = None

    def _open(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = self._launch(theirs.fileno())
        assert self._process.stdin is not None
        with contextlib.suppress(OSError), self._process.stdin as stdin:
            stdin.write(self._source.encode())
        if self._answer(_START) != READY:
            self.close()
            raise ServiceError("The sandbox does not start.", fix=_FIX)

    def _begin(self) -> ProcessBox | None:
        assert self._control is not None
        assert self._process is not None
        their_input, our_output = os.pipe()
        our_input, their_output = os.pipe()
        try:
            descriptors = array.array("i", [their_input, their_output])
            self._control.sendmsg([BEGIN], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
            begun = self._answer(_ANSWER) == READY
        except OSError:
            begun = False
        finally:
            os.close(their_input)
            os.close(their_output)
        if not begun:
            os.close(our_input)
            os.close(our_output)
            return None
        return ProcessBox(our_output, our_input, self._process.pid, self._limits, self._end)

    def _end(self) -> None:
        """Ends the box. What is not certainly clean is thrown away."""
        try:
            if self._control is not None:
                self._control.send(END)
                if self._answer(_ANSWER) == CLEAN:
                    return
        except OSError:
            pass
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
