"""Locks of directories: one command at a time writes in a directory.

with only_one(out, "pressing") as directory:
    directory.empty(keep={LOCK_FILE})
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from starfreight.directories import Directory, open_directory
from starfreight.errors import InputError, ServiceError
from starfreight.files import disk_errors

LOCK_FILE = ".lock"
"""Name of the lock file, present in a directory while a command writes there."""

LOCK_PATIENCE = "STARFREIGHT_LOCK_PATIENCE"
"""Environment variable: seconds to wait for a lock. In a cluster, the previous pod may still be writing its
checkpoint."""

_PAUSE = 0.5
_ATTEMPTS = 1000
"""Limit for retries: some file systems (/proc) report a missing directory when they refuse to create it."""


@contextlib.contextmanager
def only_one(folder: Path, doing: str, below: Path | None = None) -> Iterator[Directory]:
    """Lock ``folder`` against other commands, creating it if missing.

    The kernel releases the lock when the process ends, however it ends. The lock file is deleted at the end
    of the block; after a kill it stays, and the next process takes it over.

    Args:
        folder: the directory to lock.
        doing: completes the error "Another process is already ... here."
        below: a directory from which ``folder`` starts; no component below it may be a link.

    Yields:
        the locked directory.

    Raises:
        InputError: another process still holds the lock after ``LOCK_PATIENCE`` seconds (default: 0), or a
            component below ``below`` is a link.
        ServiceError: the directory cannot be created.
    """
    path = folder / LOCK_FILE
    with contextlib.ExitStack() as stack:
        directory, lock = _locked(folder, doing, below, stack)
        try:
            yield directory
        finally:
            # The block may have deleted the directory, and another process may hold a new lock there. Unlink
            # ours while still locked: a process with the old file open notices and tries again.
            if _is_at(lock, path):
                directory.delete(LOCK_FILE)


def _locked(
    folder: Path, doing: str, below: Path | None, held: contextlib.ExitStack
) -> tuple[Directory, IO[bytes]]:
    """Open and lock the lock file until ``held`` closes, and make sure the path still refers to it."""
    path = folder / LOCK_FILE
    end = time.monotonic() + _patience()
    attempts = 0
    while attempts < _ATTEMPTS:
        attempts += 1
        # Another command may delete the file or the directory between any two of these steps.
        with contextlib.suppress(FileNotFoundError), disk_errors(path), contextlib.ExitStack() as stack:
            try:
                directory = stack.enter_context(open_directory(folder, below, create=True))
            except (FileExistsError, NotADirectoryError) as error:
                # Of the directory itself, or of one above it.
                blocking = next((each for each in (folder, *folder.parents) if os.path.lexists(each)), None)
                if blocking is None or blocking.is_dir():
                    continue
                raise InputError(
                    "A file is in the place of the directory.",
                    where=str(blocking),
                    fix="choose another directory",
                ) from error
            lock = stack.enter_context(_open_lock(directory))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() < end:
                    attempts = 0
                    time.sleep(_PAUSE)
                    continue
                raise InputError(
                    f"Another process is already {doing} here.",
                    where=str(folder),
                    fix="wait for it to end, or stop it, then run the same command again",
                ) from None
            if _is_at(lock, path):
                held.enter_context(stack.pop_all())
                return directory, lock
    raise ServiceError(
        "The directory cannot be created, or keeps disappearing.",
        where=str(folder),
        fix="choose a writable directory",
    )


def _patience() -> float:
    """The value of ``LOCK_PATIENCE``, 0 by default."""
    text = os.environ.get(LOCK_PATIENCE) or "0"
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise InputError(
            f"{text!r} is not a number of seconds.",
            where=f"environment variable {LOCK_PATIENCE}",
            fix="set it to a number such as 600, or unset it",
        )
    return seconds


def _is_at(file: IO[bytes], path: Path) -> bool:
    """True if ``path`` refers to the open file."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False


def _open_lock(directory: Directory) -> IO[bytes]:
    try:
        handle = directory.open(LOCK_FILE, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        if error.errno == errno.EISDIR:
            raise InputError(
                "The lock file is a directory.", where=str(directory.path / LOCK_FILE), fix="remove it"
            ) from error
        raise
    return os.fdopen(handle, "r+b", buffering=0)
