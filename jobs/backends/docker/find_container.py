"""Finds the container of a job by the record in the job's directory."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starfreight.console import time_in_words
from starfreight.docker_engine import engine_address, engine_errors
from starfreight.errors import ServiceError
from starfreight.jobs.backends.docker.container import LABEL_FOLDER, LABEL_RUN
from starfreight.jobs.backends.docker.container_output import is_alive
from starfreight.jobs.backends.docker.finished_container import remove
from starfreight.jobs.kinds.table import load_job
from starfreight.jobs.protocol.record import JOB_FILE, JobRecord

if TYPE_CHECKING:
    import docker


_BEING_REMOVED = ("removing", "dead")
"""States of containers whose output the engine no longer serves."""


@dataclass(frozen=True)
class Container:
    """A container as the engine describes it."""

    attributes: Mapping[str, Any]

    @property
    def id(self) -> str:
        """64 hex digits."""
        return str(self.attributes["Id"])

    @property
    def short(self) -> str:
        """Name for the ``docker`` command."""
        return str(self.attributes["Name"]).removeprefix("/")

    @property
    def status(self) -> str:
        """State in the engine's API: ``created``, ``running``, ``exited``, ..."""
        return str(self.attributes["State"]["Status"])


def find_container(engine: docker.DockerClient, record: JobRecord, folder: Path) -> Container | None:
    """The container of a job, or ``None`` if it no longer exists.

    Raises:
        ServiceError: the engine does not answer, or the container belongs to another engine.
    """
    import docker.errors

    try:
        with engine_errors():
            attributes = engine.api.inspect_container(record.identity or record.handle)
    except docker.errors.NotFound:
        if record.place is not None and record.place != engine_address():
            raise ServiceError(
                f"The container of the job belongs to another Docker Engine, at {record.place}.",
                where=f"{folder}, engine at {engine_address()}",
                fix=f"set DOCKER_HOST={record.place}",
            ) from None
        return None
    if attributes["State"]["Status"] in _BEING_REMOVED:
        return None
    return Container(attributes) if _belongs(attributes["Config"]["Labels"] or {}, record, folder) else None


def _belongs(labels: Mapping[str, str], record: JobRecord, folder: Path) -> bool:
    """True if a container belongs to the job in ``folder``.

    The record alone is not proof: jobs can write to their directory, and the directory may belong to another
    user or be a copy of the one whose job is running.
    """
    made_for = labels.get(LABEL_FOLDER)
    if made_for == str(folder.resolve()):
        return True
    # Either this directory was moved since, or it is a copy and the original still exists.
    moved = made_for is not None and not (Path(made_for) / JOB_FILE).exists()
    return moved and record.identity is not None and labels.get(LABEL_RUN) == load_job(folder).id


def is_up(found: Container) -> bool:
    """True if the job has been started and has not ended."""
    return found.status != "created" and is_alive(found.status)


def remove_unstarted(
    engine: docker.DockerClient, found: Container, record: JobRecord, folder: Path
) -> JobRecord:
    """Removes a container that was created but never started, and records that."""
    remove(engine, found.id)
    record = record.ended(None, "was never started")
    record.save(folder)
    return record


def uptime(found: Container) -> str:
    """Time since the container was started, in words."""
    started = str(found.attributes["State"]["StartedAt"])[:19]
    seconds = datetime.datetime.now(datetime.UTC).replace(tzinfo=None) - datetime.datetime.fromisoformat(
        started
    )
    return time_in_words(seconds.total_seconds())
