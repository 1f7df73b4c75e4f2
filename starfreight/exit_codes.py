"""How a process ends: with the exit code of what it did, whatever comes after."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

INTERRUPTED = 130
"""The exit code of a command that was interrupted."""


def leave_with(main: Callable[[], int]) -> NoReturn:
    """Runs a program and exits with the code that it returns.

    Python gives its handlers of signals back some time before it is gone. A stop that comes then is too
    late to stop anything, and must not say that it did.
    """
    try:
        code = main()
        _ignore_stops()
    except KeyboardInterrupt:  # The second one, while the first one was being told.
        code = INTERRUPTED
        _ignore_stops()
    sys.exit(code)


def _ignore_stops() -> None:
    main = threading.main_thread()
    if any(thread is not main and not thread.daemon for thread in threading.enumerate()):
        return  # Python waits for these, and who waits for Python may want it to end.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
