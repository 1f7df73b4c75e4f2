"""The record of a job on this machine: ``job.json`` in the job's directory.

It names the backend and the job's handle there, so that any terminal finds the job again, and later its end.
It describes this machine and is not shipped; results are in the record of the kind, e.g. ``run.json``.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from starfreight.directories import refuse_link
from starfreight.files import disk_errors
from starfreight.records import Digest, Part, Record

JOB_FILE = "job.json"

_NEWEST_VERSION = 1
_LIMIT = 1 << 16
_LARGEST_PROCESS = (1 << 31) - 1
_CONTAINER = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}")
"""A container's name or id. Anything else would change the address of the engine's API."""


class JobEnd(Part):
    """The end of a job."""

    exit_code: int | None
    """As in a shell: 128 plus the signal's number for a signal; ``None`` if it is unknown."""
    what: str
    """Completes the sentence "The job ..."."""
    at: str


class JobRecord(Record):
    """The last job in a directory."""

    version: int = _NEWEST_VERSION
    runner: Literal["local", "docker"]
    handle: str
    """Its name in the backend: a process's number, a container's name."""
    identity: str | None = None
    """Unique among all jobs: a process's boot and start time, a container's id. ``None`` before the start."""
    place: str | None = None
    """Address of the container's engine."""
    image: Digest | None = None
    started: str
    log_begins: Annotated[int, Field(ge=0)] = 0
    """Size of ``job.log`` at its start; the log of earlier jobs comes before."""
    end: JobEnd | None = None
    """``None`` until a command has seen it end."""
    leaves: bool = False
    """True if its container has ended and is still to be removed."""

    @model_validator(mode="after")
    def _handle_fits(self) -> Self:
        """Others can write to the directory of a run: its handle must be one of the backend's."""
        if self.runner == "local":
            digits = self.handle if re.fullmatch(r"[1-9][0-9]{0,9}", self.handle) else "0"
            if not 0 < int(digits) <= _LARGEST_PROCESS:
                raise ValueError("the handle is not the number of a process")
        elif not all(_CONTAINER.fullmatch(name) for name in (self.handle, self.identity) if name):
            raise ValueError("the handle is not the name of a container")
        return self

    @classmethod
    def find(cls, folder: Path) -> JobRecord | None:
        """The record of the last job, if there was one.

        Raises:
            InputError: as :meth:`Record.read`.
        """
        path = folder / JOB_FILE
        refuse_link(path, below=folder)
        if not path.exists():
            return None
        return cls.read(path, newest=_NEWEST_VERSION, limit=_LIMIT, kind="record of a job")

    def save(self, folder: Path) -> None:
        """Writes ``job.json``."""
        self.write(folder / JOB_FILE)

    def ended(self, exit_code: int | None, what: str) -> JobRecord:
        """This record with the job's end."""
        return self.model_copy(update={"end": JobEnd(exit_code=exit_code, what=what, at=now())})


@contextlib.contextmanager
def job_lock(folder: Path) -> Iterator[None]:
    """Waits until no other command starts a job in this directory or fetches its results.

    The lock is on the directory itself and leaves no file. It is not the one that a job holds.
    """
    with disk_errors(folder):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def now() -> str:
    """The current time in the format of records."""
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")
