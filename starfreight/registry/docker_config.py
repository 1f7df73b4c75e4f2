"""Credentials kept by ``docker login``, in Docker's ``config.json`` or by the credential helpers it names."""

from __future__ import annotations

import base64
import binascii
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from starfreight.errors import InputError, ServiceError
from starfreight.files import read_json

DOCKER_HUB = frozenset(("docker.io", "index.docker.io", "registry-1.docker.io"))
"""Docker Hub's API has another host than its references, and docker login stores a third one."""

_DOCKER_HUB_LOGIN = "https://index.docker.io/v1/"

_MAX_CONFIG_BYTES = 1 << 20

_HELPER_TIMEOUT = 120
"""Seconds; a helper may ask for the passphrase of a keyring."""


def from_docker(host: str, repository: str) -> tuple[str, str] | None:
    """User name and password for a repository, ``None`` if there are none.

    An entry applies to its own host and port only. As in Kubernetes and Podman, it may name a path as well:
    the longest path that contains the repository wins. Entries without a password refer to a credential
    helper: the one for the host in ``credHelpers``, otherwise ``credsStore``.

    Args:
        host: with the port if there is one.
        repository: the path, such as ``namespace/name``.

    Raises:
        InputError: Docker's configuration exists but is unusable.
        ServiceError: a credential helper answers nonsense or not at all.
    """
    path = _config_path()
    if not path.exists():
        return None
    config = _read(path)
    for key in _keys(config["auths"], host, repository):
        if (pair := _inline(config["auths"][key], key, path)) is not None:
            return pair
    server = _DOCKER_HUB_LOGIN if host.lower() in DOCKER_HUB else host
    helper = config["credHelpers"].get(server) or config["credHelpers"].get(host) or config["credsStore"]
    return _ask_helper(helper, server) if helper else None


def canonical_host(host: str) -> str:
    """Host in lower case; one name for all of Docker Hub's."""
    lower = host.lower()
    return "docker.io" if lower in DOCKER_HUB else lower


def _config_path() -> Path:
    folder = os.environ.get("DOCKER_CONFIG")
    return (Path(folder) if folder else Path("~/.docker").expanduser()) / "config.json"


def _read(path: Path) -> dict[str, Any]:
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
        raise _malformed("auths, credHelpers or credsStore has the wrong type", path)
    return {"auths": auths, "credsStore": store, "credHelpers": helpers}


def _keys(auths: dict[str, Any], host: str, repository: str) -> list[str]:
    """Keys of ``auths`` that apply to a repository, the most specific first."""
    found = []
    for key in auths:
        scheme, _, rest = key.rpartition("://")
        ours, _, path = rest.partition("/")
        path = path.strip("/")
        # docker login used to store the address of the API.
        if path in ("v1", "v2"):
            path = ""
        if scheme not in ("", "http", "https") or canonical_host(ours) != canonical_host(host):
            continue
        if not path or f"{repository}/".startswith(f"{path}/"):
            found.append((-len(path), key != host, key))
    return [key for *_, key in sorted(found)]


def _inline(entry: dict[str, Any], key: str, path: Path) -> tuple[str, str] | None:
    """User name and password of an entry, ``None`` if they are elsewhere."""
    encoded, username, password = entry.get("auth"), entry.get("username"), entry.get("password")
    if isinstance(encoded, str) and encoded:
        try:
            username, colon, password = base64.b64decode(encoded).decode().partition(":")
        except (binascii.Error, ValueError):
            colon = ""
        if not colon:
            raise _malformed(f"the entry for {key[:100]!r} has an invalid auth", path)
        password = str(password).rstrip("\0")
    if isinstance(username, str) and isinstance(password, str) and username and password:
        return username, password
    return None


def _ask_helper(name: str, server: str) -> tuple[str, str] | None:
    program = f"docker-credential-{name}"
    try:
        done = subprocess.run(
            [program, "get"], input=server.encode(), capture_output=True, check=False, timeout=_HELPER_TIMEOUT
        )
    except OSError:
        return None  # As in Docker: not installed here, so there are no credentials.
    except subprocess.TimeoutExpired:
        raise _unusable(program, f"has not answered in {_HELPER_TIMEOUT} seconds", server) from None
    if done.returncode != 0:
        return None  # It has no credentials for this server.
    try:
        answer = json.loads(done.stdout)
        username, password = answer["Username"], answer["Secret"]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise _unusable(program, "did not answer in the form that Docker specifies", server) from None
    if not isinstance(username, str) or not isinstance(password, str):
        raise _unusable(program, "did not answer in the form that Docker specifies", server)
    return (username, password) if username and password else None


def _unusable(program: str, what: str, server: str) -> ServiceError:
    return ServiceError(
        f"The credential helper {program} {what}.",
        where=f"credentials for {server}",
        fix=f"run it by hand: echo {server} | {program} get",
    )


def _malformed(what: str, path: Path) -> InputError:
    return InputError(
        f"The Docker configuration is malformed: {what}.", where=str(path), fix="run docker login again"
    )
