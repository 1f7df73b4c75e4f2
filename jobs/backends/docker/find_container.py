"""The container of a run's job, by what the run's record says of it."""

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
from starfreight.jobs.protocol.record import JOB_FILE, JobRecord
from starfreight.run import Run

if TYPE_CHECKING:
    import docker


_BEING_REMOVED = ("removing", "dead")
"""Of a container in these states the engine gives nothing any more."""


@dataclass(frozen=True)
class Found:
    """A container as the engine describes it."""

    attributes: Mapping[str, Any]

    @property
    def id(self) -> str:
        """64 hex digits."""
        return str(self.attributes["Id"])

    @property
    def short(self) -> str:
        """Its name, as ``docker`` takes it."""
        return str(self.attributes["Name"]).removeprefix("/")

    @property
    def status(self) -> str:
        """As the engine calls it: ``created``, ``running``, ``exited``, ..."""
        return str(self.attributes["State"]["Status"])


def find_container(engine: docker.DockerClient, record: JobRecord, folder: Path) -> Found | None:
    """The container of a job, or ``None`` when there is none any more.

    Raises:
        ServiceError: the engine does not answer, or it is not the one that has the container.
    """
    import docker.errors

    try:
        with engine_errors():
            attributes = engine.api.inspect_container(record.identity or record.handle)
    except docker.errors.NotFound:
        if record.place is not None and record.place != engine_address():
            raise ServiceError(
                f"The job's container is with another Docker Engine, at {record.place}.",
                where=f"{folder}, looked for at {engine_address()}",
                fix=f"DOCKER_HOST={record.place}",
            ) from None
        return None
    if attributes["State"]["Status"] in _BEING_REMOVED:
        return None
    return Found(attributes) if _belongs(attributes["Config"]["Labels"] or {}, record, folder) else None


def _belongs(labels: Mapping[str, str], record: JobRecord, folder: Path) -> bool:
    """Whether a container is that of the run in ``folder``.

    The record alone does not say so: the folder may come from somebody else, or be a copy of the one whose
    job runs, and a job can write there.
    """
    made_for = labels.get(LABEL_FOLDER)
    if made_for == str(folder.resolve()):
        return True
    # The folder has been moved since, unless the other one is there still.
    moved = made_for is not None and not (Path(made_for) / JOB_FILE).exists()
    return moved and record.identity is not None and labels.get(LABEL_RUN) == Run.load(folder).id


def is_up(found: Found) -> bool:
    """Whether the job has been started and has not ended."""
    return found.status != "created" and is_alive(found.status)


def forget_unstarted(engine: docker.DockerClient, found: Found, record: JobRecord, folder: Path) -> JobRecord:
    """Removes a container that whoever made it had no time to start."""
    remove(engine, found.id)
    record = record.ended(None, "was never started")
    record.save(folder)
    return record


def up_for(found: Found) -> str:
    """How long ago it was started, in words."""
    started = str(found.attributes["State"]["StartedAt"])[:19]
    seconds = datetime.datetime.now(datetime.UTC).replace(tzinfo=None) - datetime.datetime.fromisoformat(
        started
    )
    return time_in_words(seconds.total_seconds())
