"""From a prepared run to a container that trains it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from starfreight.console import Console
from starfreight.docker_engine import engine_address, engine_errors
from starfreight.errors import InputError, ServiceError
from starfreight.jobs.backends.docker.container import Host, Order, container_name, create
from starfreight.jobs.backends.docker.find_container import Found
from starfreight.jobs.backends.docker.finished_container import remove
from starfreight.jobs.backends.docker.gpus import find_gpu_support, gpu_request, gpus_in_words
from starfreight.jobs.backends.docker.image import find_trainer
from starfreight.jobs.backends.docker.mounts import lay_out
from starfreight.jobs.protocol.log import log_size
from starfreight.jobs.protocol.record import JobRecord, now
from starfreight.run import Run

if TYPE_CHECKING:
    import docker

_NAMES = 100
_NAME_TAKEN = 409
_NO_PROGRAM = ("executable file not found", "no such file or directory: unknown", "exec format error")
_NOT_SEEN = "bind source path does not exist"


def start_container(engine: docker.DockerClient, folder: Path, run: Run, console: Console) -> Found:
    """Makes the container of a run's job and starts it. The caller holds the lock.

    What the record says is written before each step, so that whoever is cut off leaves nothing that the next
    one does not find.

    Args:
        engine: the Docker Engine.
        folder: the run's folder.
        run: its record.
        console: says which container and which image.

    Raises:
        InputError: an input is gone, or the image, the network or the GPUs cannot be used.
        ServiceError: the engine refuses, or does not answer.
    """
    image = find_trainer(engine, run.recipe.run.image)
    with engine_errors():
        info = engine.info()
    gpus = gpu_request(run.recipe.run.gpus, find_gpu_support(info))
    order = Order(folder, run, image, lay_out(folder, run), gpus, Host.of(info))
    record = JobRecord(
        runner="docker",
        handle="",
        place=engine_address(),
        image=image.digest,
        started=now(),
        log_begins=log_size(folder),
    )
    with _refusals(order):
        made, record = _create(engine, order, record)
        try:
            engine.api.start(made)
        except BaseException:
            # It may be up all the same when the answer came too late. As long as it is there, its record is
            # that of a job that has not ended, so that the next look finds it.
            remove(engine, made, force=True)
            record.ended(None, "could not be started").save(folder)
            raise
        found = Found(engine.api.inspect_container(made))
    if image.other_version:
        console.note(f"  the image holds Starfreight {image.other_version}")
    console.note(f"  container {found.short} of image {image.reference}, {gpus_in_words(gpus)}")
    return found


def _create(engine: docker.DockerClient, order: Order, record: JobRecord) -> tuple[str, JobRecord]:
    """Makes the container, and gives its id and its record.

    Its name has a number where a container that was kept has the plain one.
    """
    import docker.errors

    for number in range(1, _NAMES):
        record = record.model_copy(update={"handle": container_name(order.run.id, number)})
        record.save(order.folder)
        try:
            made = create(engine, record.handle, order)
        except docker.errors.APIError as error:
            if error.status_code == _NAME_TAKEN:
                continue
            raise
        record = record.model_copy(update={"identity": made})
        record.save(order.folder)
        return made, record
    raise ServiceError(
        f"{_NAMES - 1} containers have this run's name already.",
        where=record.handle,
        fix="docker container prune",
    )


@contextlib.contextmanager
def _refusals(order: Order) -> Iterator[None]:
    """What the engine says of the image, the network and the places, as an error that says what to do."""
    import docker.errors

    try:
        with engine_errors():
            try:
                yield
            except docker.errors.APIError as error:
                said = str(error.explanation)
                if any(words in said for words in _NO_PROGRAM):
                    raise InputError(
                        "The image lacks the program that its entry point or the job needs.",
                        where=f"{order.image.reference}: {said[:300]}",
                        fix="name another image, or build one: starfreight images build trainer",
                    ) from error
                if _NOT_SEEN in said:
                    raise InputError(
                        "The Docker Engine does not see this machine's files.",
                        where=said[:300],
                        fix="use an engine that runs on this machine, and no DOCKER_HOST of another one",
                    ) from error
                raise
    except docker.errors.NotFound as error:
        raise InputError(
            f"The Docker Engine lacks what the job asks for: {error.explanation}.",
            where=f"network {order.run.recipe.run.network}, image {order.image.reference}",
            fix="see docker network ls, and docker image ls",
        ) from error
