"""The plug point of sandboxes: a box runs an untrusted Python program and exchanges messages with it.

A program in a box has no network, no view of other processes, files or environments, and no place to
write but a small directory, the one it starts in. It is ended at its limits, with everything that it started.
It can tell its parent nothing but the bytes of its messages, so a verdict is never the program's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self


@dataclass(frozen=True)
class Limits:
    """Resources of one box.

    Attributes:
        memory: bytes of address space of a process, and of resident memory of all processes together.
        cpu: seconds of processor time of a process.
        processes: processes and threads at a time.
        disk: bytes of that directory, which may be memory.
        messages: bytes that the program may send in all.
        reserves: the programs reserve address space that they do not use, as V8 and the JVM do: ``memory``
            then bounds the data of a process instead of its address space.
    """

    memory: int = 512 << 20
    cpu: int = 10
    processes: int = 16
    disk: int = 32 << 20
    messages: int = 4 << 20
    reserves: bool = False


class BoxEndedError(Exception):
    """A box has come to its end.

    Attributes:
        reason: ``exited``, or the limit that ended it: ``time``, ``memory``, ``output``, ``disk`` or
            ``processes``.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Box(Protocol):
    """One box with its program, used once."""

    def send(self, message: bytes, deadline: float) -> None:
        """Sends a message to the program.

        Args:
            message: any bytes.
            deadline: by :func:`time.monotonic`; the box is ended when it passes.

        Raises:
            BoxEndedError: the program ended, or does not read.
        """
        ...

    def receive(self, deadline: float) -> bytes:
        """The next message of the program.

        Raises:
            BoxEndedError: it ended, or the deadline or another limit ended it.
        """
        ...

    def close(self) -> None:
        """Ends the program and every process that it started."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class BoxSource(Protocol):
    """Makes one box after the other, each with the same program. For one thread."""

    def start(self) -> Box:
        """A fresh box; the one before must be closed.

        Raises:
            ServiceError: no process can be started.
        """
        ...

    def close(self) -> None:
        """Ends everything."""
        ...


class Sandbox(Protocol):
    """A way to confine programs."""

    @property
    def name(self) -> str:
        """Name in records: ``bubblewrap 0.11.0``."""
        ...

    def boxes(
        self, source: str, *, limits: Limits | None = None, visible: tuple[Path, ...] = ()
    ) -> BoxSource:
        """Boxes for a program.

        Args:
            source: Python that defines ``main()``, which has ``receive_message() -> bytes`` and
                ``send_message(bytes)``. Its imports are paid once.
            limits: other limits than the sandbox's.
            visible: directories to show, read-only, besides the system's programs and libraries.
        """
        ...
