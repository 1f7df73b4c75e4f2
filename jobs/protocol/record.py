"""Where a run's job is, so that any terminal finds it again: ``job.json`` in the run's folder.

It says who runs the job and what it is called there, and afterwards how it ended. It tells of this machine,
so it is not shipped; what training learned and left behind is in ``run.json``.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from starfreight.files import disk_errors
from starfreight.records import Digest, Part, Record

JOB_FILE = "job.json"

_NEWEST_VERSION = 1
_LIMIT = 1 << 16


class JobEnd(Part):
    """How a job ended."""

    exit_code: int | None
    """As a shell says it: 128 and the signal's number when a signal ended it. ``None`` when nobody knows."""
    what: str
    """In words, after "the job"."""
    at: str


class JobRecord(Record):
    """The last job of a run."""

    version: int = _NEWEST_VERSION
    runner: Literal["local", "docker"]
    handle: str
    """What the runner calls it: a process's number, a container's name."""
    identity: str | None = None
    """What no other job can have: the boot and the time a process was started at, a container's id. ``None``
    as long as it has not been started."""
    place: str | None = None
    """The address of the engine that has the container."""
    image: Digest | None = None
    started: str
    log_begins: Annotated[int, Field(ge=0)] = 0
    """The size of ``job.log`` when it was started: what was there is of earlier jobs."""
    end: JobEnd | None = None
    """``None`` as long as nobody has seen it end."""
    leaves: bool = False
    """Its container has ended and has still to be removed."""

    @classmethod
    def find(cls, folder: Path) -> JobRecord | None:
        """The record of a run's last job, if it ever had one.

        Raises:
            InputError: as :meth:`Record.read`.
        """
        path = folder / JOB_FILE
        if not path.exists():
            return None
        return cls.read(path, newest=_NEWEST_VERSION, limit=_LIMIT, kind="record of a job")

    def save(self, folder: Path) -> None:
        """Writes ``job.json`` into a run's folder."""
        self.write(folder / JOB_FILE)

    def ended(self, exit_code: int | None, what: str) -> JobRecord:
        """The same record with its end."""
        return self.model_copy(update={"end": JobEnd(exit_code=exit_code, what=what, at=now())})


@contextlib.contextmanager
def job_lock(folder: Path) -> Iterator[None]:
    """Waits until no other command starts a job in this run's folder or brings one home.

    The lock is on the folder itself, so no file of it is left. It is not the one that a job holds.
    """
    with disk_errors(folder):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def now() -> str:
    """The time as records have it."""
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")
