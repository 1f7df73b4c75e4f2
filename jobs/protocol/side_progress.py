"""Progress of a job's work besides its steps, as events: hashing, measuring.

with side_progress("Checking", size, "B") as advance:
    sha256_file(path, advance)
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from starfreight.jobs.protocol import events

_INTERVAL = 0.5
"""Seconds between two events."""


@contextlib.contextmanager
def side_progress(title: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """Announce a piece of work, and report its progress twice a second.

    Args:
        title: the work, in a word or two.
        total: number of units.
        unit: ``B`` for bytes, otherwise a plural noun.

    Yields:
        a function to call with the number of units done since its last call.
    """
    events.send("plan", steps=total, done=0, text=title, unit=unit, aside=True)
    waiting, last = 0, time.monotonic()

    def advance(count: int) -> None:
        nonlocal waiting, last
        waiting += count
        if time.monotonic() - last >= _INTERVAL:
            events.send("advance", count=waiting, text=title)
            waiting, last = 0, time.monotonic()

    yield advance
    if waiting:
        events.send("advance", count=waiting, text=title)
