"""Follows the output of a container, across restarts of the engine."""

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
"""Seconds to wait for an engine that does not answer; a restart takes a few."""

_PAUSE = 0.5
_REFUSALS = 20
_BEING_REMOVED = 409
_ALIVE = ("created", "running", "paused", "restarting")


def is_alive(status: str) -> bool:
    """True if a container in this state of the engine's API may still write output."""
    return status in _ALIVE


def follow(
    engine: docker.DockerClient,
    container: str,
    console: Console,
    *,
    with_stderr: bool = False,
    give_up: Callable[[], bool] = lambda: False,
) -> Iterator[str]:
    """Yields the lines of a container from the first one, until it has ended or is removed.

    Args:
        engine: the Docker Engine.
        container: its id.
        console: shows that the engine does not answer.
        with_stderr: include standard error.
        give_up: called while waiting for the engine; true ends the wait.

    Raises:
        ServiceError: the engine did not come back in time, or keeps refusing.
    """
    import docker.errors
    import requests

    seen, refusals = 0, 0
    while True:
        try:
            pieces = engine.api.logs(container, stderr=with_stderr, stream=True, follow=True)
            rest = b""
            for number, line in enumerate(lines_of(pieces)):
                if not line.endswith(b"\n"):
                    rest = line
                elif number >= seen:
                    seen, refusals = seen + 1, 0
                    yield as_text(line)
            # The stream ends with the container, and also when the engine shuts down.
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
            # An engine refuses requests while it shuts down. If it keeps refusing, the reason is another one.
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
    """Waits until the engine answers, and returns it.

    Args:
        console: shows that the engine does not answer.
        give_up: called repeatedly; true ends the wait.
        patience: seconds to wait; :data:`PATIENCE` by default.

    Raises:
        ServiceError: the engine does not answer in time.
    """
    seconds = PATIENCE if patience is None else patience
    end = time.monotonic() + seconds
    notified = False
    while True:
        try:
            return connect()
        except ServiceError as error:
            if not notified:
                console.note(
                    f"The Docker Engine does not answer. Waiting {seconds:.0f} s for it to come back."
                )
                notified = True
            if time.monotonic() > end or give_up():
                raise ServiceError(
                    "The Docker Engine stopped answering while the job was running.",
                    where=engine_address(),
                    fix="start it again and repeat the command, which finds the job or resumes it",
                ) from error
        time.sleep(_PAUSE)
