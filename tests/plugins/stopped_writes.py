"""Stop a writer at each of its steps, in a child process: by a kill, or by a full disk."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starfreight.errors import StarfreightError

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def before_each_step(folder: Path, act: Callable[[str, int], object]) -> None:
    """Calls ``act`` with the kind and the number of each change that this process makes in ``folder``, before
    it is made. It cannot be undone: for a child process only.
    """
    count = 0

    def step(kind: str) -> None:
        nonlocal count
        count += 1
        act(kind, count)

    def audited(event: str, arguments: tuple[Any, ...]) -> None:
        changes = event in ("os.rename", "os.remove", "os.chmod", "os.mkdir", "os.link", "os.truncate")
        if not changes and not (event == "open" and arguments[2] & WRITING):
            return
        if not isinstance(arguments[0], (str, os.PathLike)):
            return
        path = Path(arguments[0])
        # A name alone is relative to an open directory.
        if path.is_relative_to(folder) or not path.is_absolute():
            if event == "open" and arguments[2] & os.O_TRUNC:
                os._exit(98)  # A file that is written over is half a file in between.
            step(event)

    def synced(handle: int) -> None:
        step("os.fsync")
        fsync(handle)

    fsync, os.fsync = os.fsync, synced
    sys.addaudithook(audited)


def in_a_child(folder: Path, act: Callable[[str, int], object], work: Callable[[], object]) -> int:
    """Does the work in a child process and returns how that ended; errors of ours are 4."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            before_each_step(folder, act)
            work()
            code = 0
        except StarfreightError:
            code = 4
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killer(number: int) -> Callable[[str, int], object]:
    return lambda kind, count: count == number and os.kill(os.getpid(), signal.SIGKILL)


def full_disk(number: int) -> Callable[[str, int], object]:
    """From a step on nothing can be written; deleting still works."""

    def refuse(kind: str, count: int) -> None:
        if count >= number and kind not in ("os.remove", "os.chmod"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return refuse
