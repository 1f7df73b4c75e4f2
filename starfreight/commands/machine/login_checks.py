"""Registries that this machine has credentials for: hosts only, never a secret."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starfreight.commands.machine.finding import Finding

_LIMIT = 4 << 20
_HELPER = re.compile(r"[A-Za-z0-9._-]{1,64}")


def check_logins() -> Finding:
    """Logins of docker and podman, and the variables of Starfreight."""
    found: list[str] = []
    broken: list[str] = []
    for path in _paths():
        try:
            found += _hosts(path)
        except FileNotFoundError:
            continue
        except (OSError, ValueError, RecursionError):
            broken.append(str(path))
    if os.environ.get("STARFREIGHT_REGISTRY_USERNAME") and os.environ.get("STARFREIGHT_REGISTRY_PASSWORD"):
        host = os.environ.get("STARFREIGHT_REGISTRY_HOST")
        found.append(f"{_host(host)} (environment)" if host else "the target of publish (environment)")
    if broken:
        return Finding(
            "warning", f"unreadable: {', '.join(broken)}", "correct or remove it, then docker login HOST"
        )
    if not found:
        return Finding("missing", "no login to a registry", "to publish: docker login HOST")
    return Finding("ok", ", ".join(dict.fromkeys(found)))


def _paths() -> list[Path]:
    home = Path.home()
    paths = [Path(os.environ.get("DOCKER_CONFIG") or home / ".docker") / "config.json"]
    if named := os.environ.get("REGISTRY_AUTH_FILE"):
        paths.append(Path(named))
    elif runtime := os.environ.get("XDG_RUNTIME_DIR"):
        paths.append(Path(runtime) / "containers/auth.json")
    return [*paths, Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "containers/auth.json"]


def _hosts(path: Path) -> list[str]:
    with path.open("rb") as stream:
        data = stream.read(_LIMIT)
    config: Any = json.loads(data)
    if not isinstance(config, dict):
        raise ValueError("not an object")
    helpers = config.get("credHelpers") if isinstance(config.get("credHelpers"), dict) else {}
    auths = config.get("auths") if isinstance(config.get("auths"), dict) else {}
    store = config.get("credsStore")
    kept = f" ({store})" if isinstance(store, str) and _HELPER.fullmatch(store) else ""
    hosts = [f"{_host(key)}{kept}" for key in (auths or {})]
    for key, helper in (helpers or {}).items():
        if isinstance(helper, str) and _HELPER.fullmatch(helper):
            hosts.append(f"{_host(key)} ({helper})")
    return hosts


def _host(key: str) -> str:
    """The host in a key of any form; a user and password in it are left out."""
    try:
        parts = urlsplit(key if "://" in key else f"//{key}")
        name = parts.hostname or "(unreadable)"
        return f"{name}:{parts.port}" if parts.port else name
    except ValueError:
        return "(unreadable)"
