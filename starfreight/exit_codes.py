"""Ends a process with its program's exit code, whatever signals arrive after that."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

INTERRUPTED = 130
"""The exit code of a command that was interrupted."""
OUTPUT_CLOSED = 141
"""The exit code of a command whose output nobody reads any more: 128 and the number of SIGPIPE."""


def leave_with(main: Callable[[], int]) -> NoReturn:
    """Runs a program and exits with its return value.

    Python restores the default signal handlers some time before the process ends. A stop at that moment is
    too late to have an effect, and must not change the exit code.
    """
    try:
        code = main()
        _ignore_stops()
    except KeyboardInterrupt:  # A second one, while the first was being reported.
        code = INTERRUPTED
        _ignore_stops()
    if code == INTERRUPTED and _has_threads():
        # Python would wait for them: for a download whose server is silent, until it gives up.
        _end(code)
    sys.exit(code)


def leave_at_once(main: Callable[[], int]) -> NoReturn:
    """Like :func:`leave_with`, without the interpreter's shutdown. For programs that have loaded torch.

    Destructors of its process groups have been seen to abort a process that had done its work. Standard
    output and standard error are flushed, but functions of :mod:`atexit` do not run.
    """
    try:
        code = main()
    except KeyboardInterrupt:
        code = INTERRUPTED
    _end(code)


def _end(code: int) -> NoReturn:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # Nobody reads it any more, or it is closed.
            stream.flush()
    os._exit(code)


def _has_threads() -> bool:
    """True if Python waits for threads at its end."""
    main = threading.main_thread()
    return any(thread is not main and not thread.daemon for thread in threading.enumerate())


def _ignore_stops() -> None:
    if _has_threads():
        return  # A signal must still end that wait.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
