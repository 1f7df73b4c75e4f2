"""What a run's jobs have written, one after another: ``job.log`` in the run's folder.

Events (:mod:`starfreight.jobs.protocol.events`) and what libraries print stand in it as they came.
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
    """Opens a run's log, to read it or to write at its end.

    The folder is the job's to write to as well, so a link there may lead to any file of the user's, and a
    pipe may keep whoever opens it waiting.

    Raises:
        InputError: it is a link, or no file.
    """
    path = folder / LOG_FILE
    how = os.O_RDWR | os.O_CREAT | os.O_APPEND if write else os.O_RDONLY
    odd = InputError(
        "The job's log is a link or no file.", where=str(path), fix="look what made it so, and remove it"
    )
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
    """How many bytes there are by now."""
    try:
        return (folder / LOG_FILE).lstat().st_size
    except FileNotFoundError:
        return 0


def read_log(
    folder: Path, begin: int = 0, end: int | None = None, *, alive: Callable[[], bool] = lambda: False
) -> Iterator[str]:
    """The lines of a run's log, without their ends.

    Args:
        folder: the run's folder.
        begin: the byte to begin at.
        end: the byte to end before; the log's end when ``None``.
        alive: whether more may come; then it is waited for.

    Raises:
        InputError: the log is a link, or no file.
    """
    while not os.path.lexists(folder / LOG_FILE):
        if not alive():
            return
        time.sleep(_PAUSE)
    with open_log(folder) as stream:
        stream.seek(begin)
        rest = b""
        while end is None or stream.tell() < end:
            # Asked first: what is written between the question and the reading must not be missed.
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
    """Cuts a stream into lines, each with its end; the last one has none when the stream was cut off."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line[:LONGEST_LINE] + b"\n"
        if len(rest) > LONGEST_LINE:
            yield rest + b"\n"
            rest = b""
    if rest:
        yield rest


def as_text(line: bytes) -> str:
    """A line of a log as text, without its end."""
    return line.decode("utf-8", errors="replace").rstrip("\r\n")


def error_in(lines: Iterable[str]) -> StarfreightError | None:
    """The first error that a job's lines tell of: where several processes train, that one knows why."""
    for line in lines:
        event = receive(line)
        if event is not None and event["event"] == "error":
            return error_from(event)
    return None
