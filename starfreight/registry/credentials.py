"""Registry credentials, from the environment or from ``docker login``.

They are passed to oras's auth objects and nowhere else: not to records, logs or errors.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from starfreight.errors import InputError
from starfreight.files import read_json

USERNAME = "STARFREIGHT_REGISTRY_USERNAME"
PASSWORD = "STARFREIGHT_REGISTRY_PASSWORD"

_MAX_CONFIG_BYTES = 1 << 20


def from_environment() -> tuple[str, str] | None:
    """User name and password, if set.

    Raises:
        InputError: only one of the two is set.
    """
    username, password = os.environ.get(USERNAME), os.environ.get(PASSWORD)
    if bool(username) != bool(password):
        missing = PASSWORD if username else USERNAME
        raise InputError(
            f"{missing} is not set, but the other half of the credentials is.",
            where="environment",
            fix=f"set both {USERNAME} and {PASSWORD}, or neither",
        )
    return (username, password) if username and password else None


def docker_config() -> dict[str, Any]:
    """Docker's ``config.json`` in oras's form, from ``$DOCKER_CONFIG`` or ``~/.docker``; empty if missing.

    oras itself reads ``~/.docker`` only.

    Raises:
        InputError: the file exists but is unusable.
    """
    folder = os.environ.get("DOCKER_CONFIG")
    path = (Path(folder) if folder else Path("~/.docker").expanduser()) / "config.json"
    if not path.exists():
        return {"auths": {}, "credsStore": None, "credHelpers": {}}
    data = read_json(path, _MAX_CONFIG_BYTES, "Docker configuration")
    if not isinstance(data, dict):
        data = {}
    auths, helpers, store = data.get("auths", {}), data.get("credHelpers", {}), data.get("credsStore")
    sound = (
        isinstance(auths, dict)
        and all(isinstance(each, dict) for each in auths.values())
        and isinstance(helpers, dict)
        and all(isinstance(each, str) for each in helpers.values())
        and (store is None or isinstance(store, str))
    )
    if not sound:
        raise InputError(
            "The Docker configuration is malformed: auths, credHelpers or credsStore has the wrong type.",
            where=str(path),
            fix=f"run docker login again, or set {USERNAME} and {PASSWORD}",
        )
    return {"auths": auths, "credsStore": store, "credHelpers": helpers}
