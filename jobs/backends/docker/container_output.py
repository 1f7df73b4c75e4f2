"""A container's output while it comes, over every silence of the engine that ends in time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from starfreight.console import Console
from starfreight.docker_engine import connect, engine_address, engine_errors
from starfreight.errors import ServiceError
from starfreight.jobs.protocol.log import as_text, lines_of

if TYPE_CHECKING:
    import docker

PATIENCE = 60.0
"""Seconds that an engine may be gone for: a restart takes a few."""

_PAUSE = 0.5
_REFUSALS = 20
_BEING_REMOVED = 409
_ALIVE = ("created", "running", "paused", "restarting")


def is_alive(status: str) -> bool:
    """Whether a container in this state, as the engine calls it, may still write something."""
    return status in _ALIVE


def follow(
    engine: docker.DockerClient,
    container: str,
    console: Console,
    *,
    errors_too: bool = False,
    give_up: Callable[[], bool] = lambda: False,
) -> Iterator[str]:
    """The lines that a container writes, from its first one until it has ended or is gone.

    Args:
        engine: the Docker Engine.
        container: its id.
        console: is told when the engine is waited for.
        errors_too: whether what it writes on standard error belongs to it.
        give_up: asked while the engine is waited for.

    Raises:
        ServiceError: the engine went away and did not come back in time, or keeps refusing.
    """
    import docker.errors
    import requests

    seen, refusals = 0, 0
    while True:
        try:
            pieces = engine.api.logs(container, stderr=errors_too, stream=True, follow=True)
            rest = b""
            for number, line in enumerate(lines_of(pieces)):
                if not line.endswith(b"\n"):
                    rest = line
                elif number >= seen:
                    seen, refusals = seen + 1, 0
                    yield as_text(line)
            # The stream ends when the container does, and when the engine goes down.
            if not is_alive(str(engine.api.inspect_container(container)["State"]["Status"])):
                if rest:
                    yield as_text(rest)
                return
            time.sleep(_PAUSE)
        except docker.errors.NotFound:
            return
        except docker.errors.APIError as error:
            if error.status_code == _BEING_REMOVED:
                return
            # An engine that goes down refuses before it falls silent; one that stays has another reason.
            refusals += 1
            if (error.status_code is not None and error.status_code < 500) or refusals == _REFUSALS:
                with engine_errors():
                    raise
            time.sleep(_PAUSE)
            engine = wait_for_engine(console, give_up)
        except (requests.RequestException, OSError):
            engine = wait_for_engine(console, give_up)


def wait_for_engine(
    console: Console, give_up: Callable[[], bool] = lambda: False, patience: float | None = None
) -> docker.DockerClient:
    """The engine, as soon as it answers again.

    Args:
        console: is told that it is waited for.
        give_up: asked now and then; the wait ends when it says so.
        patience: seconds to wait; :data:`PATIENCE` when not given.

    Raises:
        ServiceError: it does not come back in time.
    """
    seconds = PATIENCE if patience is None else patience
    end = time.monotonic() + seconds
    told = False
    while True:
        try:
            return connect()
        except ServiceError as error:
            if not told:
                console.note(
                    f"The Docker Engine does not answer. Waiting {seconds:.0f} s for it to come back."
                )
                told = True
            if time.monotonic() > end or give_up():
                raise ServiceError(
                    "The Docker Engine went away while the job ran.",
                    where=engine_address(),
                    fix="start it again; then the same command finds the job, or goes on from its checkpoint",
                ) from error
        time.sleep(_PAUSE)
