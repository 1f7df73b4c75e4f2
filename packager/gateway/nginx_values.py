"""The values of nginx's configuration, from the settings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from starfreight.errors import InputError
from starfreight.packager.gateway.programs import find_njs, find_worker
from starfreight.packager.gateway.settings import Settings
from starfreight.packager.ollama_access.repositories import REPOSITORY, RepositoryPattern
from starfreight.packager.ollama_access.signed_address import QUERY

_TAG_OR_DIGEST = r"(?:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}|sha256:[0-9a-f]{64})"
_DIGEST = r"sha256:[0-9a-f]{64}"
_SYSTEM_CERTIFICATES = (
    "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"
)  # fmt: skip
_HIDDEN = (
    "Location", "Www-Authenticate", "Proxy-Authenticate", "Authorization", "Set-Cookie", "X-Token", "Refresh",
    "Link", "X-Powered-By", "Server", "Alt-Svc", "Strict-Transport-Security", "Accept-Ranges-Policy",
)  # fmt: skip
_PORTS = {"https": 443, "http": 80}


def socket_path(settings: Settings, folder: Path) -> Path:
    """The Unix socket between nginx and the token service."""
    return (
        Path(settings.users.socket)
        if settings.users and settings.users.socket
        else folder / "run" / "access.sock"
    )


def nginx_values(settings: Settings, folder: Path) -> dict[str, Any]:
    """Everything that the template ``nginx.conf.jinja`` mentions.

    Args:
        settings: the gateway's.
        folder: the directory of the configuration.

    Raises:
        InputError: nginx lacks njs, or the registry's certificate cannot be checked.
    """
    registry, users = settings.registry, settings.users
    token_server = registry.credential.token_server if registry.credential else None
    values: dict[str, Any] = {
        "folder": folder,
        "run": folder / "run",
        "user": find_worker(),
        "workers": "auto",
        "listen": settings.listen,
        "origin": settings.origin,
        "tls": settings.tls,
        "users": users,
        "access_log": settings.access_log,
        "connections": settings.connections_per_address,
        "trusted_proxies": settings.trusted_proxies,
        "repository": REPOSITORY,
        "reference": _TAG_OR_DIGEST,
        "digest": _DIGEST,
        "signed_query": QUERY,
        "allowed": "|".join(RepositoryPattern.parse(each).regex for each in settings.repositories),
        "host_names": [re.escape(name) for name in _host_names(settings)],
        "hidden": _HIDDEN,
        "host_name": re.escape(_split(settings.origin)[0]),
        "socket": socket_path(settings, folder),
        "bearer": token_server is not None,
        "basic": registry.credential is not None,
        "access_check": "/_access" if token_server else "/_users" if users else "",
        **_upstream("upstream", registry.url, registry.ca, registry.certificate_name),
    }
    values["upstream_server"] = f"{_split(registry.url)[0]}:{_split(registry.url)[1]}"
    values["upstream_name"] = re.escape(_split(registry.url)[0])
    if token_server is not None:
        module = find_njs()
        if module is None:
            raise InputError(
                "nginx on this machine has no njs, which gets bearer tokens.",
                where="registry.credential.token_server",
                fix="install it (apt install libnginx-mod-http-js), or run it in Docker: --on docker",
            )
        host, port = _split(token_server.url)
        values |= {
            "njs_module": module,
            "service": quote(token_server.service, safe=""),
            "token_server": f"{host}:{port}",
            "token_path": urlsplit(token_server.url).path,
            **_upstream("token", token_server.url, token_server.ca),
        }
    return values


def _upstream(name: str, url: str, ca: str | None, certificate_name: str | None = None) -> dict[str, Any]:
    parts = urlsplit(url)
    host = _split(url)[0].strip("[]")
    values = {
        f"{name}_scheme": parts.scheme,
        f"{name}_host": parts.netloc,
        f"{name}_ssl_name": certificate_name or host,
        f"{name}_ca": ca,
    }
    if parts.scheme == "https" and certificate_name is None and re.fullmatch(r"[0-9.]+|.*:.*", host):
        raise InputError(
            "nginx cannot check a certificate for an IP address.",
            where=url,
            fix="use the server's name, or set registry.certificate_name to a name in its certificate",
        )
    if parts.scheme == "https" and ca is None:
        found = next((path for path in _SYSTEM_CERTIFICATES if Path(path).is_file()), None)
        if found is None:
            raise InputError(
                "This machine has no list of certificates to trust.",
                where=url,
                fix="install ca-certificates, or name a file as ca in the gateway file",
            )
        values[f"{name}_ca"] = found
    return values


def _split(url: str) -> tuple[str, int]:
    """Host (an IPv6 address in brackets) and port."""
    parts = urlsplit(url)
    host = parts.netloc if parts.port is None else parts.netloc.rpartition(":")[0]
    return host, parts.port or _PORTS[parts.scheme]


def _host_names(settings: Settings) -> list[str]:
    """The values of the Host header that mean this gateway."""
    host, port = _split(settings.origin)
    usual = port == _PORTS[urlsplit(settings.origin).scheme]
    return [f"{host}:{port}", host] if usual else [f"{host}:{port}"]
