"""Collects the log and the exit code of a container that has ended, and removes the container.

The command that followed the job does this, or the next one that looks at it. It may be interrupted at any
moment and is then repeated; a lock prevents two commands from doing it at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starfreight.console import human_count
from starfreight.docker_engine import engine_errors
from starfreight.files import disk_errors
from starfreight.jobs.backends.endings import Ending, describe, out_of_memory
from starfreight.jobs.protocol.log import LOG_FILE, open_log
from starfreight.jobs.protocol.record import JobRecord

if TYPE_CHECKING:
    import docker


def collect(
    engine: docker.DockerClient, folder: Path, record: JobRecord, container: Mapping[str, Any], *, keep: bool
) -> JobRecord:
    """Writes the container's log and the job's end into the job's directory, and removes the container.

    The caller holds :func:`starfreight.jobs.protocol.record.job_lock`.

    Args:
        engine: the Docker Engine.
        folder: the job's directory.
        record: of the job.
        container: the engine's description of the container, which has ended.
        keep: keep the container.

    Returns:
        the record with the job's end, as written.

    Raises:
        InputError: the path of the log is a link, or not a regular file.
        ServiceError: the engine does not answer, or the disk is full.
    """
    with disk_errors(folder / LOG_FILE), open_log(folder, write=True) as log:
        # Discard the output of an attempt that was interrupted.
        log.truncate(record.log_begins)
        for piece in _output(engine, container["Id"]):
            log.write(piece)
        log.flush()
        os.fsync(log.fileno())
    state = container["State"]
    ending = ending_of(state, container["HostConfig"])
    record = record.ended(ending.exit_code, ending.what)
    record = record.model_copy(update={"leaves": not keep})
    record.save(folder)
    return remove_collected(engine, folder, record)


def remove_collected(engine: docker.DockerClient, folder: Path, record: JobRecord) -> JobRecord:
    """Removes the container of a collected job, unless it is kept or removed already.

    Returns:
        the current record.

    Raises:
        ServiceError: the engine does not answer. The next command tries again.
    """
    if record.leaves and record.identity:
        remove(engine, record.identity)
        record = record.model_copy(update={"leaves": False})
        record.save(folder)
    return record


def remove(engine: docker.DockerClient, container: str, *, force: bool = False) -> None:
    """Removes a container if it exists; a running one only with ``force``."""
    import docker.errors

    try:
        with engine_errors():
            engine.api.remove_container(container, v=True, force=force)
    except docker.errors.NotFound:
        return


def _output(engine: docker.DockerClient, container: str) -> Iterator[bytes]:
    """The output of a container. Errors of the consumer are not mistaken for the engine's."""
    with engine_errors():
        pieces = iter(engine.api.logs(container, stream=True, follow=False))
    while True:
        with engine_errors():
            piece = next(pieces, None)
        if piece is None:
            return
        yield piece


def ending_of(state: Mapping[str, Any], limits: Mapping[str, Any]) -> Ending:
    """The end of a container, from the engine's description of it."""
    code = int(state["ExitCode"])
    if state.get("OOMKilled") and code != 0:
        limit = limits.get("Memory")
        return Ending(code, out_of_memory(code, human_count(limit, "B") if limit else None), True)
    return Ending(code, describe(code))
