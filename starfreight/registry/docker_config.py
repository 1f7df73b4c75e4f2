"""Credentials kept by ``docker login``, ``podman login`` and ``skopeo login``, or by the helpers they name.

The files have one format: ``auths`` with entries by host, ``credHelpers`` and ``credsStore``.
"""

from __future__ import annotations

import base64
import binascii
import os
import shutil
from pathlib import Path
from typing import Any

from starfreight.errors import InputError
from starfreight.files import read_json
from starfreight.registry.credential_helpers import ask_helper

DOCKER_HUB = frozenset(("docker.io", "index.docker.io", "registry-1.docker.io"))
"""Docker Hub's API has another host than its references, and docker login stores a third one."""

_DOCKER_HUB_LOGIN = "https://index.docker.io/v1/"
_IDENTITY = "<token>"

_MAX_CONFIG_BYTES = 1 << 20
_PARTS = ("auths", "credHelpers", "credsStore")


def from_docker(host: str, repository: str) -> tuple[str, str] | None:
    """User name and password for a repository, ``None`` if there are none.

    Read are the files that skopeo reads, in its order: the one named by ``$REGISTRY_AUTH_FILE`` or
    ``$DOCKER_CONFIG``, otherwise podman's ``containers/auth.json`` in ``$XDG_RUNTIME_DIR``; then
    ``~/.config/containers/auth.json``; then Docker's ``config.json``. In each, a helper named for the host
    comes first, then an entry for a path that contains the repository (the longest wins), then the helper for
    all hosts, and last an entry for the host, which may be left from a time before the helper. An entry
    applies to its own host and port only.

    Args:
        host: with the port if there is one.
        repository: the path, such as ``namespace/name``.

    Returns:
        the pair; an identity token has the user name ``<token>``, as helpers return it.

    Raises:
        InputError: a file exists but is unusable.
        ServiceError: a credential helper answers nonsense or not at all.
    """
    for path in _config_paths():
        if _exists(path) and (pair := _look_up(_read(path), path, host, repository)) is not None:
            return pair
    return None


def helper_advice(host: str) -> str | None:
    """A remedy if a helper is named for a host; it has no credentials if this is needed.

    Raises:
        InputError: a file exists but is unusable.
    """
    for path in filter(_exists, _config_paths()):
        config = _read(path)
        name = _own_helper(config, host) or config["credsStore"]
        if name:
            program = f"docker-credential-{name}"
            state = "has no credentials or failed" if shutil.which(program) else "is not installed"
            return f"{program}, named in {path}, {state}: echo {_server(host)} | {program} get"
    return None


def canonical_host(host: str) -> str:
    """Host in lower case, without the port of https; one name for all of Docker Hub's."""
    lower = host.lower().removesuffix(":443")
    return "docker.io" if lower in DOCKER_HUB else lower


def home_path(path: str) -> Path:
    """A path below the user's home directory, unchanged if there is none."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def _exists(path: Path) -> bool:
    # Path.exists raises PermissionError, for example for the directory of another user's session.
    return os.access(path, os.F_OK)


def _config_paths() -> list[Path]:
    environment, home = os.environ.get, home_path("~")
    docker = Path(environment("DOCKER_CONFIG") or home / ".docker", "config.json")
    # Without a session, podman keeps its file in /run/containers.
    own = "containers/auth.json" if environment("XDG_RUNTIME_DIR") else "auth.json"
    session = Path(environment("XDG_RUNTIME_DIR") or f"/run/containers/{os.getuid()}", own)
    first = docker if environment("DOCKER_CONFIG") else session
    settings = Path(environment("XDG_CONFIG_HOME") or home / ".config", "containers/auth.json")
    return list(dict.fromkeys((Path(environment("REGISTRY_AUTH_FILE") or first), settings, docker)))


def _look_up(config: dict[str, Any], path: Path, host: str, repository: str) -> tuple[str, str] | None:
    auths, store, server = config["auths"], config["credsStore"], _server(host)
    helper = _own_helper(config, host)
    if helper and (pair := ask_helper(helper, server)) is not None:
        return pair
    keys = _keys(auths, host, repository)
    for key in keys:
        if _path_of(key) and (pair := _inline(auths[key], key, path)) is not None:
            return pair
    if store and not helper and (pair := ask_helper(store, server)) is not None:
        return pair
    for key in keys:
        if (pair := _inline(auths[key], key, path)) is not None:
            return pair
    return None


def _server(host: str) -> str:
    """A registry's name for helpers."""
    return _DOCKER_HUB_LOGIN if host.lower() in DOCKER_HUB else host


def _own_helper(config: dict[str, Any], host: str) -> str | None:
    """The helper named for a host alone."""
    helpers: dict[str, str] = config["credHelpers"]
    exact = helpers.get(_server(host)) or helpers.get(host)
    if exact:
        return exact
    hosts = {canonical_host(_host_of(key)): name for key, name in helpers.items() if not _path_of(key)}
    return hosts.get(canonical_host(host))


def _read(path: Path) -> dict[str, Any]:
    data = read_json(path, _MAX_CONFIG_BYTES, "Docker configuration")
    if not isinstance(data, dict):
        data = {}
    # Docker writes null for parts that are empty.
    auths, helpers, store = ({} if part is None else part for part in map(data.get, _PARTS))
    store = store or None
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


def _host_of(key: str) -> str:
    return key.rpartition("://")[2].partition("/")[0]


def _path_of(key: str) -> str:
    path = key.rpartition("://")[2].partition("/")[2].strip("/")
    # docker login used to store the address of the API.
    return "" if path in ("v1", "v2") else path


def _keys(auths: dict[str, Any], host: str, repository: str) -> list[str]:
    """Keys of ``auths`` that apply to a repository, the most specific first."""
    found = []
    for key in auths:
        scheme, path = key.rpartition("://")[0].lower(), _path_of(key)
        if scheme not in ("", "http", "https") or canonical_host(_host_of(key)) != canonical_host(host):
            continue
        if not path or f"{repository}/".startswith(f"{path}/"):
            found.append((-len(path), key != host, key))
    return [key for *_, key in sorted(found)]


def _inline(entry: dict[str, Any], key: str, path: Path) -> tuple[str, str] | None:
    """User name and password of an entry, ``None`` if they are elsewhere."""
    identity = entry.get("identitytoken")
    if isinstance(identity, str) and identity:
        return _IDENTITY, identity
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


def _malformed(what: str, path: Path) -> InputError:
    return InputError(
        f"The Docker configuration is malformed: {what}.",
        where=str(path),
        fix="run docker login or podman login again",
    )
