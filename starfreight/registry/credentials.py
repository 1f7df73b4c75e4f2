"""Registry credentials, from the environment or from ``docker login``, and the host they are meant for.

They are passed to oras's auth objects and nowhere else: not to records, logs or errors.
"""

from __future__ import annotations

import os
import re

from starfreight.errors import InputError
from starfreight.registry.docker_config import canonical_host, from_docker, helper_advice
from starfreight.registry.reference import RepositoryReference

USERNAME = "STARFREIGHT_REGISTRY_USERNAME"
PASSWORD = "STARFREIGHT_REGISTRY_PASSWORD"
HOST = "STARFREIGHT_REGISTRY_HOST"
"""Host (with port) that the credentials in the environment are meant for."""
REALM = "STARFREIGHT_REGISTRY_REALM"
"""Host (with port) of a token service that the registry's password may be sent to."""

_HOST = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?(:[0-9]{1,5})?")


def find_credentials(repository: RepositoryReference, *, destination: bool) -> tuple[str, str] | None:
    """User name and password for a repository, ``None`` if there are none meant for it.

    With the user name ``<token>``, the password is an identity token.

    Args:
        repository: host and path.
        destination: the command writes to this repository, by the user's order. Without ``HOST`` in the
            environment, credentials of the environment are meant for such a repository and no other: any
            recipe can name any host as a source of data.

    Raises:
        InputError: only half of the credentials is in the environment, or an invalid host, or Docker's
            configuration is unusable.
        ServiceError: a credential helper answers nonsense or not at all.
    """
    pair = _from_environment()
    if pair is not None and _is_meant_for(repository.host, destination):
        return pair
    return from_docker(repository.host, repository.repository)


def named_realm() -> str | None:
    """Token service named in the environment: host, with the port if there is one.

    Raises:
        InputError: not a host.
    """
    return _named(REALM)


def advice(host: str, *, destination: bool, refused: bool = False) -> str:
    """The remedy for missing or refused credentials, with all that has to be set.

    Args:
        host: the registry.
        destination: as for :func:`find_credentials`.
        refused: there are credentials, and the registry refused them.
    """
    named = os.environ.get(HOST)
    if not refused and not os.environ.get(USERNAME) and (remedy := helper_advice(host)) is not None:
        return f"{remedy}; otherwise set {USERNAME}, {PASSWORD} and {HOST}={host}, or run docker login {host}"
    if os.environ.get(USERNAME) and not _is_meant_for(host, destination):
        bound = named or "the registry published to"
        return (
            f"the credentials in the environment are kept for {bound}; if they are meant for {host}, set "
            f"{HOST}={host}; otherwise run docker login {host}"
        )
    known = "the known credentials are refused: " if refused else ""
    if destination:
        return (
            f"{known}set {USERNAME} and {PASSWORD}, or run docker login {host}, for an account that may push"
        )
    return (
        f"{known}run docker login {host}, or set {USERNAME}, {PASSWORD} and {HOST}={host}, for an account "
        "that may pull"
    )


def _from_environment() -> tuple[str, str] | None:
    # A secret that was written from a file often ends with a line break; docker login drops it, too.
    username, password = (os.environ.get(name, "").rstrip("\r\n") for name in (USERNAME, PASSWORD))
    if bool(username) != bool(password):
        missing = PASSWORD if username else USERNAME
        raise InputError(
            f"{missing} is not set, but the other half of the credentials is.",
            where="environment",
            fix=f"set both {USERNAME} and {PASSWORD}, or neither",
        )
    return (username, password) if username else None


def _is_meant_for(host: str, destination: bool) -> bool:
    named = _named(HOST)
    return destination if named is None else canonical_host(named) == canonical_host(host)


def _named(variable: str) -> str | None:
    value = os.environ.get(variable, "").strip()
    if value and not _HOST.fullmatch(value):
        raise InputError(
            f"{variable} is not a host.",
            where=f"environment, {variable}={value[:100]!r}",
            fix="write the host with its port if there is one, without scheme or path: registry.example.org",
        )
    return value or None
