"""Starts the container of a prepared job."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from starfreight.console import Console
from starfreight.docker_engine import engine_address, engine_errors
from starfreight.errors import InputError, ServiceError
from starfreight.jobs.backends.docker.container import ContainerSpec, Host, container_name, create
from starfreight.jobs.backends.docker.find_container import Container
from starfreight.jobs.backends.docker.finished_container import remove
from starfreight.jobs.backends.docker.gpus import (
    find_gpu_support,
    gpu_request,
    gpus_in_words,
    sick_in_words,
)
from starfreight.jobs.backends.docker.image import find_job_image
from starfreight.jobs.backends.docker.mounts import plan_mounts
from starfreight.jobs.gpu.fault_record import sick_gpus
from starfreight.jobs.kinds.interface import Job
from starfreight.jobs.protocol.log import log_size
from starfreight.jobs.protocol.record import JobRecord, now

if TYPE_CHECKING:
    import docker

_NAMES = 100
_NAME_TAKEN = 409
_NO_PROGRAM = ("executable file not found", "no such file or directory: unknown", "exec format error")
_NOT_SEEN = "bind source path does not exist"


def start_container(engine: docker.DockerClient, job: Job, console: Console) -> Container:
    """Creates and starts the container of a job. The caller holds the lock.

    The record is written before each step, so that the next command finds everything an interrupted one left.

    Args:
        engine: the Docker Engine.
        job: the job.
        console: shows the container and the image.

    Raises:
        InputError: an input is missing, or the image, the network or the GPUs cannot be used.
        ServiceError: the engine refuses, or does not answer.
    """
    image = find_job_image(engine, job.kind, job.options.image)
    with engine_errors():
        info = engine.info()
    sick = sick_gpus(job.directory)
    gpus = gpu_request(job.options.gpus, find_gpu_support(info), sick)
    for line in sick_in_words(sick, gpus):
        console.note(f"  {line}")
    spec = ContainerSpec(job, image, plan_mounts(job), gpus, Host.of(info))
    record = JobRecord(
        runner="docker",
        handle="",
        place=engine_address(),
        image=image.digest,
        started=now(),
        log_begins=log_size(job.directory),
    )
    with _engine_refusals(spec):
        made, record = _create(engine, spec, record)
        try:
            engine.api.start(made)
        except BaseException:
            # The container may be running if only the answer was lost. The end is recorded after its removal,
            # so that the next command finds a container that could not be removed.
            remove(engine, made, force=True)
            record.ended(None, "could not be started").save(job.directory)
            raise
        found = Container(engine.api.inspect_container(made))
    if image.other_version:
        console.note(f"  the image holds Starfreight {image.other_version}")
    console.note(f"  container {found.short} of image {image.reference}, {gpus_in_words(gpus)}")
    return found


def _create(engine: docker.DockerClient, spec: ContainerSpec, record: JobRecord) -> tuple[str, JobRecord]:
    """Creates the container, and returns its id and its record.

    If a kept container has the name already, a number is appended.
    """
    import docker.errors

    for number in range(1, _NAMES):
        record = record.model_copy(update={"handle": container_name(spec.job.id, number)})
        record.save(spec.job.directory)
        try:
            made = create(engine, record.handle, spec)
        except docker.errors.APIError as error:
            if error.status_code == _NAME_TAKEN:
                continue
            raise
        record = record.model_copy(update={"identity": made})
        record.save(spec.job.directory)
        return made, record
    raise ServiceError(
        f"This run has {_NAMES - 1} kept containers already.",
        where=record.handle,
        fix="remove them: docker container prune",
    )


@contextlib.contextmanager
def _engine_refusals(spec: ContainerSpec) -> Iterator[None]:
    """Turns the engine's refusals of the image, the network and the mounts into errors with advice."""
    import docker.errors

    try:
        with engine_errors():
            try:
                yield
            except docker.errors.APIError as error:
                message = str(error.explanation)
                if any(words in message for words in _NO_PROGRAM):
                    raise InputError(
                        "The image lacks the program of its entry point or of the job.",
                        where=f"{spec.image.reference}: {message[:300]}",
                        fix="name another image, or build one: starfreight images build trainer",
                    ) from error
                if _NOT_SEEN in message:
                    raise InputError(
                        "The Docker Engine cannot access the files of this machine.",
                        where=message[:300],
                        fix="use an engine on this machine: unset DOCKER_HOST if it names another one",
                    ) from error
                raise
    except docker.errors.NotFound as error:
        raise InputError(
            f"The Docker Engine lacks a network or an image of the job: {error.explanation}.",
            where=f"network {spec.job.options.network}, image {spec.image.reference}",
            fix="list them with docker network ls and docker image ls, and name another one",
        ) from error
