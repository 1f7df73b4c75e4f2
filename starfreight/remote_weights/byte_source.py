"""Ranges of a file at its source: requested, checked and requested again when a connection breaks."""

from __future__ import annotations

import mmap
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from urllib3.exceptions import MaxRetryError, ProtocolError

from starfreight.errors import ServiceError
from starfreight.registry.retries import MAX_WAIT
from starfreight.registry.session import retry_policy

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19}|\*)")


@dataclass(frozen=True)
class RangeAnswer:
    """An answer to a request for a range.

    Attributes:
        status: its HTTP status.
        content_range: its header of this name, empty without one.
        pieces: the body as it arrives, without decoding. Raises :class:`Broken`.
    """

    status: int
    content_range: str
    pieces: Iterator[bytes]


class ByteSource(Protocol):
    """A file at its source. Thread-safe."""

    @property
    def where(self) -> str:
        """The file, for an error."""

    @property
    def size(self) -> int:
        """Its length in bytes, as the source gives it."""

    @property
    def digest(self) -> str:
        """Its digest, as the source gives it."""

    def request(self, start: int, stop: int) -> AbstractContextManager[RangeAnswer]:
        """Request bytes ``start`` to ``stop``.

        Raises:
            Broken: worth another try.
            InputError: the file does not exist, or access is denied.
            ServiceError: the source fails.
        """


class Broken(Exception):
    """A connection broke, or the server is busy.

    Args:
        reason: completes "The weights cannot be read: ...".
        wait: seconds that the server asks to wait.
    """

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


def receive(source: ByteSource, start: int, stop: int, is_stopped: Callable[[], bool]) -> mmap.mmap:
    """Bytes ``start`` to ``stop``; a broken connection is replaced up to four times, where it broke.

    They are in a mapping of their own, whose memory goes back to the system with it: the C library keeps what
    many threads have allocated and freed.

    Args:
        source: the file.
        start: the first byte.
        stop: the byte after the last, which is not the first.
        is_stopped: true if the bytes are no longer wanted.

    Raises:
        InputError: the file does not exist, or access is denied.
        ServiceError: the source fails, ignores ranges, or sends another range.
    """
    data = mmap.mmap(-1, stop - start, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    done, retry = 0, retry_policy()
    while not is_stopped():
        try:
            with source.request(start + done, stop) as answer:
                _check(answer, source, start + done, stop)
                for piece in answer.pieces:
                    if done + len(piece) > len(data):
                        raise _unusable(source, "sends more bytes than requested")
                    data[done : done + len(piece)] = piece
                    done += len(piece)
                    if is_stopped():
                        break
            if done == len(data):
                return data
            broken = Broken("the connection closed early")
        except Broken as error:
            broken = error
        try:
            retry = retry.increment("GET", "/", error=ProtocolError(str(broken)))
        except MaxRetryError as error:
            raise ServiceError(
                f"The base model's weights cannot be read: {broken}.",
                where=source.where,
                fix="check the network, and run the same command again",
            ) from error
        if broken.wait is None:
            retry.sleep()
        else:
            time.sleep(min(broken.wait, MAX_WAIT))
    raise stopped(source.where)


def stopped(where: str) -> ServiceError:
    """The error of a read that nobody waits for any more."""
    return ServiceError("Reading the base model's weights was stopped.", where=where)


def _check(answer: RangeAnswer, source: ByteSource, start: int, stop: int) -> None:
    """Make sure that an answer holds the beginning of the requested range, of a file of the right size."""
    if answer.status == 200:
        raise _unusable(source, "ignores byte ranges")
    match = _CONTENT_RANGE.fullmatch(answer.content_range.strip())
    if answer.status != 206 or match is None:
        raise _unusable(source, f"does not answer a request for a byte range (status {answer.status})")
    first, last, total = match.groups()
    if total not in ("*", str(source.size)):
        raise _unusable(source, f"gives {int(total):,} bytes as its size, and gave {source.size:,} before")
    if int(first) != start or not start <= int(last) < stop:
        raise _unusable(source, "sends another byte range than requested")


def _unusable(source: ByteSource, what: str) -> ServiceError:
    return ServiceError(
        f"The server of the base model's weights {what}.",
        where=source.where,
        fix="download the base (--no-stream-base), which needs room on the disk, or name a directory with it",
    )
