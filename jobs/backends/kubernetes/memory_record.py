"""A record of a pod's memory, to tell in the next pod that this one ran out of it.

    refuse_repeated_shortage(notes)
    with watch_memory(notes):
        ...

A container that exceeds its memory limit is killed without notice, with the exit code 137. A container of a
suspended job ends with the same code, so the Job retries it, and would run out of memory again and again. A
thread therefore notes the largest amount in use where the next pod finds it
(:mod:`starfreight.jobs.backends.kubernetes.memory_notes`). If the note is still there when that pod starts,
the previous one was killed; an amount near the limit says why.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

from starfreight.console import human_count
from starfreight.errors import RecipeError
from starfreight.jobs.backends.kubernetes.memory_notes import MemoryNotes, MemoryUse

CGROUP = Path("/sys/fs/cgroup")

_INTERVAL = 0.5
"""Seconds between two measurements."""
_STEP = 0.02
"""Growth, as a fraction of the limit, that is noted."""


def memory_use(cgroup: Path = CGROUP) -> MemoryUse | None:
    """The memory of this container; ``None`` if it has no limit, or the system does not say.

    Args:
        cgroup: mount point of the control groups, version 1 or 2.
    """
    for folder, limit, used, files in (
        (cgroup, "memory.max", "memory.current", "inactive_file"),
        (cgroup / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        with contextlib.suppress(OSError, ValueError, KeyError):
            most = int((folder / limit).read_text())  # A word if there is no limit.
            rows = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            # The same figure as the kubelet's: files that were read once give way.
            return MemoryUse(most, max(0, int((folder / used).read_text()) - int(rows[files])))
    return None


def refuse_repeated_shortage(notes: MemoryNotes, cgroup: Path = CGROUP) -> None:
    """Fail if the previous pod was killed near its memory limit, and this pod has no more.

    The note is removed, so a job that is started again on request gets another try.

    Raises:
        RecipeError: the previous pod ran out of memory.
        ServiceError: the store of the notes refuses or does not answer.
    """
    previous = notes.find()
    notes.clear()
    now = memory_use(cgroup)
    if previous is None or now is None or now.limit > previous.limit:
        return
    if previous.is_near:
        raise RecipeError(
            f"The job ran out of memory: the previous pod was killed while it used "
            f"{human_count(previous.used, 'B')} of {human_count(previous.limit, 'B')}.",
            where="key run.memory",
            fix="raise it, or lower training.batch_size or training.sequence_length; then submit the recipe "
            "again",
        )


@contextlib.contextmanager
def watch_memory(notes: MemoryNotes, cgroup: Path = CGROUP, interval: float = _INTERVAL) -> Iterator[None]:
    """Keep the note while the block runs. To be called in the main thread.

    The end of the block removes the note. So does a request to stop: a pod that is killed after its grace
    period has not run out of memory.
    """
    if memory_use(cgroup) is None:
        yield
        return
    # Signals wake the thread through this pipe, whichever handlers the job installs later.
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    before = signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    thread = threading.Thread(target=_watch, args=(notes, cgroup, interval, wake), daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.write(waker, b"\0")
        thread.join()
        os.close(wake)
        os.close(waker)


def _watch(notes: MemoryNotes, cgroup: Path, interval: float, wake: int) -> None:
    written = -1.0
    while not select.select([wake], [], [], interval)[0]:
        found = memory_use(cgroup)
        if found is not None and found.used > written + _STEP * found.limit:
            written = found.used
            # A full volume, or a store that is down, is reported by the job itself.
            with contextlib.suppress(Exception):
                notes.keep(found)
    with contextlib.suppress(Exception):
        notes.clear()
