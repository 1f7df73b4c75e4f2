"""What a container leaves when it has ended is brought home to the run's folder, and then it is removed.

Whoever looks first does it: the command that followed the job, or any later one. It can be cut off at any
moment and begun again, and two commands cannot do it at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starfreight.console import human_count
from starfreight.docker_engine import engine_errors
from starfreight.errors import JobStopped
from starfreight.files import disk_errors
from starfreight.jobs.protocol.log import LOG_FILE, open_log
from starfreight.jobs.protocol.record import JobRecord

if TYPE_CHECKING:
    import docker

KILLED = 137
"""128 and the number of SIGKILL."""
OUT_OF_MEMORY = "was killed by the kernel"
STOPPED_AT_ONCE = 143
"""128 and the number of SIGTERM, which came before the job could listen."""


def bring_home(
    engine: docker.DockerClient, folder: Path, record: JobRecord, container: Mapping[str, Any], *, keep: bool
) -> JobRecord:
    """Takes a container's log and its end into the run's folder, and removes the container.

    The caller holds :func:`starfreight.jobs.protocol.record.job_lock`.

    Args:
        engine: the Docker Engine.
        folder: the run's folder.
        record: of the job.
        container: what the engine says of the container, which has ended.
        keep: leave the container where it is.

    Returns:
        the record with the job's end, as it was written.

    Raises:
        InputError: the log's place is taken by a link or by something that is no file.
        ServiceError: the engine does not answer, or the disk is full.
    """
    with disk_errors(folder / LOG_FILE), open_log(folder, write=True) as log:
        # What an earlier attempt to do this has written is written again.
        log.truncate(record.log_begins)
        for piece in _output(engine, container["Id"]):
            log.write(piece)
        log.flush()
        os.fsync(log.fileno())
    state = container["State"]
    record = record.ended(int(state["ExitCode"]), how_it_ended(state, container["HostConfig"]))
    record = record.model_copy(update={"leaves": not keep})
    record.save(folder)
    return clear_away(engine, folder, record)


def clear_away(engine: docker.DockerClient, folder: Path, record: JobRecord) -> JobRecord:
    """Removes the container of a job that has been brought home, unless that is done or it is kept.

    Returns:
        the record as it is then.

    Raises:
        ServiceError: the engine does not answer; then the next look does it.
    """
    if record.leaves and record.identity:
        remove(engine, record.identity)
        record = record.model_copy(update={"leaves": False})
        record.save(folder)
    return record


def remove(engine: docker.DockerClient, container: str, *, force: bool = False) -> None:
    """Removes a container, if it is still there; one that runs only by force."""
    import docker.errors

    try:
        with engine_errors():
            engine.api.remove_container(container, v=True, force=force)
    except docker.errors.NotFound:
        return


def _output(engine: docker.DockerClient, container: str) -> Iterator[bytes]:
    """What a container has written. The errors of whoever reads this are not the engine's."""
    with engine_errors():
        pieces = iter(engine.api.logs(container, stream=True, follow=False))
    while True:
        with engine_errors():
            piece = next(pieces, None)
        if piece is None:
            return
        yield piece


def how_it_ended(state: Mapping[str, Any], limits: Mapping[str, Any]) -> str:
    """The end of a container in words, after "the job"."""
    code = int(state["ExitCode"])
    if state.get("OOMKilled") and code != 0:
        most = limits.get("Memory")
        memory = f"its {human_count(most, 'B')} of memory" if most else "all memory"
        return f"{OUT_OF_MEMORY} (exit code {code}): it had used up {memory}"
    if code == KILLED:
        return "was killed from outside (exit code 137, signal 9)"
    if code == JobStopped.exit_code:
        return "stopped because it was asked to, with its checkpoint written"
    if code == STOPPED_AT_ONCE:
        return "stopped because it was asked to, before it had begun"
    return "ended" if code == 0 else f"ended with exit code {code}"
