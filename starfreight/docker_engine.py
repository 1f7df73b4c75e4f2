"""The Docker Engine that this machine's user talks to: one connection, and its errors in plain words.

    client = connect()
    with engine_errors():
        client.images.get("starfreight/trainer:0.1.0")

The address is ``DOCKER_HOST``, or that of the current ``docker context``, or the socket of this machine.
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
    """The Docker Engine does not answer, or may not be talked to; one that refuses has answered."""


def engine_address() -> str:
    """Where the engine listens, as ``DOCKER_HOST`` would say it."""
    if address := os.environ.get("DOCKER_HOST"):
        return address
    from docker.context import ContextAPI

    # A broken configuration of contexts is for the docker command to complain about.
    with contextlib.suppress(Exception):
        context = ContextAPI.get_current_context()
        if context is not None and context.Host:
            return str(context.Host).replace("http+unix://", "unix://")
    return DEFAULT_ADDRESS


def connect(seconds: int = _SECONDS) -> docker.DockerClient:
    """A client of the engine, which has answered.

    Args:
        seconds: how long it may take over an answer, or over the next piece of one.

    Raises:
        NoEngine: there is none, it does not answer, or its socket may not be opened.
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
    """Turns what the engine says into a :class:`ServiceError`, and its silence into :class:`NoEngine`.

    An image or container that does not exist (``docker.errors.NotFound``) passes, since only the caller knows
    what that means.
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
            fix="free some space (docker system df shows what takes it), then run the same command again",
        )
    return ServiceError(f"The Docker Engine refused: {said}.", where=address)


def _no_answer(error: Exception, address: str) -> NoEngine:
    """What lies behind the layers of wrapping that the SDK puts round a socket's error."""
    text = str(error)
    if "PermissionError" in text or "Permission denied" in text:
        return NoEngine(
            "This user may not talk to the Docker Engine.",
            where=address,
            fix="add the user to the group docker (sudo usermod -aG docker $USER, then log in again),"
            " or use rootless Docker",
        )
    if any(sign in text for sign in ("FileNotFoundError", "No such file", "onnection refused")):
        return NoEngine(
            "No Docker Engine answers.",
            where=address,
            fix="start it (sudo systemctl start docker), or set DOCKER_HOST to where it listens",
        )
    return NoEngine(f"The Docker Engine does not answer: {text}.", where=address, fix="check DOCKER_HOST")
