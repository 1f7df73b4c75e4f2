"""Connection to the user's Docker Engine, with errors in plain words.

    client = connect()
    with engine_errors():
        client.images.get("starfreight/trainer:0.1.0")

The address is ``DOCKER_HOST``, the current ``docker context``, or this machine's socket, in this order.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from starfreight.errors import ServiceError

if TYPE_CHECKING:
    import docker

DEFAULT_ADDRESS = "unix:///var/run/docker.sock"
_SECONDS = 60


class NoEngine(ServiceError):
    """The Docker Engine is unreachable or access is denied. A refused request is a :class:`ServiceError`."""


def engine_address() -> str:
    """The engine's address, in the syntax of ``DOCKER_HOST``."""
    if address := os.environ.get("DOCKER_HOST"):
        return address
    from docker.context import ContextAPI

    # Leave it to the docker command to report a broken context configuration.
    with contextlib.suppress(Exception):
        context = ContextAPI.get_current_context()
        if context is not None and context.Host:
            return str(context.Host).replace("http+unix://", "unix://")
    return DEFAULT_ADDRESS


def connect(seconds: int = _SECONDS) -> docker.DockerClient:
    """Connect to the engine and check the connection.

    Args:
        seconds: timeout for an answer, or for the next chunk of one.

    Raises:
        NoEngine: not running, not answering, or access to its socket denied.
    """
    import docker

    address = engine_address()
    environment = dict(os.environ) | {"DOCKER_HOST": address}
    with engine_errors(address):
        client = docker.from_env(environment=environment, timeout=seconds)
        client.ping()
        return client


@contextlib.contextmanager
def engine_errors(address: str | None = None) -> Iterator[None]:
    """Translate the engine's errors to :class:`ServiceError`, and no answer to :class:`NoEngine`.

    ``docker.errors.NotFound`` (no such image or container) passes through: only the caller can interpret it.
    """
    import docker.errors
    import requests

    try:
        yield
    except docker.errors.NotFound:
        raise
    except docker.errors.APIError as error:
        raise _refused(str(error.explanation or error), address or engine_address()) from error
    except (docker.errors.DockerException, requests.RequestException, OSError) as error:
        raise _no_answer(error, address or engine_address()) from error


def _refused(said: str, address: str) -> ServiceError:
    if "no space left on device" in said.lower():
        return ServiceError(
            f"The Docker Engine's disk is full: {said}.",
            where=address,
            fix="free some space (docker system df shows usage), then run the same command again",
        )
    return ServiceError(
        f"The Docker Engine refused: {said}.",
        where=address,
        fix="see the engine's log (journalctl -u docker)",
    )


def _no_answer(error: Exception, address: str) -> NoEngine:
    """Recognise a socket's error behind the SDK's layers of wrapping."""
    text = str(error)
    if "PermissionError" in text or "Permission denied" in text:
        return NoEngine(
            "This user has no access to the Docker Engine.",
            where=address,
            fix="add the user to the docker group (sudo usermod -aG docker $USER, then log in again),"
            " or use rootless Docker",
        )
    if any(sign in text for sign in ("FileNotFoundError", "No such file", "onnection refused")):
        return NoEngine(
            "No Docker Engine is running.",
            where=address,
            fix="start it (sudo systemctl start docker), or set DOCKER_HOST to its address",
        )
    return NoEngine(f"The Docker Engine does not answer: {text}.", where=address, fix="check DOCKER_HOST")
