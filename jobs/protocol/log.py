"""The output of all jobs of a run: ``job.log`` in the run's directory.

It holds events (:mod:`starfreight.jobs.protocol.events`) and library output in the order of arrival.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO

from starfreight.errors import InputError, StarfreightError
from starfreight.jobs.protocol.events import error_from, receive

LOG_FILE = "job.log"
LONGEST_LINE = 1 << 20

_PAUSE = 0.2


@contextlib.contextmanager
def open_log(folder: Path, *, write: bool = False) -> Iterator[IO[bytes]]:
    """Opens a run's log, to read it or to append to it.

    The job can write to the directory, so a link there may lead to any file of the user's, and opening a
    pipe may block.

    Raises:
        InputError: it is not a regular file.
    """
    path = folder / LOG_FILE
    how = os.O_RDWR | os.O_CREAT | os.O_APPEND if write else os.O_RDONLY
    odd = InputError("The job's log is not a regular file.", where=str(path), fix="remove it")
    try:
        handle = os.open(path, how | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise odd from error
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise odd
    with os.fdopen(handle, "ab" if write else "rb") as stream:
        yield stream


def log_size(folder: Path) -> int:
    """Current size of the log in bytes."""
    try:
        return (folder / LOG_FILE).lstat().st_size
    except FileNotFoundError:
        return 0


def read_log(
    folder: Path, begin: int = 0, end: int | None = None, *, alive: Callable[[], bool] = lambda: False
) -> Iterator[str]:
    """The lines of a run's log, without line ends.

    Args:
        folder: the run's directory.
        begin: offset of the first byte.
        end: offset after the last byte; the log's end if ``None``.
        alive: returns true while more lines may come; they are waited for.

    Raises:
        InputError: the log is not a regular file.
    """
    while not os.path.lexists(folder / LOG_FILE):
        if not alive():
            return
        time.sleep(_PAUSE)
    with open_log(folder) as stream:
        stream.seek(begin)
        rest = b""
        while end is None or stream.tell() < end:
            # Asked before reading, so that no output written in between is missed.
            more_may_come = alive()
            left = LONGEST_LINE if end is None else min(LONGEST_LINE, end - stream.tell())
            piece = stream.readline(left)
            if not piece and not more_may_come:
                break
            if not piece:
                time.sleep(_PAUSE)
                continue
            rest += piece
            if rest.endswith(b"\n") or len(rest) >= LONGEST_LINE:
                yield as_text(rest)
                rest = b""
        if rest:
            yield as_text(rest)


def lines_of(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Splits a stream into lines with their ends; the last one has none if the stream was cut off."""
    rest = bytearray()  # Grows in place: a stream may come byte by byte.
    for piece in pieces:
        begin = 0
        while (end := piece.find(b"\n", begin)) >= 0:
            rest += piece[begin:end]
            yield bytes(rest[:LONGEST_LINE]) + b"\n"
            rest.clear()
            begin = end + 1
        rest += piece[begin:]
        if len(rest) > LONGEST_LINE:
            yield bytes(rest) + b"\n"
            rest.clear()
    if rest:
        yield bytes(rest)


def as_text(line: bytes) -> str:
    """A line of a log as text, without its end."""
    return line.decode("utf-8", errors="replace").rstrip("\r\n")


def error_in(lines: Iterable[str]) -> StarfreightError | None:
    """The first error event among a job's lines: with several processes, it has the reason."""
    for line in lines:
        event = receive(line)
        if event is not None and event["event"] == "error":
            return error_from(event)
    return None
